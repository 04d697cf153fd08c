"""Numbers that the pages promise are those of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifine.config.graders import CodeGraderConfig, PythonGraderConfig
from verifine.config.graders.expression import MAX_TOKENS
from verifine.config.graders.formula import GRAMMAR
from verifine.config.memory import SAFE_SHARE
from verifine.config.resolve import HEAD_RATE_FACTOR, IMPORTANCE_CAP, SMALL_MODEL_PARAMETERS
from verifine.data.problems import MAX_PROBLEMS
from verifine.data.rows import MAX_ROW_BYTES
from verifine.data.split import SMALLEST_TO_SPLIT
from verifine.data.strict_json import MAX_DEPTH
from verifine.graders import code, embeddings, patterns
from verifine.graders.judge.judging import MAX_REMEMBERED
from verifine.graders.remote import client, retry
from verifine.graders.sandbox.call import CallFault, Limits
from verifine.graders.sandbox.plan import SANDBOX_USERS
from verifine.graders.sandbox.selftest import ATTACKS
from verifine.graders.schema import validator
from verifine.graders.similarity.compare import MAX_CHARACTERS
from verifine.graders.similarity.words import MAX_WORDS
from verifine.insights.diagnosis.groups import EASY
from verifine.insights.diagnosis.history import ENOUGH, OPENING, RECENT
from verifine.insights.diagnosis.progress import STALLED_S, STALLED_STEPS
from verifine.insights.inference import RESAMPLES, SIGNIFICANCE
from verifine.launch.quickstart import WARMUP_STEPS, WIDE
from verifine.machine.threads import MAX_GRADING
from verifine.machine.waiting import SPINS
from verifine.models.fingerprint import NUMBERS
from verifine.preflight import data, memory, probing, sampling
from verifine.rollout.canary import SUSPICIOUS, TOKENS_PER_PROBE
from verifine.rollout.native.static import CHECK_INTERVAL
from verifine.runs.heartbeat import INTERVAL_S, LOST_AFTER_S
from verifine.runs.rollouts import BYTES_PER_TOKEN
from verifine.training import budget, checkpointing, health
from verifine.training.group_outcomes import PASS_SCORE

DOCS = Path(__file__).parent.parent / "docs"
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
         "thirteen", "fourteen", "fifteen", "sixteen")  # fmt: skip

PYTHON, CODE = PythonGraderConfig(type="python", source=""), CodeGraderConfig(type="code")
LIMITS = Limits()

PROMISES: list[tuple[str, str]] = [
    ("data.md", f"A row may have {MAX_ROW_BYTES >> 20} MiB"),
    ("data.md", f"at most {MAX_DEPTH} levels of nesting"),
    ("data.md", f"with fewer than {SMALLEST_TO_SPLIT} rows, none is"),
    ("data.md", f"The first {WORDS[MAX_PROBLEMS]} problems are reported"),
    ("graders.md", f"more than {budget.BUDGET_SHARE:.0%} of at least {budget.BUDGET_SAMPLES}".replace("%", " %")),
    ("graders.md", f"the run ends and shows {WORDS[budget.SHOWN]} of them"),
    ("graders.md", f"nesting of more than {MAX_DEPTH} levels"),
    ("graders.md", f"After {WORDS[int(validator.TIMEOUT_S)]} second such an answer is unscorable"),
    ("graders.md", f"takes longer\nthan {WORDS[int(patterns.TIMEOUT_S)]} second is stopped"),
    ("graders.md", f"Texts of more than {MAX_CHARACTERS:,} characters or {MAX_WORDS:,} words are unscorable"),
    ("graders.md", f"Texts are sent in batches of {embeddings.TEXTS_A_REQUEST}"),
    ("graders.md", f"vectors of up to {8 * embeddings.MAX_REMEMBERED_NUMBERS >> 20} MiB are remembered"),
    ("graders.md", f"{PYTHON.timeout_s:g} seconds (`timeout_s`) and {PYTHON.memory_mb} MiB (`memory_mb`) a call"),
    (
        "graders.md",
        f"takes longer than `timeout_s` ({CODE.timeout_s:g} seconds) or more than `memory_mb` ({CODE.memory_mb} MiB)",
    ),
    ("graders.md", f"prints {code.SPARE_BYTES >> 10} KiB more"),
    ("graders.md", f"A program of more than {code.MAX_CHARACTERS:,} characters is not\nrun"),
    ("graders.md", f"took {'twice' if code.MAX_FAILED_TIMEOUTS == 2 else '?'} `timeout_s` fails the others"),
    ("graders.md", f"retried after {retry.FIRST_PAUSE_S:g}, 1, 2, 4\n  and then {retry.LONGEST_PAUSE_S:g} seconds"),
    ("graders.md", f"more than {WORDS[int(retry.LONGEST_ASKED_PAUSE_S // 60)]} minutes, the request fails"),
    ("graders.md", f"When a server hangs ({client.MIN_LATE} requests in a row"),
    (
        "graders.md",
        f"An answer may have {client.MAX_REPLY_BYTES >> 20} MiB (an embedder's {embeddings.MAX_REPLY_BYTES >> 20} MiB)",
    ),
    ("graders.md", f"a request {client.MAX_REQUEST_BYTES >> 20} MiB"),
    ("graders.md", f"the last {MAX_REMEMBERED // 1000} 000 scores are\nremembered"),
    (
        "graders.md",
        f"{GRAMMAR.max_characters:,} characters, {MAX_TOKENS} numbers, names and signs, and {GRAMMAR.max_depth} levels",
    ),
    ("sandbox.md", f"{WORDS[len(ATTACKS)]} attacks"),
    ("sandbox.md", f"numbers\n{SANDBOX_USERS[0]} to {SANDBOX_USERS[-1]}"),
    ("sandbox.md", f"| wall clock | {LIMITS.wall_s:g} s |"),
    ("sandbox.md", f"| computing, all threads together (whole seconds) | {LIMITS.cpu_s:g} s |"),
    ("sandbox.md", f"| address space, on top of what is preloaded | {LIMITS.memory_bytes >> 20} MiB |"),
    ("sandbox.md", f"| returned value as JSON | {LIMITS.answer_bytes >> 10} KiB |"),
    ("sandbox.md", f"| printed text | {LIMITS.output_bytes >> 10} KiB |"),
    ("sandbox.md", f"| open files | {LIMITS.open_files} |"),
    *(("sandbox.md", f"`{fault}`") for fault in CallFault),
    ("reliability.md", f"written every {INTERVAL_S:g} seconds by a separate thread"),
    ("reliability.md", f"older than {'a minute' if LOST_AFTER_S == 60 else '?'}"),
    ("reliability.md", f"takes {BYTES_PER_TOKEN} bytes there"),
    ("reliability.md", f"more than {checkpointing.SHARE:.0%} of the time".replace("%", " %")),
    ("reliability.md", f"about every {'minute' if checkpointing.LEAST_S == 60 else '?'}"),
    ("reliability.md", f"{NUMBERS} numbers of every tensor"),
    ("reliability.md", f"can sample {TOKENS_PER_PROBE // 1000} {TOKENS_PER_PROBE % 1000} tokens"),
    ("reliability.md", f"A {'quarter' if SUSPICIOUS == 0.25 else '?'} of it in the rollouts triggers a probe"),
    ("reliability.md", f"after {health.NO_SIGNAL_LIMIT} such steps in a row the run ends"),
    ("reliability.md", f"if {'nine of ten' if EASY == 0.9 else '?'} groups in them were all right"),
    ("algorithms.md", f"`solved` if {'nine of ten' if EASY == 0.9 else '?'} groups were all right"),
    ("howto/why-is-it-not-learning.md", f"{PASS_SCORE:g} if neither is set and scores are from 0 to 1"),
    ("reliability.md", f"After {WORDS[health.NOT_FINITE_LIMIT]} in a row the run fails"),
    ("performance.md", f"The plan uses {SAFE_SHARE} of what is free"),
    ("performance.md", f"for ended answers every {CHECK_INTERVAL} tokens"),
    ("performance.md", f"reduces this to {SPINS:,}"),
    ("performance.md", f"`algorithm.importance_cap` ({IMPORTANCE_CAP:g} unless you set it)"),
    ("performance.md", f"one process for each logical core, at most {MAX_GRADING}"),
    (
        "algorithms.md",
        f"`optim.learning_rate` 1e-5 for models under a {'billion' if SMALL_MODEL_PARAMETERS == 10**9 else '?'}",
    ),
    ("algorithms.md", f"`auto`: {'fifty' if HEAD_RATE_FACTOR == 50 else '?'} times the policy's for a head"),
    (
        "algorithms.md",
        f"takes {WIDE['optim']['learning_rate']} and {WARMUP_STEPS} warm-up steps".replace("0.0001", "1e-4"),
    ),
    (
        "tutorial.md",
        f"{WIDE['sampling']['prompts_per_step']} questions, {WIDE['sampling']['group_size']} answers to each",
    ),
    ("howto/check-before-training.md", f"The right answer of {probing.PROBED_ROWS} rows"),
    ("howto/check-before-training.md", f"tried on {probing.COSTLY_ROWS} rows"),
    ("howto/check-before-training.md", f"blocker above {budget.BUDGET_SHARE:.0%} of the rows".replace("%", " %")),
    ("howto/check-before-training.md", f"above {data.MANY_DUPLICATES:.0%} of the rows".replace("%", " %")),
    ("howto/check-before-training.md", f"every prompt is asked more than {data.MANY_EPOCHS} times"),
    ("howto/check-before-training.md", f"more than {sampling.MANY_TRUNCATED:.0%} of the answers".replace("%", " %")),
    (
        "howto/check-before-training.md",
        f"fewer than {sampling.LOW_FORMAT:.0%} are in the right format".replace("%", " %"),
    ),
    ("howto/check-before-training.md", f"{sampling.EASY:.0%} or more are right".replace("%", " %")),
    (
        "howto/check-before-training.md",
        f"blocker with {sampling.SURE_ANSWERS} answers in {sampling.SURE_GROUPS} groups",
    ),
    (
        "howto/check-before-training.md",
        f"blocker with {sampling.RIGHT_ANSWERS} answers in {sampling.RIGHT_GROUPS} groups that are all right",
    ),
    ("howto/check-before-training.md", f"more than {memory.FULL_SHARE:.0%}".replace("%", " %")),
    ("howto/evaluate-a-model.md", f"need\n  p of at most {SIGNIFICANCE}"),
    ("howto/evaluate-a-model.md", f"resampled {RESAMPLES} times"),
    ("howto/compare-runs.md", f"must be at most {SIGNIFICANCE}"),
    ("howto/why-is-it-not-learning.md", f"**latest {RECENT} steps**, and compares them with the first {OPENING}"),
    ("howto/why-is-it-not-learning.md", f"fewer\n  than {ENOUGH} steps"),
    ("howto/why-is-it-not-learning.md", f"for {STALLED_STEPS} usual steps and {WORDS[int(STALLED_S // 60)]} minutes"),
]


def normal(text: str) -> str:
    """Without where the lines break."""
    return " ".join(text.split())


@pytest.mark.parametrize(("page", "promise"), PROMISES, ids=[f"{page}: {promise[:50]}" for page, promise in PROMISES])
def test_a_number_on_a_page_is_that_of_the_code(page: str, promise: str) -> None:
    assert normal(promise) in normal((DOCS / page).read_text(encoding="utf-8"))
