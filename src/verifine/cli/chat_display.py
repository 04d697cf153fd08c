"""Answers in a terminal while they are written: side by side, or one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from verifine.types import FinishReason, Grade

if TYPE_CHECKING:
    from verifine.launch.chat import ScoredReply

NARROWEST_COLUMNS = 80
"""Columns of a terminal from which two answers stand side by side."""

_AROUND = 4
"""Lines of a screen beside the answers: their names, and what is typed."""


class AnswerDisplay(Protocol):
    """Shows the answers to one question. At the end of its context, what was heard stays on the screen."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def hear(self, place: int, text: str) -> None: ...

    def end(self, place: int) -> None: ...

    def show_scores(self, replies: Sequence[ScoredReply]) -> None:
        """After the context."""
        ...


def make_answer_display(console: Console, names: Sequence[str]) -> AnswerDisplay:
    """The one for this terminal, or for no terminal."""
    is_wide = console.is_terminal and not console.is_dumb_terminal and console.width >= NARROWEST_COLUMNS
    return ColumnDisplay(console, names) if len(names) > 1 and is_wide else SequentialDisplay(console, names)


def screen_text(text: str) -> str:
    """Text of a model without control characters that a terminal would obey."""
    return "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in text)


def describe_reply(scored: ScoredReply) -> str:
    """`score 0.10, wrong · 34 tokens`."""
    if scored.reply is None:
        return f"no answer: {scored.error}"
    count = scored.reply.token_count
    parts = [] if scored.grade is None else [describe_score(scored.grade)]
    parts.append(f"{count} token{'' if count == 1 else 's'}")
    if scored.reply.finish_reason is FinishReason.LENGTH:
        parts.append("cut off")
    return " · ".join(parts)


def describe_score(grade: Grade) -> str:
    """`score 1.00, right`."""
    if grade.score is None:
        return f"no score: {screen_text(grade.reason or 'the grader gives no reason')}"
    verdicts = [] if grade.answer_ok is None else ["right" if grade.answer_ok else "wrong"]
    if grade.format_ok is False:
        verdicts.append("wrong format")
    return ", ".join([f"score {grade.score:.2f}", *verdicts])


class SequentialDisplay:
    """One answer after the other; what is written of later ones meanwhile is kept until their turn."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self._console = console
        self._names = names
        self._texts = ["" for _ in names]
        self._has_ended = [False for _ in names]
        self._place = 0
        """Of the answer that is shown."""

    def __enter__(self) -> Self:
        self._show_name()
        return self

    def __exit__(self, *_: object) -> None:
        while self._place < len(self._names):
            self._next()

    def hear(self, place: int, text: str) -> None:
        if place == self._place:
            self._write(text)
        else:
            self._texts[place] += text

    def end(self, place: int) -> None:
        self._has_ended[place] = True
        while self._place < len(self._names) and self._has_ended[self._place]:
            self._next()

    def _next(self) -> None:
        self._console.print()
        self._place += 1
        if self._place < len(self._names):
            self._show_name()
            self._write(self._texts[self._place])

    def _show_name(self) -> None:
        if len(self._names) > 1:
            self._console.print(Text(self._names[self._place], style="bold"))

    def _write(self, text: str) -> None:
        self._console.out(screen_text(text), end="", highlight=False)
        self._console.file.flush()

    def show_scores(self, replies: Sequence[ScoredReply]) -> None:
        for name, reply in zip(self._names, replies, strict=True):
            begin = f"{name}: " if len(self._names) > 1 else ""
            self._console.print(Text(f"{begin}{describe_reply(reply)}", style="dim"), soft_wrap=True)


class ColumnDisplay:
    """A column for each answer. While they are written, only their last lines are shown if they are longer."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self._console = console
        self._names = names
        self._texts = ["" for _ in names]
        self._live = Live(console=console, transient=True, refresh_per_second=8, get_renderable=self._growing)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        self._console.print(self._columns([Text(text) for text in self._texts]))

    def hear(self, place: int, text: str) -> None:
        self._texts[place] += screen_text(text)

    def end(self, place: int) -> None: ...

    def show_scores(self, replies: Sequence[ScoredReply]) -> None:
        cells = [Text(describe_reply(reply), style="dim") for reply in replies]
        self._console.print(self._grid(cells))

    @property
    def _width(self) -> int:
        """With space for the ^C that a terminal writes, which would break the line and move what is redrawn."""
        return self._console.width - len("^C") - 1

    def _growing(self) -> RenderableType:
        height = max(self._console.height - _AROUND, 1)
        width = max(self._width // len(self._names) - 2, 1)
        lines = [Text(text).wrap(self._console, width)[-height:] for text in self._texts]
        return self._columns([Text("\n").join(each) for each in lines])

    def _columns(self, texts: Sequence[Text]) -> Table:
        names = [Text(name, style="bold") for name in self._names]
        return self._grid(names, texts)

    def _grid(self, *rows: Sequence[Text]) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        table.width = self._width
        for _ in self._names:
            table.add_column(ratio=1)
        for row in rows:
            table.add_row(*row)
        return table
