from __future__ import annotations

import pytest

from verifine.graders.units import split_unit


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        (r"12\text{ cm}", "12", "cm"),
        ("12 cm", "12", "cm"),
        ("12cm", "12", "cm"),
        (r"12\mathrm{cm}", "12", "cm"),
        (r"12\text{ cm}^2", "12", "cm^2"),
        (r"12\text{ square centimeters}", "12", "cm^2"),
        (r"12 \text{ sq. cm}", "12", "cm^2"),
        (r"2\pi\text{ meters}", r"2\pi", "m"),
        (r"12\text{ m}", "12", "m"),
        (r"\frac{1}{2}\text{ hours}", r"\frac{1}{2}", "h"),
        (r"12\text{ apples}", "12", "apple"),
        ("5 km/h", "5", "km/h"),
        (r"30^\circ", "30", "degree"),
        (r"30^{\circ}", "30", "degree"),
        ("30 degrees", "30", "degree"),
        (r"12:00\text{ PM}", "12:00", "pm"),
        # Variables, constants, words and what multiplies are no units.
        ("5m", "5m", ""),
        ("5 m", "5 m", ""),
        (r"2\mathrm{e}", r"2\mathrm{e}", ""),
        (r"1 - \frac{1}{\mathrm{e}}", r"1 - \frac{1}{\mathrm{e}}", ""),
        (r"5\text{ million}", r"5\text{ million}", ""),
        (r"4 \text{ or } 5", r"4 \text{ or } 5", ""),
        (r"5 \text{ and}", r"5 \text{ and}", ""),
        (r"A^2\text{ cm}", "A^2", "cm"),
        (r"\text{cm}", r"\text{cm}", ""),
        (r"x\text{ cm}", r"x\text{ cm}", ""),
        (r"3 \text{ (mod 5)}", r"3 \text{ (mod 5)}", ""),
        ("cm", "cm", ""),
        ("12", "12", ""),
        (r"12\text{ hrs}", "12", "h"),
        ("12 hrs", "12", "h"),
        (r"12\text{ yrs}", "12", "year"),
        (r"12\text{ lbs}", "12", "lb"),
        (r"12\text{ ms}", "12", "ms"),
        (r"12\text{ K}", "12", "K"),
        (r"12\text{ square units}", "12", "unit^2"),
        (r"12\text{ miles per hour}", "12", "miles per hour"),
        (r"12\text{ cubic meters}", "12", "m^3"),
        ("", "", ""),
    ],
)
def test_the_unit_of_a_value(text: str, value: str, unit: str) -> None:
    assert split_unit(text) == (value, unit)


@pytest.mark.parametrize(
    "words",
    [
        *("halves", "thirds", "quarters", "tenths", "hundredths", "thousandth", "hundreds", "thousands", "Millions"),
        *("dozens", "lakh", "crores", "bn", "M", "k", "per cent", "percents", "minus one", "plus one", "over three"),
        *("point five", "root two", "choose two", "but also six", "otherwise six", "divided by two", "more than ten"),
        *("at least", "twenty", "th", "cubic"),
    ],
)
def test_words_of_numbers_and_second_thoughts_are_no_units(words: str) -> None:
    text = rf"5\text{{ {words}}}"
    assert split_unit(text) == (text, "")
