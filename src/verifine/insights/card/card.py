"""Renders and writes the card of a trained model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from verifine.config import dump_changed_settings
from verifine.insights.before_after import describe_judgement, describe_manner, measure_rows
from verifine.insights.card.facts import base_name, data_name, model_facts
from verifine.insights.card.limits import limits
from verifine.insights.card.markdown import block, bullets, code, literal, printable, table, terms
from verifine.insights.card.metadata import front_matter
from verifine.insights.card.settings import changed_settings, portable_config
from verifine.insights.card.subject import CARD, CURVES, CardSubject
from verifine.insights.card.usage import usage
from verifine.insights.comparison.variants import value_text
from verifine.insights.diagnosis.describe import describe_evidence, describe_steps
from verifine.insights.diagnosis.diagnose import diagnose
from verifine.insights.diagnosis.success import describe_success
from verifine.insights.findings import Finding
from verifine.insights.outcome import describe_changes, describe_outcome, pluralize
from verifine.insights.pairs import ProblemChange, ProblemPair, pair_up
from verifine.insights.plots import draw_training_png
from verifine.machine.disk import Disk, write_whole
from verifine.runs.directory import write_text
from verifine.runs.evaluations import EvaluatedSample
from verifine.runs.record import RunRecord

_LONGEST_QUOTE = 1500
"""Characters of a prompt or an answer that are quoted."""

_CHANGES = {ProblemChange.WON: "Got better", ProblemChange.LOST: "Got worse", ProblemChange.SAME: "No change"}


def write_card(folder: Path, record: RunRecord, subject: CardSubject, disk: Disk) -> None:
    """Writes the card, and the picture of the curves if there are any, into the folder of the model.

    Raises:
        DiskError: a file cannot be written; the one that was there is unchanged.
    """
    if _has_curves(record):
        write_whole(folder / CURVES, draw_training_png(record), disk)
    write_text(folder / CARD, render_card(record, subject), disk)


def render_card(record: RunRecord, subject: CardSubject) -> str:
    """Markdown with YAML front matter. Everything a model or a user wrote is quoted, so none of it is markup."""
    data = data_name(record)
    title = f"{base_name(record)} on {data}" if data else base_name(record)
    findings = diagnose(record)
    sections = {
        "": [_introduction(record, subject), *_facts(record, subject)],
        "Use": usage(record, subject),
        "Results": _results(record),
        "Curves": _curves(record),
        "Answers before and after": _examples(record) if subject.shows_samples else [],
        "What stands out": _findings(record, findings),
        "Limits": [bullets(limits(record, subject))],
        "Settings": _settings(record),
        "Make it again": _again(record),
    }
    body = [
        part for heading, parts in sections.items() if parts for part in ([f"## {heading}"] if heading else []) + parts
    ]
    return "\n\n".join([front_matter(record, subject, title), f"# {literal(title)}", *body]) + "\n"


def _introduction(record: RunRecord, subject: CardSubject) -> str:
    if subject.step is not None and record.final is None:
        rewards = [reward for reward in record.series("reward") if reward is not None]
        told = f" The average reward of that step was {rewards[-1]:.2f}." if rewards else ""
        return f"The checkpoint of step {subject.step} of a run.{told} Trained with Verifine."
    return f"{literal(describe_outcome(record))} Trained with Verifine."


def _facts(record: RunRecord, subject: CardSubject) -> list[str]:
    return [terms(model_facts(record, subject))]


def _has_curves(record: RunRecord) -> bool:
    return bool(record.metrics or record.evaluations)


def _results(record: RunRecord) -> list[str]:
    baseline, final = record.baseline, record.final
    rows = measure_rows(baseline, final)
    if not rows:
        return []
    problems = max(len(evaluation.problems) for _, evaluation in record.evaluations)
    pairing = pair_up(baseline, final) if baseline and final else None
    told = f"{pluralize(problems, 'problem')} that training never saw, {describe_manner(record)}."
    cells = [
        (row.name, _cell(row.before, row.before_interval), _cell(row.after, row.after_interval), row.change)
        for row in rows
    ]
    heads = (f"n = {problems}, with 95 % intervals", "Base", "Tuned", "Change")
    changes = f" {describe_changes(pairing)}." if pairing is not None and pairing.pairs else ""
    return [told + changes, table(heads, cells, right_aligned=(3,))]


def _cell(value: str, interval: str) -> str:
    return f"{value} ({interval})" if interval else value


def _curves(record: RunRecord) -> list[str]:
    if not _has_curves(record):
        return []
    held_out = " Points: held-out problems, with 95 % intervals." if record.evaluations else ""
    return [f"![Curves of the training run]({CURVES})", f"Thin lines: each step; thick lines: smoothed.{held_out}"]


def _examples(record: RunRecord) -> list[str]:
    if record.baseline is None or record.final is None:
        return []
    pairs = pair_up(record.baseline, record.final).examples()
    told = ["The first held-out problems whose answer changed, with one that got worse if there is any."]
    return [*told, *(part for pair in pairs for part in _example(pair))] if pairs else []


def _example(pair: ProblemPair) -> Iterator[str]:
    gold = "" if pair.before.gold is None else f"; right answer: {code(pair.before.gold)}"
    yield f"**{_CHANGES[pair.change]}**{gold}"
    yield block(_shortened(pair.before.prompt))
    for name, sample in (("Base", pair.before), ("Tuned", pair.after)):
        yield f"{name} ({describe_judgement(sample)}):"
        yield block(_shortened(_whole_text(sample)))


def _whole_text(sample: EvaluatedSample) -> str:
    return sample.opened + sample.text


def _shortened(text: str) -> str:
    cut = len(text) - _LONGEST_QUOTE
    return text if cut <= 0 else f"{text[:_LONGEST_QUOTE]}\n[{cut} more characters]"


def _findings(record: RunRecord, findings: list[Finding]) -> list[str]:
    if not findings:
        return []
    lead, *meanings = describe_success(record, findings) or [""]
    lines = [_finding(finding) for finding in findings]
    explained = [literal(lead), bullets([literal(meaning) for meaning in meanings])] if lead else []
    return [*explained, bullets(lines)]


def _finding(finding: Finding) -> str:
    evidence, steps = describe_evidence(finding), describe_steps(finding.steps)
    details = ", ".join(part for part in (evidence, steps) if part)
    told = f" ({literal(details)})" if details else ""
    return f"{code(finding.name)} ({finding.severity.value}): {literal(finding.what)}{told}"


def _settings(record: RunRecord) -> list[str]:
    changed = changed_settings(portable_config(record.config))
    if not changed:
        return ["Every setting has its default."]
    rows = [(code(key), code(value_text(value)), code(value_text(usual))) for key, (value, usual) in changed.items()]
    return ["The settings that differ from the defaults:", table(("setting", "value", "default"), rows)]


def _again(record: RunRecord) -> list[str]:
    config = portable_config(record.config)
    told = "With this as `config.yaml`, and the data beside it:"
    if record.config.data.task is not None:
        told = "With this as `config.yaml`:"
    command = "verifine train config.yaml"
    brought = () if record.environment is None else record.environment.brought
    if brought:
        arguments = ", ".join(f"{name}=..." for name in brought)
        told = (
            f"{told[:-1]}, and the {' and the '.join(brought)} of the Python program, "
            f"`verifine.train(load_config(...), {arguments})`:"
        )
        return [told, block(printable(dump_changed_settings(config)), "yaml")]
    return [told, block(printable(dump_changed_settings(config)), "yaml"), block(command, "sh")]
