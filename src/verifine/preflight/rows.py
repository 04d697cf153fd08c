"""Whether every row has what a grader reads: its templates are filled in for each of them, and its tests are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from verifine.config.graders import AnyGrader
from verifine.config.graders.field_path import item_template
from verifine.config.graders.template import TemplateReference, parse_template
from verifine.graders.row_faults import find_row_fault
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


def row_faults(config: AnyGrader) -> Callable[[Example], RowFault | None]:
    """A function that checks a row for every field that the grader names, and for what it makes of them."""
    wanted = dict.fromkeys(
        item_template(part.steps)
        for template in config.traits.templates
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
        fault = find_row_fault(config, row.item)
        return None if fault is None else RowFault(place=row.label, reason=fault)

    return look
