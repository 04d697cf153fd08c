r"""The unit behind a value: `12 cm`, `12\text{ apples}`, `30^\circ`."""

from __future__ import annotations

import re

_ALIASES = {
    **dict.fromkeys(("centimeter", "centimetre"), "cm"),
    **dict.fromkeys(("millimeter", "millimetre"), "mm"),
    **dict.fromkeys(("meter", "metre"), "m"),
    **dict.fromkeys(("kilometer", "kilometre"), "km"),
    **dict.fromkeys(("kilogram", "kgs"), "kg"),
    **dict.fromkeys(("gram", "gm"), "g"),
    **dict.fromkeys(("foot", "feet"), "ft"),
    **dict.fromkeys(("inch", "inche"), "in"),
    **dict.fromkeys(("hour", "hr"), "h"),
    **dict.fromkeys(("minute", "mins"), "min"),
    **dict.fromkeys(("second", "sec"), "s"),
    **dict.fromkeys(("liter", "litre"), "L"),
    **dict.fromkeys(("degree", "deg", r"^\circ", r"\circ"), "degree"),
    **dict.fromkeys(("dollar", "usd"), "$"),
    "euro": "\u20ac",
    "cent": "\u00a2",
    "yard": "yd",
    "mile": "mi",
    "pound": "lb",
}
"""Words for a unit, and the one that is kept."""
_SHORT_ALIASES = {"yr": "year", "wk": "week", "oz": "ounce", "gal": "gallon"}
"""The same inside `\\text{}` alone; elsewhere they are products of variables."""
_KNOWN = _ALIASES | _SHORT_ALIASES
_PLAIN_UNITS = sorted(
    {
        *_ALIASES,
        *("cm", "mm", "km", "kg", "mg", "ml", "ft", "lb", "lbs", "mph", "km/h", "m/s", "ounce", "gallon"),
        *("min", "hrs", "year", "month", "week", "day", "unit", "people", "student", "apple", "point"),
    },
    key=lambda unit: (-len(unit), unit),
)
"""Units that are known without `\\text{}`. A single letter is a variable there."""
_SHORT_NAMES = {*_PLAIN_UNITS, *_ALIASES.values(), *_SHORT_ALIASES} - {"m"}

_POWER = r"(?:\s*\^\s*\{?\s*([23])\s*\}?)?"
_BARE = re.compile(
    r"(?<=[\d})\s])\s{0,4}((?:square\s|sq\.?\s|cubic\s)?"
    rf"(?:{'|'.join(map(re.escape, _PLAIN_UNITS))})(?:s|es)?)"
    rf"{_POWER}\s*\.?$",
    re.IGNORECASE,
)
_TEXT = re.compile(rf"\\(?:text|mbox|textrm|textit|mathrm|operatorname)\s?\{{([^{{}}\\$]{{1,60}})\}}{_POWER}\s*\.?$")
_DEGREES = re.compile(r"\^\s*\{?\s*(\\circ)\s*\}?()$")
_UNIT_WORDS = re.compile(r"[^\W\d_]+(?:[ ./-]+[^\W\d_]+){0,4}\.?")
_NO_UNITS = re.compile(
    r"\b(?:M|MM|B|k|(?i:and|or|if|when|where|is|not|but|any|all|no|maybe|perhaps|otherwise|also|else|then|either|neither|nor"
    r"|for|to|mod|modulo|base|e|i|d|x|y|n|pi|bn|bln|mn|mln|tn|trn|mil|bil|grand|ppm|ppb|bps|th|nd|rd"
    r"|(?:hundred|thousand|million|billion|trillion|dozen|lakh|crore|couple|third|quarter|fourth|fifth|sixth|seventh"
    r"|eighth|ninth|tenth|eleventh|twelfth|twentieth|hundredth|thousandth|millionth|billionth|time|percent)s?"
    r"|half|halves|score|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    r"|(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty"
    r"|per\s+(?:cent|mille?)|squared|cubed|factorial|exp|log|ln|sqrt|root|power|(?:cubic|square)$|choose|plus|minus|over|divided|multiplied"
    r"|less|more|fewer|least|most|about|approximately|roughly|almost|nearly))\b"
)
"""Words that say more than a unit, and letters that are constants, variables or multiples."""
_ENDS_VALUE = re.compile(r"[\d\w)}\]!]$")


def split_unit(text: str) -> tuple[str, str]:
    """The value and its unit in one spelling; the unit is empty where the text has none that can be told from it."""
    for pattern in (_TEXT, _BARE, _DEGREES):
        match = pattern.search(text)
        value = "" if match is None else text[: match.start()].strip()
        if match is None or _ENDS_VALUE.search(value) is None or not any(each.isdigit() for each in value):
            continue
        words = match[1].strip()
        is_known = pattern is not _TEXT or _UNIT_WORDS.fullmatch(words) is not None
        if is_known and _NO_UNITS.search(words) is None:
            return value, _in_one_spelling(words, match[2])
    return text, ""


def _in_one_spelling(words: str, power: str | None) -> str:
    name = " ".join(words.replace(".", "").split())
    for prefix, exponent in (("square ", "2"), ("sq ", "2"), ("cubic ", "3")):
        if name.lower().startswith(prefix):
            name, power = name[len(prefix) :], exponent
    key = name.lower()
    singular = key[:-1] if key.endswith("s") and (len(key) > 3 or key[:-1] in _SHORT_NAMES) else key
    kept = _KNOWN.get(key) or _KNOWN.get(singular) or (singular if len(name) > 1 else name)
    return f"{kept}^{power}" if power else kept
