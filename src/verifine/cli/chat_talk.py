"""What is typed in a chat, and what is shown for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from rich.console import Console
from rich.text import Text

from verifine.cli.chat_display import make_answer_display, screen_text
from verifine.cli.one_line import one_line
from verifine.insights.outcome import pluralize
from verifine.launch.chat import ChatSession, ReplyListener, ScoredReply
from verifine.types import Example

LONGEST_TURN = 200
"""Characters of a message that are shown before the first question."""

HELP = """\
/next    ask a held-out row of the run, in a conversation of its own
/reset   forget what was said
/quit    end; Ctrl-D does the same
Ctrl-C ends an answer, and that turn is forgotten."""


class ChatTalk:
    """What is typed, and what is shown for it."""

    def __init__(self, console: Console, session: ChatSession, *, is_typed: bool) -> None:
        """`is_typed`: the questions come from a keyboard, so the screen shows them already."""
        self._console = console
        self._session = session
        self._is_typed = is_typed
        self._rows = iter(session.grading.rows)

    def introduce(self, temperature: float) -> None:
        session = self._session
        sampling = "greedy" if temperature == 0 else f"temperature {temperature:g}"
        lines = [f"{' and '.join(session.names)} · {sampling} · up to {session.answer_tokens} tokens"]
        lines += [f"{turn.role}: {one_line(turn.content, LONGEST_TURN)}" for turn in session.opening]
        if session.grading.config is not None:
            what = "all answers" if session.grading.scores_anything else "answers to held-out rows"
            rows = pluralize(len(session.grading.rows), "held-out row")
            lines.append(f"the run's {session.grading.config.type} grader scores {what} ({rows})")
        lines += [f"! {note}" for note in session.grading.notes]
        if self._is_typed:
            asks = "/next asks a held-out row, " if session.grading.rows else ""
            lines.append(f"{asks}/reset forgets what was said, /help tells more, Ctrl-D ends")
        for line in lines:
            self._console.print(Text(line, style="dim"), soft_wrap=True)

    def listen(self, lines: Iterable[str]) -> None:
        """Answers each line, up to the last one or /quit."""
        for line in lines:
            if line == "/quit":
                return
            try:
                self._obey(line)
            except KeyboardInterrupt:
                if not self._is_typed:
                    raise
                self._note("stopped; this turn is forgotten")

    def _obey(self, line: str) -> None:
        match line:
            case "/help":
                self._note(HELP)
            case "/reset":
                self._session.reset()
                self._note("what was said is forgotten")
            case "/next":
                row = next(self._rows, None)
                if row is None:
                    further = "further " if self._session.grading.rows else ""
                    self._note(f"there is no {further}held-out row")
                else:
                    self.ask_row(row)
            case _ if line.startswith("/") and line[1:].isalpha():
                self._note(f"{line} is unknown; /help tells which there are")
            case _:
                if not self._is_typed:
                    self._show_question(line)
                self._ask(line)

    def _ask(self, line: str) -> None:
        self._show(partial(self._session.ask, line), self._session.grading.find_row(line))

    def ask_row(self, row: Example) -> list[ScoredReply]:
        """Asks a row in a conversation of its own."""
        self._show_question(row.messages[-1].content)
        return self._show(partial(self._session.ask_row, row), row)

    def _show(self, ask: Callable[[ReplyListener], list[ScoredReply]], row: Example | None) -> list[ScoredReply]:
        display = make_answer_display(self._console, self._session.names)
        with display:
            replies = ask(display)
        display.show_scores(replies)
        if row is not None and (references := self._session.grading.references(row)):
            self._note(f"reference: {screen_text(' | '.join(references))}")
        return replies

    def ask_rows(self, rows: Sequence[Example]) -> None:
        """Asks all of them, and sums up; Ctrl-C ends that early."""
        asked: list[list[ScoredReply]] = []
        with suppress(KeyboardInterrupt):
            for row in rows:
                asked.append(self.ask_row(row))
                self._console.print()
        for line in summarize_scores(self._session.names, asked):
            self._console.print(line, soft_wrap=True, markup=False)

    def _show_question(self, text: str) -> None:
        self._console.print(Text(f"> {screen_text(text)}", style="bold"), soft_wrap=True)

    def _note(self, text: str) -> None:
        self._console.print(Text(text, style="dim"), soft_wrap=True)


def summarize_scores(names: Sequence[str], asked: Sequence[Sequence[ScoredReply]]) -> list[str]:
    """The mean score of each model, and how often the first one scored higher or lower."""
    scores = [[reply.grade.score if reply.grade is not None else None for reply in replies] for replies in asked]
    lines = []
    for place, name in enumerate(names):
        known = [row[place] for row in scores]
        given = [score for score in known if score is not None]
        mean = f"mean score {sum(given) / len(given):.2f}" if given else "no score"
        lines.append(f"{name}: {mean} ({len(given)} of {len(asked)} answers scored)")
    if len(names) == 2:
        pairs = [(row[0], row[1]) for row in scores if row[0] is not None and row[1] is not None]
        higher, lower = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
        lines.append(
            f"{names[0]} scores higher on {higher}, lower on {lower}, the same on {len(pairs) - higher - lower}"
        )
    return lines
