r"""Which of several choices a text names.

The last `<answer>...</answer>` counts, else the last `\boxed{}`, else the last "answer is ..." or "answer: ...", else
the text if it is a choice and nothing else, else its last line. What counts must name exactly one choice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from verifine.graders.unseen import without_unseen_end

_TAGGED = re.compile(r"<answer>((?:(?!</?answer>).)*+)</answer>", re.IGNORECASE | re.DOTALL)
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*+)\}")
_STATED = re.compile(
    r"\b(?:answer|choice|option)[*_\s]{0,4}(?:(?:is|would be|must be|should be)\b|[:=])[*_\s:]{0,4}"
    r"(?:(?:the|option|choice|letter)\s{1,4}){0,2}[*_(\[{\"'`$]{0,4}",
    re.IGNORECASE,
)
"""The text before the choice in a statement."""
_JOINED = re.compile(
    r"[*_)\]}\"'`\s]{0,4}(?:[,/|&]|\bor\b|\band\b)[*_(\[{\"'`\s]{0,4}(?:option\s{1,4})?[(]?", re.IGNORECASE
)
"""The text between two choices of one statement."""
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|never|nor|neither|except|than)|n['\u2019]t)\s{1,4}(?:(?:the|option|choice)\s{1,4}){0,2}\W{0,3}$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"\W{0,3}\s(?:is|was)(?:n['\u2019]t\b|\s{1,4}(?:not|wrong|incorrect|false)\b)", re.IGNORECASE
)
_LONGEST_DENIAL = 40
_ENDS_CLAUSE = re.compile(r"[*_\"'`$]{0,4}(?:[.,;:!?)\]}<]|\s*\n|\s*\Z)")
_BEHIND_AN_ARTICLE = re.compile(r"\s+(?!(?:or|and|nor|is|because|since|as|but|vs)\b)\w", re.IGNORECASE)
"""What follows the article A and the pronoun I, and seldom follows choices with these names."""
_WRAPPING = " \t\r\n.,;:!()[]{}<>*_`\"'$\\"


class Choices:
    """The choices there are; upper and lower case are the same."""

    def __init__(self, choices: Sequence[str]) -> None:
        self._by_key = {choice.casefold(): choice for choice in choices}
        longest_first = sorted(choices, key=len, reverse=True)
        named = rf"(?:{'|'.join(re.escape(choice) for choice in longest_first)})"
        # Not inside a word, a name such as B-52 or C++, or a number.
        self._mention = re.compile(
            rf"(?<!\w)(?<!\w['\u2019-])(?<![0-9][.,]){named}(?![\w+#]|['\u2019-]\w|[.,][0-9])", re.IGNORECASE
        )

    def find(self, text: str) -> str | None:
        """The choice that equals the text, apart from case and outer punctuation."""
        for each in (text.strip(), text.strip(_WRAPPING)):
            if each.casefold() in self._by_key:
                return self._by_key[each.casefold()]
        return None

    def decide(self, text: str) -> str | None:
        """The choice that the text names; None if it names none, or more than one."""
        text = without_unseen_end(text)
        for explicit in (_TAGGED, _BOXED):
            places = explicit.findall(text)
            if places:
                return self._only_one_in(places[-1])
        statement = self._last_statement(text)
        if statement:
            return _only(statement)
        lines = text.strip().splitlines()
        return self.find(text) or (self._only_one_in(lines[-1].strip()) if lines else None)

    def _only_one_in(self, place: str) -> str | None:
        mentioned = [
            self._named(mention)
            for mention in self._mention.finditer(place)
            if _is_meant(mention) and not _is_denied(mention)
        ]
        return self.find(place) or _only(mentioned)

    def _last_statement(self, text: str) -> list[str]:
        """The choices of the last "answer is ...", where there is one."""
        statement: list[str] = []
        for stated in _STATED.finditer(text):
            mention = self._mention.match(text, stated.end())
            if mention is not None and (_is_meant(mention) or _is_stated(mention)):
                statement = [self._named(mention), *self._joined_to(mention)]
        return statement

    def _joined_to(self, mention: re.Match[str]) -> list[str]:
        """The choices in "or B", "and (B)" and the like after a mention."""
        text, others = mention.string, []
        while (joined := _JOINED.match(text, mention.end())) is not None:
            following = self._mention.match(text, joined.end())
            if following is None:
                break
            mention = following
            others.append(self._named(mention))
        return others

    def _named(self, mention: re.Match[str]) -> str:
        return self._by_key.get(mention[0].casefold(), mention[0])


def _only(choices: Sequence[str]) -> str | None:
    return choices[0] if len(set(choices)) == 1 else None


def _is_meant(mention: re.Match[str]) -> bool:
    """Whether it is more than a word of the sentence: single letters must be capitals, or in brackets."""
    text, letter, (start, end) = mention.string, mention[0], mention.span()
    if len(letter) > 1 or not letter.isalpha():
        return True
    before, behind = text[max(0, start - 1) : start], text[end : end + 1]
    if before + behind in ("()", "[]", "{}") or (start == 0 and behind == ")"):
        return True
    is_article = letter in "AI" and _BEHIND_AN_ARTICLE.match(text, end) is not None
    return letter == letter.upper() and not is_article


def _is_stated(mention: re.Match[str]) -> bool:
    """Whether a single letter after "answer is" is the choice: "the answer is a dog" does not state one."""
    return mention[0] == mention[0].upper() or _ENDS_CLAUSE.match(mention.string, mention.end()) is not None


def _is_denied(mention: re.Match[str]) -> bool:
    """Whether it stands in "not B" or "B is wrong"."""
    text, start = mention.string, mention.start()
    before = text[max(0, start - _LONGEST_DENIAL) : start]
    return bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.match(text, mention.end()))
