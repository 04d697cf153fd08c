r"""Which of several choices a text names.

Only what stands behind the last `</think>` is read. There the last `<answer>...</answer>` counts, else the last
`\boxed{}`, else the last "answer is ..." or "answer: ...", else the text if it is a choice and nothing else, else its
last line. What counts must name exactly one choice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from verifine.data.thoughts import behind_thoughts
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
    r"[*_()\[\]{}\"'`\s]{0,4}"
    r"(?:(?:[,;/|&+]|\b(?:or|and|plus|as\s{1,4}well\s{1,4}as|alternatively|maybe|perhaps|possibly)\b)"
    r"[*_(\[{\"'`\s]{0,4}){1,5}(?:(?:the|option|choice)\s{1,4}){0,2}[(]?",
    re.IGNORECASE,
)
"""The text between two choices of one statement."""
_JOINS_STATEMENTS = re.compile(r"\W{0,6}(?:or|and|alternatively)\b[^.!?\n]{0,40}", re.IGNORECASE)
"""The text between the first choice and the second "answer is" of one hedge."""
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|never|nor|neither|except|than)|n['\u2019]t)\s{1,4}(?:(?:the|option|choice)\s{1,4}){0,2}\W{0,3}$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"\W{0,3}\s(?:(?:is|was)n['\u2019]t\b|(?:is|was|would\s{1,4}be)\s{1,4}(?:not|wrong|incorrect|false)\b)",
    re.IGNORECASE,
)
_LONGEST_DENIAL = 40
_ENDS_CLAUSE = re.compile(r"[*_\"'`$]{0,4}(?:[.,;:!?)\]}<]|\s*\n|\s*\Z)")
_BEHIND_AN_ARTICLE = re.compile(r"\s+(?!(?:or|and|nor|is|because|since|as|but|vs)\b)\w", re.IGNORECASE)
"""What follows the article A and the pronoun I, and seldom follows choices with these names."""
_NO_BEFORE_A_NOUN = (
    re.compile(r"(?:\b(?:is|are|was|were|be|have|has|had|with|for|of)|['\u2019]s)\s{1,4}$", re.IGNORECASE),
    re.compile(
        r"\s{1,4}(?!(?:because|since|as|but|and|or|for|if|when|to|not|it|they|he|she|we|you|i|the|this|that|there)\b)"
        r"[^\W\d_]",
        re.IGNORECASE,
    ),
)
"""What stands before and behind "no" in "there is no way", which says no more than "not a"."""
_WRAPPING = " \t\r\n.,;:!()[]{}<>*_`\"'$\\"


class Choices:
    """The choices there are; upper and lower case are the same."""

    def __init__(self, choices: Sequence[str]) -> None:
        self._by_key = {choice.casefold(): choice for choice in choices}
        longest_first = sorted(choices, key=len, reverse=True)
        named = rf"(?:{'|'.join(re.escape(choice) for choice in longest_first)})"
        # Not inside a word, a name such as B-52 or C++, or a number such as -1.
        self._mention = re.compile(
            rf"(?<!\w)(?<!\w['\u2019-])(?<![0-9][.,])(?:(?![0-9])|(?<![-\u2212\u2013^])){named}"
            r"(?![\w#%^]|\+(?!\w)|['\u2019-]\w|[.,][0-9])",
            re.IGNORECASE,
        )

    def find(self, text: str) -> str | None:
        """The choice that equals the text, apart from case and outer punctuation."""
        for each in (text.strip(), text.strip(_WRAPPING)):
            if each.casefold() in self._by_key:
                return self._by_key[each.casefold()]
        return None

    def decide(self, text: str) -> str | None:
        """The choice that the text names; None if it names none, or more than one."""
        text = without_unseen_end(behind_thoughts(text))
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
        end = 0
        for stated in _STATED.finditer(text):
            mention = self._mention.match(text, stated.end())
            if mention is None or _DENIED_AFTER.match(text, mention.end()) is not None:
                continue
            if _is_meant(mention) or _is_stated(mention):
                is_joined = bool(statement) and _JOINS_STATEMENTS.fullmatch(text, end, stated.start()) is not None
                named, next_end = self._named_from(mention)
                statement = [*statement, *named] if is_joined else named
                end = next_end
        return statement

    def _named_from(self, mention: re.Match[str]) -> tuple[list[str], int]:
        """The choice of a mention and those in "or B", "and (B)" and the like after it, and where the last one ends."""
        text, named, end = mention.string, [self._named(mention)], mention.end()
        while (joined := _JOINED.match(text, mention.end())) is not None:
            following = self._mention.match(text, joined.end())
            if following is None or _is_article(following):
                break
            mention = following
            if _DENIED_AFTER.match(text, mention.end()) is None:
                named.append(self._named(mention))
                end = mention.end()
        return named, end

    def _named(self, mention: re.Match[str]) -> str:
        return self._by_key.get(mention[0].casefold(), mention[0])


def _only(choices: Sequence[str]) -> str | None:
    return choices[0] if len(set(choices)) == 1 else None


def _is_meant(mention: re.Match[str]) -> bool:
    """Whether it is more than a word of the sentence: single letters must be capitals, or in brackets."""
    text, letter, (start, end) = mention.string, mention[0], mention.span()
    if letter == "no":
        before, behind = _NO_BEFORE_A_NOUN
        return before.search(text[max(0, start - _LONGEST_DENIAL) : start]) is None or behind.match(text, end) is None
    if len(letter) > 1 or not letter.isalpha():
        return True
    around = text[max(0, start - 1) : start] + text[end : end + 1]
    if around in ("()", "[]", "{}") or (start == 0 and around == ")"):
        return True
    is_article = letter in "AI" and _BEHIND_AN_ARTICLE.match(text, end) is not None
    return letter == letter.upper() and not is_article


def _is_article(mention: re.Match[str]) -> bool:
    """Whether it is the article of "B, a city" or the pronoun of "B; I think so"."""
    return mention[0] in ("a", "I") and _BEHIND_AN_ARTICLE.match(mention.string, mention.end()) is not None


def _is_stated(mention: re.Match[str]) -> bool:
    """Whether a single letter after "answer is" is the choice: "the answer is a dog" does not state one."""
    return mention[0] == mention[0].upper() or _ENDS_CLAUSE.match(mention.string, mention.end()) is not None


def _is_denied(mention: re.Match[str]) -> bool:
    """Whether it stands in "not B" or "B is wrong"."""
    text, start = mention.string, mention.start()
    before = text[max(0, start - _LONGEST_DENIAL) : start]
    return bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.match(text, mention.end()))
