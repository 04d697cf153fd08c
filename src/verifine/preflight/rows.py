"""Whether every row has the fields that a grader reads: its templates are filled in for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from verifine.config.graders.template import TemplateReference, parse_template
from verifine.graders.template import MissingFieldError, render
from verifine.types import Example, Sample

SHOWN_ROWS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFault:
    """A row that cannot be graded properly, and why."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFaults:
    """The faulty rows of a dataset."""

    rows: int
    """Rows that were checked."""
    count: int
    """Rows with a fault."""
    first: tuple[RowFault, ...]
    """The first faults, up to SHOWN_ROWS."""

    @property
    def share(self) -> float:
        return self.count / self.rows if self.rows else 0.0

    def describe(self) -> str:
        """The first faults, a line each, and how many more there are."""
        lines = [f"{fault.place}: {fault.reason}" for fault in self.first]
        more = self.count - len(self.first)
        return "\n".join([*lines, f"... and {more} more"] if more else lines)


def collect_faults(verdicts: Iterable[RowFault | None]) -> RowFaults:
    """The reason for each row; None: no fault."""
    rows = count = 0
    first: list[RowFault] = []
    for verdict in verdicts:
        rows += 1
        count += verdict is not None
        if verdict is not None and len(first) < SHOWN_ROWS:
            first.append(verdict)
    return RowFaults(rows=rows, count=count, first=tuple(first))


def missing_fields(templates: Iterable[str]) -> Callable[[Example], RowFault | None]:
    """A function that checks a row for every field that one of the templates names."""
    wanted = dict.fromkeys(
        _alone(part)
        for template in templates
        for part in parse_template(template)
        if isinstance(part, TemplateReference) and part.root == "item"
    )

    def look(row: Example) -> RowFault | None:
        sample = Sample(output_text="", item=row.item)
        try:
            for template in wanted:
                render(template, sample)
        except MissingFieldError as error:
            return RowFault(place=row.label, reason=str(error))
        return None

    return look


def _alone(reference: TemplateReference) -> str:
    """A template of one reference, so that each is tried on its own."""
    steps = (f"[{step}]" if isinstance(step, int) else _quoted(step) for step in reference.steps)
    return f"{{{{ {reference.root}{''.join(steps)} }}}}"


def _quoted(step: str) -> str:
    return f"['{step}']" if '"' in step else f'["{step}"]'
