"""The test cases of a row, and whether the outcome of a program passes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from verifine.data.field_path import DeadEndError, find_field
from verifine.data.strict_json import JsonError, parse_json
from verifine.graders.sample_error import SampleError
from verifine.graders.sandbox import Outcome
from verifine.types import GradeFault, Json

_FUNCTIONAL = ("function_call", "functional")
"""Types of cases that call a function, by the names of other systems."""


class CasesError(ValueError):
    """The row's test cases cannot be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An input and the expected output. The program sees only the input."""

    stdin: str = ""
    arguments: tuple[Json, ...] = ()
    expected: Json

    def passes(self, outcome: Outcome, *, is_function: bool) -> bool:
        """Compared here, outside the sandbox: a function's result exactly, its types included, or what was printed."""
        if outcome.fault is not None:
            return False
        if is_function:
            return _same(outcome.value, self.expected)
        return isinstance(self.expected, str) and _lines(outcome.stdout) == _lines(self.expected)

    @property
    def expected_bytes(self) -> int:
        """How long the expected output is, as JSON."""
        return len(json.dumps(self.expected))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """The tests of one row."""

    function: str | None
    """What is called; None: the program reads standard input and prints."""
    cases: tuple[Case, ...]


def read_cases(item: Mapping[str, Json], path: str) -> Cases:
    """The cases at a path of the row.

    Raises:
        SampleError: there are none, or they cannot be used.
    """
    try:
        return parse_cases(find_field(item, path))
    except DeadEndError as end:
        inside = ", ".join(end.value) if isinstance(end.value, dict) else "no fields"
        inside += f": the text there is not JSON: {end.why_text}" if end.why_text else ""
        reason = f'the row has no field "{path}" with test cases; where the path ends there are {inside}'
        raise SampleError(reason, GradeFault.INVALID_VARIABLE) from end
    except CasesError as error:
        reason = f'the row\'s field "{path}" cannot be used: {error}'
        raise SampleError(reason, GradeFault.INVALID_VARIABLE) from error


def parse_cases(value: Json) -> Cases:
    """The cases of `{inputs: [...], outputs: [...]}`, or of a list of `{input, output}`; both may also be JSON text.

    Without `fn_name`, each input and output is a text, or a list of lines. With it, an input is a list of arguments,
    or text with one JSON value a line; an output is JSON text, or a list with one element, or else the value itself.

    Raises:
        CasesError: the value does not have this form.
    """
    fields = _parsed(value, "it") if isinstance(value, str) else value
    if isinstance(fields, dict) and isinstance(listed := fields.get("test_cases"), list):
        fields = listed
    if isinstance(fields, list):
        fields = _side_by_side(fields)
    if not isinstance(fields, dict):
        raise CasesError('it must be an object {"inputs": [...], "outputs": [...]}, or a list of {"input", "output"}')
    inputs, outputs, function = fields.get("inputs"), fields.get("outputs"), fields.get("fn_name")
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        raise CasesError("it must have the lists `inputs` and `outputs`")
    if not inputs or len(inputs) != len(outputs):
        raise CasesError(
            f"it has {len(inputs)} inputs and {len(outputs)} outputs; give as many of each, and at least one"
        )
    if not isinstance(function, str | None):
        raise CasesError("its `fn_name` must be the name of a function")
    pairs = enumerate(zip(inputs, outputs, strict=True))
    if function:
        return Cases(function=function, cases=tuple(_function_case(index, *pair) for index, pair in pairs))
    return Cases(function=None, cases=tuple(_program_case(index, *pair) for index, pair in pairs))


def _side_by_side(cases: Sequence[Json]) -> dict[str, Json]:
    """`{inputs, outputs, fn_name}` of a list of `{input, output}`, each of which may name the function it calls."""
    for index, case in enumerate(cases):
        if not isinstance(case, dict) or not {"input", "output"} <= case.keys():
            raise CasesError(f'its [{index}] must be an object {{"input": ..., "output": ...}}')
    pairs = [case for case in cases if isinstance(case, dict)]
    functions = [case.get("fn_name") for case in pairs]
    if any(function != functions[0] for function in functions):
        raise CasesError("its cases call different functions; give all of them the same `fn_name`")
    if not any(functions) and any(_is_functional(case) for case in pairs):
        raise CasesError("its cases call a function, but no `fn_name` says which; give each case one")
    inputs, outputs = [case["input"] for case in pairs], [case["output"] for case in pairs]
    return {"inputs": inputs, "outputs": outputs, "fn_name": functions[0] if functions else None}


def _is_functional(case: Mapping[str, Json]) -> bool:
    return case.get("type") in _FUNCTIONAL or case.get("testtype") in _FUNCTIONAL


def _program_case(index: int, given: Json, expected: Json) -> Case:
    return Case(stdin=_text(given, f"inputs[{index}]"), expected=_text(expected, f"outputs[{index}]"))


def _function_case(index: int, given: Json, expected: Json) -> Case:
    if isinstance(given, str):
        lines = given.rstrip("\n").split("\n") if given.strip() else []
        given = [_parsed(line, f"inputs[{index}]") for line in lines]
    if not isinstance(given, list):
        raise CasesError(f"its inputs[{index}] must be a list of arguments, or text with one JSON value a line")
    if isinstance(expected, str):
        expected = _parsed(expected, f"outputs[{index}]")
    elif isinstance(expected, list) and len(expected) == 1:
        expected = expected[0]
    return Case(arguments=tuple(given), expected=expected)


def _text(value: Json, place: str) -> str:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(str(line) for line in value)
    if not isinstance(value, str):
        raise CasesError(f"its {place} must be text, or a list of lines; with `fn_name` it may be any JSON")
    return value


def _parsed(text: str, place: str) -> Json:
    try:
        return parse_json(text)
    except JsonError as error:
        raise CasesError(f"{place} is not JSON: {error}") from error


def _same(left: Json, right: Json) -> bool:
    """Equal in value and type: 1 is neither True nor 1.0."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


def _lines(text: str) -> Sequence[str]:
    """The lines without trailing blanks, and without blank lines at the end."""
    return [line.rstrip() for line in text.rstrip().split("\n")]
