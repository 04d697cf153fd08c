"""A comparison as headings, tables and paragraphs, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifine.insights.comparison.run_comparison import RunComparison
from verifine.insights.comparison.sentences import (
    Table,
    describe_comparison,
    difference_table,
    explain_verdicts,
    result_table,
    verdict_table,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a text."""

    heading: str = ""
    """Empty: it has none."""
    table: Table | None = None
    otherwise: str = ""
    """What stands in place of a table without rows."""
    paragraphs: tuple[str, ...] = ()


def comparison_sections(comparison: RunComparison, results: Section | None = None) -> list[Section]:
    """Everything that is told of a comparison; `results` stands in place of its table of results."""
    sections = [
        Section(
            heading="What differs",
            table=difference_table(comparison),
            otherwise="nothing but the seed, at most",
        ),
        results
        or Section(
            heading="Held-out problems before and after training, and what it took", table=result_table(comparison)
        ),
    ]
    if comparison.verdicts:
        sections.append(
            Section(
                heading=f"Better than {comparison.entries[0].variant.name}?",
                table=verdict_table(comparison),
                paragraphs=(explain_verdicts(comparison),),
            )
        )
    notes = (f"Note: {note}" for note in comparison.notes)
    return [*sections, Section(paragraphs=(describe_comparison(comparison), *notes))]


def to_markdown(sections: Sequence[Section]) -> str:
    """The sections of a page."""
    parts: list[str] = []
    for section in sections:
        parts += [f"## {section.heading}"] if section.heading else []
        if section.table is not None:
            parts.append(_markdown_table(section.table) if section.table.rows else section.otherwise)
        parts += section.paragraphs
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    rows = [table.columns, ("---",) * len(table.columns), *table.rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
