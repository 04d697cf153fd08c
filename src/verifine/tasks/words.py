"""Tasks on words: count a letter."""

from __future__ import annotations

from functools import cache

from verifine.config.graders import AnswerGraderConfig
from verifine.tasks.task import ProblemSet, TaskProblem

_FREQUENT_LETTERS = "etaoinshrdlu"

_WORDS = """
accommodate address afternoon agree airplane alphabet already animal apple apricot arrive artist assess attention
autumn balloon banana basketball beautiful bedroom beginning believe between bicycle blossom bookkeeper bottle
breakfast bubble butter cabbage calendar camera cannot carrot celebrate challenge cheese cherry chicken chocolate
cinnamon coffee collect committee community cookie cotton country crossroads cucumber current daughter december
decide deep dessert different difficult dinner discuss dollar eleven elephant engineer evening everyone example
excellent family feeling fellow fifteen finger flower follow football forgotten fourteen freedom funny garden
generation giraffe glasses goodness grammar grass green greeting grocery hammer happiness happy harbor helicopter
hello holiday hospital hundred illness important impossible interest island issue jewellery july kangaroo kettle
keyboard kitchen kitten knowledge ladder language laughter leather letter library little lollipop lottery machine
magazine mammal marmalade meeting message middle million minimum mirror mississippi mountain mushroom narrow
necessary needle newspaper nineteen occurrence october office onion orange original parallel parrot passenger peanut
pepper piano pillow pineapple planet pocket possess potato pressure professor pumpkin puppet puzzle quarter question
rabbit railroad raspberry referee remember restaurant river scissors season sentence september seventeen seventy
shadow silver sister skill sleeping slippery smooth sparrow spelling spinach squirrel station stomach strawberry
street success sugar summer sunflower suppose teacher teeth telephone television tennis terrific tomato tomorrow
tooth travel treasure umbrella uncommon understand university vacuum valley vanilla vegetable village violin wallet
water weather weekend welcome whisper willow window winter wonderful woollen yellow yesterday zipper
"""


def count_letters() -> ProblemSet:
    return ProblemSet(
        system="Answer with a number inside <answer></answer>.",
        shot_question=_question("o", "book"),
        shot_answer="2",
        size=len(_letters_in_words()),
        problem=_count,
        grader=AnswerGraderConfig(type="answer", name="count", compare="number"),
        max_new_tokens=16,
    )


def _count(index: int) -> TaskProblem:
    letter, word = _letters_in_words()[index]
    return TaskProblem(question=_question(letter, word), answer=str(word.count(letter)))


def _question(letter: str, word: str) -> str:
    return f"How many times does the letter {letter} occur in {word}?"


@cache
def _letters_in_words() -> tuple[tuple[str, str], ...]:
    return tuple((letter, word) for word in _WORDS.split() for letter in _letters(word))


def _letters(word: str) -> list[str]:
    """Each letter that occurs more than once, one that occurs once and one that is absent.

    All letters of all words would be asked for as well, but then "1" would nearly always be right.
    """
    letters = list(dict.fromkeys(word))
    repeated = [letter for letter in letters if word.count(letter) > 1]
    single = [letter for letter in letters if word.count(letter) == 1]
    absent = [letter for letter in _FREQUENT_LETTERS if letter not in word]
    return [*repeated, *single[:1], *absent[:1]]
