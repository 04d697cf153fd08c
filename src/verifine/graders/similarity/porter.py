"""The stem of an English word: Porter's algorithm (1980), with the changes that NLTK makes to it.

A word is read as consonants and vowels; the measure of a part is how often a vowel is followed by a consonant in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

_IRREGULAR: Mapping[str, str] = {
    "skies": "sky",
    "sky": "sky",
    "dying": "die",
    "lying": "lie",
    "tying": "tie",
    "news": "news",
    "innings": "inning",
    "inning": "inning",
    "outings": "outing",
    "outing": "outing",
    "cannings": "canning",
    "canning": "canning",
    "howe": "howe",
    "proceed": "proceed",
    "exceed": "exceed",
    "succeed": "succeed",
}

_STEP_2: Mapping[str, str] = {
    "ational": "ate",
    "tional": "tion",
    "enci": "ence",
    "anci": "ance",
    "izer": "ize",
    "bli": "ble",
    "alli": "al",
    "entli": "ent",
    "eli": "e",
    "ousli": "ous",
    "ization": "ize",
    "ation": "ate",
    "ator": "ate",
    "alism": "al",
    "iveness": "ive",
    "fulness": "ful",
    "ousness": "ous",
    "aliti": "al",
    "iviti": "ive",
    "biliti": "ble",
    "fulli": "ful",
}
_STEP_3: Mapping[str, str] = {
    "icate": "ic",
    "ative": "",
    "alize": "al",
    "iciti": "ic",
    "ical": "ic",
    "ful": "",
    "ness": "",
}
_STEP_4 = (
    "al",
    "ance",
    "ence",
    "er",
    "ic",
    "able",
    "ible",
    "ant",
    "ement",
    "ment",
    "ent",
    "ion",
    "ou",
    "ism",
    "ate",
    "iti",
    "ous",
    "ive",
    "ize",
)
"""Among suffixes with the same ending the longer one comes first, here and above."""


MAX_LETTERS = 100
"""Longer texts are not words."""


def stem(word: str) -> str:
    """The stem of a word in lower case; what is not English comes back with at most an ending changed."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    return _stem(word) if 2 < len(word) <= MAX_LETTERS else word


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    word = _singular(word)
    word = _present(word)
    if word.endswith("y") and len(word) > 2 and _shape(word)[-2] == "c":
        word = word[:-1] + "i"
    word = _shorten_double_suffix(word)
    word = _replace_suffix(word, _STEP_3)
    word = _drop_suffix(word)
    return _tidy(word)


def _shape(word: str) -> str:
    """Each consonant as c and each vowel as v; a y is a vowel after a consonant."""
    shape = ""
    for letter in word:
        is_vowel = letter in "aeiou" or (letter == "y" and shape.endswith("c"))
        shape += "v" if is_vowel else "c"
    return shape


def _measure(word: str) -> int:
    return _shape(word).count("vc")


def _is_short(word: str) -> bool:
    """Whether it ends like `hop`: an e may have been lost, or must stay."""
    shape = _shape(word)
    return shape == "vc" or (shape.endswith("cvc") and word[-1] not in "wxy")


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("sses"):
        return word[:-2]
    return word if word.endswith("ss") else word.removesuffix("s")


def _present(word: str) -> str:
    """Without -ed and -ing, and with what they had changed."""
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) else word
    part = word.removesuffix("ed") if word.endswith("ed") else word.removesuffix("ing")
    if part == word or "v" not in _shape(part):
        return word
    if part.endswith(("at", "bl", "iz")):
        return part + "e"
    if part[-1] == part[-2:-1] and _shape(part)[-1] == "c":
        return part if part[-1] in "lsz" else part[:-1]
    return part + "e" if _measure(part) == 1 and _is_short(part) else part


def _shorten_double_suffix(word: str) -> str:
    if word.endswith("alli") and _measure(word[:-4]):
        word = word[:-2]
    if word.endswith("logi"):
        return word[:-1] if _measure(word[:-3]) else word
    return _replace_suffix(word, _STEP_2)


def _replace_suffix(word: str, replacements: Mapping[str, str]) -> str:
    suffix = next((each for each in replacements if word.endswith(each)), None)
    if suffix is None or not _measure(word.removesuffix(suffix)):
        return word
    return word.removesuffix(suffix) + replacements[suffix]


def _drop_suffix(word: str) -> str:
    suffix = next((each for each in _STEP_4 if word.endswith(each)), None)
    if suffix is None:
        return word
    part = word.removesuffix(suffix)
    if _measure(part) < 2 or (suffix == "ion" and part[-1] not in "st"):
        return word
    return part


def _tidy(word: str) -> str:
    """Without a last e or l that the stem does not need."""
    part = word.removesuffix("e")
    if part != word and (_measure(part) > 1 or (_measure(part) == 1 and not _is_short(part))):
        word = part
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word
