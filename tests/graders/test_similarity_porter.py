from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.stem.porter import PorterStemmer

from verifine.graders.similarity.porter import MAX_LETTERS, stem

NLTK = PorterStemmer()

ENDINGS = (
    "s es ies sses ss ed ied eed ing ings y ly ally ational tional enci anci izer bli alli entli eli ousli "
    "ization ation ator alism iveness fulness ousness aliti iviti biliti fulli logi logy icate ative alize iciti "
    "ical ful ness al ance ence er ic able ible ant ement ment ent ion tion sion ou ism ate iti ous ive ize e ll "
    "le at bl iz"
)
BEGINNINGS = (
    "a e y b tr hop tax sky fil fall hiss conflat troubl siz feed agr plaster ceas roll controll happ enjo relat "
    "condit valen hesit digit radic differ vil analog vietnam predic oper feud decis hop call form sensit tripl "
    "electr good reviv allow infer airlin gyroscop adjust defens irrit replac depend adopt homolog commun activ "
    "angular effect yy syzyg geo theo"
)


# The examples of Porter's paper, and some that NLTK treats in its own way.
@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("caresses", "caress"),
        ("ponies", "poni"),
        ("cats", "cat"),
        ("feed", "feed"),
        ("agreed", "agre"),
        ("plastered", "plaster"),
        ("bled", "bled"),
        ("motoring", "motor"),
        ("sing", "sing"),
        ("hopping", "hop"),
        ("falling", "fall"),
        ("filing", "file"),
        ("happy", "happi"),
        ("relational", "relat"),
        ("vietnamization", "vietnam"),
        ("hopefulness", "hope"),
        ("electrical", "electr"),
        ("replacement", "replac"),
        ("adoption", "adopt"),
        ("probate", "probat"),
        ("controll", "control"),
        ("roll", "roll"),
        ("dies", "die"),
        ("dying", "die"),
        ("skies", "sky"),
        ("enjoy", "enjoy"),
        ("as", "as"),
        ("42", "42"),
        ("straße", "straße"),
    ],
)
def test_a_word_has_the_stem_that_is_known_for_it(word: str, wanted: str) -> None:
    assert stem(word) == wanted == NLTK.stem(word)


@pytest.mark.slow
@settings(max_examples=2000)
@given(st.sampled_from(BEGINNINGS.split()), st.lists(st.sampled_from(ENDINGS.split()), max_size=3))
def test_made_up_words_have_the_stems_of_nltk(beginning: str, endings: list[str]) -> None:
    word = beginning + "".join(endings)
    assert stem(word) == NLTK.stem(word)


@settings(max_examples=500)
@given(st.text(alphabet="aeiouybcdlstz", min_size=1, max_size=12))
def test_so_have_any_letters(word: str) -> None:
    assert stem(word) == NLTK.stem(word)


def test_what_is_too_long_to_be_a_word_stays_as_it_is() -> None:
    assert stem("a" * (MAX_LETTERS - 1) + "s") == "a" * (MAX_LETTERS - 1)
    assert stem("a" * MAX_LETTERS + "s") == "a" * MAX_LETTERS + "s"
