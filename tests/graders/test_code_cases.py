from __future__ import annotations

import json

import pytest

from verifine.graders.code_cases import Case, Cases, CasesError, parse_cases, read_cases
from verifine.graders.sample_error import SampleError
from verifine.graders.sandbox import CallFault, Outcome
from verifine.types import Json


def test_texts_are_standard_input_and_output() -> None:
    cases = parse_cases({"inputs": ["1 2\n", ""], "outputs": ["3\n", "0"]})
    assert cases == Cases(function=None, cases=(Case(stdin="1 2\n", expected="3\n"), Case(stdin="", expected="0")))


def test_a_list_of_lines_is_a_text() -> None:
    assert parse_cases({"inputs": [["1", "2"]], "outputs": [["3"]]}).cases == (Case(stdin="1\n2", expected="3"),)


def test_the_cases_may_be_json_text_and_have_further_fields() -> None:
    text = '{"inputs": ["1"], "outputs": ["2"], "fn_name": null, "source": "site"}'
    assert parse_cases(text) == Cases(function=None, cases=(Case(stdin="1", expected="2"),))


@pytest.mark.parametrize("kind", [{}, {"type": "stdin_stdout"}, {"testtype": "stdin", "fn_name": None}])
def test_a_list_of_pairs_is_the_same_as_two_lists(kind: dict[str, Json]) -> None:
    pairs: Json = [{"input": "1 2\n", "output": "3\n", **kind}, {"input": "", "output": "0", **kind}]
    wanted = Cases(function=None, cases=(Case(stdin="1 2\n", expected="3\n"), Case(stdin="", expected="0")))
    for value in (pairs, json.dumps(pairs), {"language": "python", "test_cases": pairs}):
        assert parse_cases(value) == wanted


def test_a_list_of_pairs_may_call_a_function() -> None:
    pairs: Json = [{"input": [[1, 2], 3], "output": [[4, 5]], "fn_name": "f", "type": "function_call"}]
    assert parse_cases(pairs) == Cases(function="f", cases=(Case(arguments=([1, 2], 3), expected=[4, 5]),))


@pytest.mark.parametrize(
    "item",
    [
        {"a": {"b": {"inputs": ["1"], "outputs": ["2"]}}},
        {"a": '{"b": "{\\"inputs\\": [\\"1\\"], \\"outputs\\": [\\"2\\"]}"}'},
        {"a.b": [{"input": "1", "output": "2"}]},
    ],
)
def test_the_cases_are_found_at_a_path_of_the_row(item: dict[str, Json]) -> None:
    assert read_cases(item, "a.b").cases == (Case(stdin="1", expected="2"),)


def test_a_path_that_leads_nowhere_is_the_rows_fault_and_says_what_is_there() -> None:
    with pytest.raises(SampleError) as caught:
        read_cases({"a": {"c": 1}}, "a.b")
    assert 'no field "a.b"' in str(caught.value)
    assert "there are c" in str(caught.value)


@pytest.mark.parametrize("given", ["[1, 2]\n3", "[1, 2]\n3\n", [[1, 2], 3]])
@pytest.mark.parametrize("expected", ["[4, 5]", [[4, 5]], [4, 5]])
def test_a_function_has_arguments_and_a_result_in_several_forms(given: Json, expected: Json) -> None:
    cases = parse_cases({"fn_name": "f", "inputs": [given], "outputs": [expected]})
    assert cases == Cases(function="f", cases=(Case(arguments=([1, 2], 3), expected=[4, 5]),))


def test_a_list_with_one_element_wraps_the_result_and_json_text_does_not() -> None:
    cases = parse_cases({"fn_name": "f", "inputs": ["", []], "outputs": ["[5]", [5]]})
    assert cases.cases == (Case(expected=[5]), Case(expected=5))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, 'it must be an object {"inputs": [...], "outputs": [...]}'),
        ([], "it has 0 inputs and 0 outputs"),
        ([1], 'its [0] must be an object {"input": ..., "output": ...}'),
        ([{"input": "1"}], "its [0] must be an object"),
        ([{"input": "1", "output": "1", "type": "function_call"}], "no `fn_name` says which"),
        ([{"input": "1", "output": "1", "testtype": "functional"}], "no `fn_name` says which"),
        ([{"input": [1], "output": 1, "fn_name": name} for name in "fg"], "its cases call different functions"),
        ("assert f(1) == 2", "it is not JSON"),
        ("[", "it is not JSON: Expecting value"),
        ({}, "it must have the lists `inputs` and `outputs`"),
        ({"inputs": ["1"], "outputs": "1"}, "it must have the lists"),
        ({"inputs": [], "outputs": []}, "it has 0 inputs and 0 outputs; give as many of each, and at least one"),
        ({"inputs": ["1"], "outputs": ["1", "2"]}, "it has 1 inputs and 2 outputs"),
        ({"inputs": ["1", 2], "outputs": ["1", "2"]}, "its inputs[1] must be text, or a list of lines"),
        ({"inputs": ["1"], "outputs": [1.0]}, "its outputs[0] must be text"),
        ({"inputs": ["1"], "outputs": ["1"], "fn_name": 3}, "its `fn_name` must be the name of a function"),
        ({"inputs": ["1\nx"], "outputs": ["1"], "fn_name": "f"}, "inputs[0] is not JSON"),
        ({"inputs": [1], "outputs": ["1"], "fn_name": "f"}, "its inputs[0] must be a list of arguments"),
        ({"inputs": ["1"], "outputs": ["abc"], "fn_name": "f"}, "outputs[0] is not JSON"),
        ({"inputs": ["1"], "outputs": ["NaN"], "fn_name": "f"}, "outputs[0] is not JSON: NaN is not a JSON number"),
    ],
)
def test_what_are_no_cases_is_explained(value: Json, message: str) -> None:
    with pytest.raises(CasesError) as caught:
        parse_cases(value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("returned", "expected", "passes"),
    [
        (1, 1, True),
        (True, 1, False),
        (1, True, False),
        (1.0, 1, False),
        (1, 1.0, False),
        ("1", 1, False),
        (None, 0, False),
        (None, None, True),
        ([1, [2]], [1, [2]], True),
        ([1, [True]], [1, [1]], False),
        ([1], [1, 2], False),
        ([], {}, False),
        ({"a": [1]}, {"a": [1]}, True),
        ({"a": 1.0}, {"a": 1}, False),
        ({"a": 1, "b": 1}, {"a": 1}, False),
        (0.1 + 0.2, 0.3, False),
    ],
)
def test_results_are_equal_in_value_and_type(returned: Json, expected: Json, passes: bool) -> None:
    assert Case(expected=expected).passes(Outcome(value=returned), is_function=True) is passes


@pytest.mark.parametrize(
    ("printed", "expected", "passes"),
    [
        ("3\n", "3", True),
        ("3", "3\n\n", True),
        ("3 \r\n4\t\n", "3\n4", True),
        ("", "", True),
        ("\n", "", True),
        (" 3", "3", False),
        ("3\n\n4", "3\n4", False),
        ("3 4", "3  4", False),
        ("3.0", "3", False),
        ("3\n4", "3", False),
        ("", "3", False),
    ],
)
def test_only_blanks_at_the_ends_of_lines_do_not_matter(printed: str, expected: str, passes: bool) -> None:
    assert Case(expected=expected).passes(Outcome(stdout=printed), is_function=False) is passes


def test_a_call_that_failed_passes_nothing() -> None:
    assert not Case(expected="3").passes(Outcome(stdout="3", fault=CallFault.RAISED), is_function=False)
    assert not Case(expected=None).passes(Outcome(fault=CallFault.ENDED), is_function=True)
