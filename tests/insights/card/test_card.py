from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from verifine.config import GRADER_PRESETS, RunConfig, build_config, load_config
from verifine.errors import DiskError
from verifine.insights.card.card import render_card, write_card
from verifine.insights.card.settings import changed_settings, portable_config
from verifine.insights.card.subject import CARD, CURVES, CardSubject, ModelForm, record_at
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import EvaluatedSample, Evaluation
from verifine.runs.events import RunEnded
from verifine.runs.record import RunRecord, read_run
from verifine.runs.run_file import InputFacts, Provenance, RunFile
from verifine.runs.status import SOLVED, Status
from verifine.testing.disk import FULL, Fault, FaultyDisk

HEADINGS = ["Use", "Results", "Curves", "Answers before and after", "Limits", "Settings", "Make it again"]
INPUTS = InputFacts(
    hub_id="Some/Base-1B-Instruct", revision="0123abcd", licence="apache-2.0", train_examples=900, held_out_examples=64
)
GRADER = GRADER_PRESETS["answer_exact"].model_dump(mode="json")
PROVENANCE = Provenance(model="a" * 64, data="b" * 64, grader="c" * 64)


@pytest.fixture
def record(finished_run: RunDirectory) -> RunRecord:
    return replace(read_run(finished_run), run_file=RunFile(provenance=PROVENANCE, inputs=INPUTS))


def front_matter(card: str) -> dict[str, Any]:
    begin, metadata, _ = card.split("---\n", 2)
    assert begin == ""
    loaded: dict[str, Any] = yaml.safe_load(metadata)
    return loaded


def parse(card: str) -> list[Token]:
    """The Markdown below the front matter, as the hub reads it."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(card.split("---\n", 2)[2])


def headings(card: str) -> list[str]:
    tokens = parse(card)
    return [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]


def with_config(record: RunRecord, **sections: dict[str, Any]) -> RunRecord:
    return replace(record, config=build_config({"data": {"task": "add"}, **sections}))


def test_the_front_matter_says_what_the_hub_asks_for(record: RunRecord) -> None:
    assert front_matter(render_card(record, CardSubject())) == {
        "base_model": "Some/Base-1B-Instruct",
        "base_model_relation": "finetune",
        "library_name": "transformers",
        "license": "apache-2.0",
        "pipeline_tag": "text-generation",
        "tags": ["verifine", "reinforcement-learning", "grpo"],
    }


def test_adapters_are_peft_files_of_their_base(record: RunRecord) -> None:
    found = front_matter(render_card(with_config(record, model={"lora": {}}), CardSubject(form="adapter")))
    assert (found["library_name"], found["base_model_relation"]) == ("peft", "adapter")
    assert "lora" in found["tags"]


def test_what_is_not_known_is_left_out(record: RunRecord) -> None:
    card = render_card(replace(record, run_file=RunFile(), environment=None), CardSubject())
    assert set(front_matter(card)) == {"library_name", "pipeline_tag", "tags"}
    for word in ("None", "null)", "sha256", "revision", "Licence", "Versions"):
        assert word not in card.partition("## Settings")[0], word


def test_a_dataset_of_the_hub_is_named_and_its_result_can_be_found(record: RunRecord) -> None:
    config = build_config({"data": {"train": "hf://some/sums/main?split=train"}, "grader": GRADER})
    found = front_matter(render_card(replace(record, config=config), CardSubject()))
    assert found["datasets"] == ["some/sums"]
    (entry,) = found["model-index"]
    (result,) = entry["results"]
    assert result["dataset"] == {"name": "sums", "type": "some/sums", "config": "main", "split": "train"}
    (metric,) = result["metrics"]
    assert (metric["type"], metric["value"]) == ("accuracy", 0.6562)


def test_the_card_has_all_its_parts_in_order(record: RunRecord) -> None:
    assert headings(render_card(record, CardSubject())) == ["Base-1B-Instruct on add", *HEADINGS]


def test_it_says_what_the_model_is_made_of(record: RunRecord) -> None:
    card = render_card(record, CardSubject())
    assert "[Some/Base-1B-Instruct](https://huggingface.co/Some/Base-1B-Instruct), revision `0123abcd`" in card
    assert "the built-in task `add`: 900 prompts to train on and 64 prompts held out" in card
    for digit in "abc":
        assert f"`{digit * 64}`" in card
    assert "41 steps of 8 prompts and 8 answers to each, 4 min 12 s in all" in card


def test_base_and_tuned_stand_side_by_side_with_n_and_intervals(record: RunRecord) -> None:
    card = render_card(record, CardSubject())
    assert "| n = 64, with 95 % intervals | Base | Tuned | Change |" in card
    assert "| Answer accuracy | 0.28 (0.19 to 0.40) | 0.66 (0.53 to 0.76) | +0.38 |" in card
    assert "26 got better and 2 got worse" in card


def test_nothing_a_model_or_a_user_wrote_is_markup(record: RunRecord) -> None:
    evil = "```\n# Buy\n<img src=x onerror=alert(1)> [link](http://x) ![i](y)\n````\n| a | b |\n~~~ \udcff"

    def spoiled(evaluation: Evaluation) -> Evaluation:
        return replace(evaluation, samples=tuple(spoil(each) for each in evaluation.samples))

    def spoil(sample: EvaluatedSample) -> EvaluatedSample:
        return replace(sample, prompt=evil, text=evil + sample.text, gold=f"`{evil}")

    config = build_config({"data": {"train": "/secret/*b* <i>`|# x.jsonl"}, "grader": GRADER})
    inputs = replace(INPUTS, licence="<script>", revision="`|<b>")
    spoiled_record = replace(
        record,
        config=config,
        evaluations=[(step, spoiled(each)) for step, each in record.evaluations],
        run_file=RunFile(provenance=PROVENANCE, inputs=inputs),
    )
    card = render_card(spoiled_record, CardSubject())
    tokens = parse(card)
    assert len(headings(card)) == 1 + len(HEADINGS)
    inline = [child for token in tokens for child in token.children or []]
    assert [token for token in (*tokens, *inline) if token.type.startswith("html")] == []
    assert {child.attrs["href"] for child in inline if child.type == "link_open"} == {
        "https://huggingface.co/Some/Base-1B-Instruct"
    }
    assert [child.attrs["src"] for child in inline if child.type == "image"] == [CURVES]
    quoted = [token.content for token in tokens if token.type == "fence"]
    assert quoted.count(evil.replace("\udcff", "\\udcff") + "\n") == 4, "the prompt of each of four examples"


def test_what_nobody_sees_is_written_out_and_other_scripts_stay(record: RunRecord) -> None:
    unseen = "clear \x1b[2J bell\x07 null\x00 return\r over \u202eevil\u2066"
    seen = "\tשלם\u200f می\u200cروم 👩\u200d🔬 é\u00a0!\r\nnext"
    samples = [(step, replace(each, samples=tuple(
        replace(sample, prompt=unseen, text=seen + sample.text) for sample in each.samples
    ))) for step, each in record.evaluations]  # fmt: skip
    card = render_card(replace(record, evaluations=samples), CardSubject())
    assert "clear \\x1b[2J bell\\x07 null\\x00 return\\x0d over \\u202eevil\\u2066\n" in card
    assert seen.replace("\r\n", "\n") in card
    assert not set(card) & set("\x1b\x07\x00\r\u202e\u2066")


def test_a_long_answer_is_cut(record: RunRecord) -> None:
    long = replace(
        record,
        evaluations=[
            (step, replace(each, samples=tuple(replace(sample, text="a" * 5000) for sample in each.samples)))
            for step, each in record.evaluations
        ],
    )
    card = render_card(long, CardSubject())
    assert "[3500 more characters]" in card
    assert "a" * 1501 not in card


def test_samples_can_be_left_out(record: RunRecord) -> None:
    card = render_card(record, CardSubject(shows_samples=False))
    assert "add the units" in render_card(record, CardSubject())
    assert "add the units" not in card
    assert "0.66 (0.53 to 0.76)" in card


def test_it_says_nothing_of_the_machine_that_trained(record: RunRecord) -> None:
    config = build_config(
        {
            "model": {"name": "/home/alice/base", "start_from": "/home/alice/runs/first/checkpoints/step-000020"},
            "data": {"train": "/home/alice/data/train.jsonl", "eval": "/home/alice/data/eval.jsonl"},
            "grader": GRADER,
            "run": {"directory": "/home/alice/runs/second"},
        }
    )
    card = render_card(replace(record, config=config), CardSubject())
    assert "alice" not in card
    assert "train: train.jsonl" in card
    assert "start_from: first/checkpoints/step-000020" in card


def test_only_settings_that_differ_from_the_defaults_are_told() -> None:
    config = build_config(
        {
            "data": {"task": "add"},
            "algorithm": {"name": "dapo", "clip_high": 0.28, "clip_low": 0.1},
            "optim": {"learning_rate": 2e-5, "micro_batch_tokens": 512},
            "run": {"directory": "x", "keep_last": 5},
        }
    )
    assert changed_settings(config) == {"algorithm.clip_low": (0.1, 0.2), "optim.learning_rate": (2e-5, "auto")}


def test_the_config_on_the_card_is_that_of_the_run(record: RunRecord, tmp_path: Path) -> None:
    spoken = with_config(record, optim={"learning_rate": 3e-5}, sampling={"stop": ["|", "```"]})
    card = render_card(spoken, CardSubject())
    (written,) = [token.content for token in parse(card) if token.info == "yaml"]
    (tmp_path / "config.yaml").write_text(written)
    loaded: RunConfig = load_config(tmp_path / "config.yaml")
    assert loaded == portable_config(spoken.config)
    assert "verifine train config.yaml" in card


def test_a_grader_of_a_python_program_is_named_as_one(record: RunRecord) -> None:
    assert record.environment is not None
    card = render_card(replace(record, environment=replace(record.environment, own_grader=True)), CardSubject())
    assert "a function of the Python program" in card
    assert "verifine train config.yaml" not in card


def test_advantages_of_a_python_program_are_named(record: RunRecord) -> None:
    assert record.environment is not None
    card = render_card(replace(record, environment=replace(record.environment, own_advantages="mine")), CardSubject())
    assert "`mine`, a function of the Python program" in card
    assert "`verifine.train(load_config(...), advantages=...)`" in card


def test_rounded_weights_are_not_passed_off_as_those_that_were_evaluated(record: RunRecord) -> None:
    rounded = render_card(record, CardSubject(form="gguf", numbers="q8_0", file="model-q8_0.gguf"))
    assert "rounded to q8_0 and were not evaluated again" in rounded
    assert 'gguf_file="model-q8_0.gguf"' in rounded
    assert "rounded" not in render_card(record, CardSubject())


def test_the_card_of_a_checkpoint_is_that_of_the_run_up_to_it(record: RunRecord) -> None:
    card = render_card(record_at(record, 20), CardSubject())
    assert "20 steps" in card
    assert "41 steps" not in card
    assert "0.66 (0.53 to 0.76)" not in card
    assert "| n = 64, with 95 % intervals | Base | Tuned | Change |" in card


def test_a_checkpoint_without_an_evaluation_has_no_results(record: RunRecord) -> None:
    card = render_card(record_at(record, 30), CardSubject())
    assert "These weights were not compared with the base model" in card
    assert "got better and" not in card
    assert "Answers before and after" not in headings(card)


def test_a_run_without_any_step_has_a_card_without_curves(new_run: RunDirectory, tmp_path: Path) -> None:
    record = read_run(new_run)
    write_card(tmp_path, record, CardSubject(), new_run.disk)
    assert CURVES not in (tmp_path / CARD).read_text()
    assert not (tmp_path / CURVES).exists()


def test_the_card_and_its_picture_are_small_files(record: RunRecord, tmp_path: Path) -> None:
    write_card(tmp_path, record, CardSubject(), FaultyDisk(tmp_path))
    assert (tmp_path / CURVES).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / CURVES).stat().st_size < 200_000
    assert (tmp_path / CARD).stat().st_size < 20_000


def test_a_full_disk_leaves_the_card_that_was_there(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / CARD).write_text("the old one")
    disk = FaultyDisk(tmp_path, Fault(point=f"write .{CARD}.tmp 1", moment="within", error=FULL))
    with pytest.raises(DiskError):
        write_card(tmp_path, record, CardSubject(), disk)
    assert (tmp_path / CARD).read_text() == "the old one"
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != "") == [CARD, CURVES]


def test_the_system_prompt_that_it_was_trained_with_is_in_the_program(record: RunRecord) -> None:
    system = 'Say "{x}" in ```\nfences'
    asked = replace(record, run_file=replace(record.run_file, inputs=replace(INPUTS, system_prompt=system)))
    for form in ("merged", "adapter"):
        program = next(token for token in parse(render_card(asked, CardSubject(form=form))) if token.info == "python")
        assert (
            'messages = [{"role": "system", "content": "Say \\"{x}\\" in ```\\nfences"}, {"role": "user"'
            in program.content
        )
        compile(program.content, "card", "exec")


def ended(record: RunRecord, end: RunEnded) -> RunRecord:
    *before, last = record.events
    return replace(record, events=[*before, replace(last, event=end)])


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (RunEnded(status=Status.OUT_OF_TIME), "its time was up"),
        (RunEnded(status=Status.NO_SIGNAL, reason=SOLVED), "nothing left to learn"),
        (RunEnded(status=Status.NO_SIGNAL), "nothing to learn from"),
        (RunEnded(status=Status.NO_PROGRESS), "did not get better"),
        (RunEnded(status=Status.INTERRUPTED), "told to stop"),
        (RunEnded(status=Status.FAILED, reason="data", error="row <b>3</b> is gone"), r"row \<b>3"),
    ],
)
def test_a_run_that_ended_early_says_so_and_why(end: RunEnded, told: str, record: RunRecord) -> None:
    card = render_card(ended(with_config(record, run={"steps": 400}), end), CardSubject())
    (line,) = [line for line in card.splitlines() if line.startswith("- **Ended early**")]
    assert f"after {record.steps} steps of the 400 planned" in line
    assert told in line


def test_a_run_that_took_all_it_was_given_did_not_end_early(record: RunRecord) -> None:
    assert "Ended early" not in render_card(record, CardSubject())
    timed = with_config(record, run={"steps": None, "minutes": 5})
    assert "Ended early" not in render_card(ended(timed, RunEnded(status=Status.OUT_OF_TIME)), CardSubject())


@pytest.mark.parametrize("form", ["merged", "adapter"])
def test_a_base_in_few_bits_is_told_with_what_was_evaluated(form: ModelForm, record: RunRecord) -> None:
    card = render_card(with_config(record, model={"lora": {"base_bits": 4}}), CardSubject(form=form))
    assert "LoRA adapters of rank 16 and alpha 32 on a base in 4 bits" in card
    assert "results are those of the adapters on a base in 4 bits" in card
    assert ("merged into the weights of the base itself" in card) == (form == "merged")
    assert "on a base in" not in render_card(with_config(record, model={"lora": {}}), CardSubject(form=form))


def test_a_grader_with_a_name_of_its_own_is_called_by_it(record: RunRecord) -> None:
    def line(name: str) -> str:
        grader = {"type": "python", "name": name, "source": "def grade(sample, item):\n    return 1.0\n"}
        config = build_config({"data": {"train": "some.jsonl"}, "grader": grader})
        card = render_card(replace(record, config=config), CardSubject())
        return next(line for line in card.splitlines() if line.startswith("- **Grader**"))

    assert line("python") == "- **Grader**: `python` (in full below)"
    assert line("names_the_city") == "- **Grader**: `names_the_city`, of type `python` (in full below)"


def test_a_model_whose_answers_could_not_be_scored_is_passed_off_as_nothing_else(record: RunRecord) -> None:
    def unscored(evaluation: Evaluation) -> Evaluation:
        samples = (replace(each, score=None, format_ok=None, answer_ok=None) for each in evaluation.samples)
        return replace(evaluation, samples=tuple(samples))

    steps = [replace(report, metrics={"updates": 0.0}) for report in record.metrics]
    evaluations = [(step, unscored(evaluation)) for step, evaluation in record.evaluations]
    card = render_card(replace(record, metrics=steps, evaluations=evaluations), CardSubject())
    assert "answers could be scored after 41 steps" in card
    assert "no step is done" not in card
    assert "without a held-out evaluation" not in card
    assert "never updated" in card
    assert "No held-out answer could be scored" in card
