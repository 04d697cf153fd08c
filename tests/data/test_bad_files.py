"""Files that people give by mistake: each is refused with its line, the reason and the way out."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import lzma
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.data import read_examples
from verifine.errors import DataError

CHAT = b'"messages": [{"role": "user", "content": "2 + 2?"}]'
GOOD = b"{" + CHAT + b', "gt_answer": "4"}\n'
MIB = 1 << 20


def row(**fields: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "2 + 2?"}], **fields}).encode() + b"\n"


def chat(*turns: Any, **fields: Any) -> bytes:
    return json.dumps({"messages": list(turns), **fields}).encode() + b"\n"


def tool(**function: Any) -> bytes:
    return row(tools=[{"type": "function", "function": function}])


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("train.jsonl", GOOD)
    return buffer.getvalue()


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (a)")
    data = connection.serialize()
    connection.close()
    return data


USER = {"role": "user", "content": "2 + 2?"}
SECOND: dict[str, tuple[bytes, str]] = {
    # Text
    "latin-1": (b'{"x": "caf\xe9"}\n', "byte 11 is not UTF-8; save the file as UTF-8"),
    "cp1252 quotation marks": (b"{\x93x\x94: 1}\n", "byte 2 is not UTF-8"),
    "half a UTF-8 character": (b'{"x": "\xe2\x82"}\n', "byte 8 is not UTF-8"),
    "overlong UTF-8": (b'{"x": "\xc0\xaf"}\n', "byte 8 is not UTF-8"),
    "surrogate in UTF-8": (b'{"x": "\xed\xa0\x80"}\n', "byte 8 is not UTF-8"),
    "lone surrogate escape": (rb'{"x": "\ud800"}' + b"\n", r"\ud800 is half of a character (a lone surrogate)"),
    "surrogates in the wrong order": (rb'{"x": "\ude00\ud83d"}' + b"\n", r"\ude00 is half of a character"),
    "lone surrogate in a key": (rb'{"\udfff": 1}' + b"\n", r"\udfff is half of a character"),
    "NUL byte": (b'{"x": "a\0b"}\n', "byte 9 is NUL, which no text holds"),
    "zeros of a crashed disk": (b"\0" * 64 + b"\n", "byte 1 is NUL"),
    "byte order mark inside": (codecs.BOM_UTF8 + GOOD, "a byte order mark before the row (files joined into one?)"),
    "control character in a text": (b'{"x": "a\tb"}\n', "not JSON (column 9: Invalid control character at)"),
    "20 MB line": (
        b'{"x": "' + b"a" * 20 * MIB + b'"}\n',
        "the line has 20,971,530 bytes, but a row may have 1,048,576 bytes (1 MiB) at most; shorten it",
    ),
    "one byte over the limit": (row(x="a" * (MIB - len(row(x="")) + 1)), "the line has 1,048,577 bytes"),
    # JSON
    "unquoted key": (b"{messages: 1}\n", "not JSON (column 2: Expecting property name enclosed in double quotes)"),
    "single quotes": (b"{'messages': []}\n", "double quotes); JSON puts texts between double quotes"),
    "Python's None": (b'{"x": None}\n', "not JSON (column 7: Expecting value)"),
    "comment": (b"// the second half\n", "not JSON (column 1: Expecting value)"),
    "trailing comma in an object": (b"{" + CHAT + b",}\n", "remove the comma before the bracket"),
    "trailing comma in a list": (b'{"x": [1, 2,]}\n', "remove the comma before the bracket"),
    "comma after the line": (GOOD.strip() + b",\n", "Extra data); no comma stands between lines; remove it"),
    "two objects on one line": (GOOD.strip() + GOOD, "two objects stand on one line; give each a line of its own"),
    "cut off in the middle": (GOOD[:46] + b"\n", "not JSON (column 43: Unterminated string"),
    "cut off before the bracket": (GOOD.strip()[:-1] + b"\n", "not JSON (column 71: Expecting ',' delimiter)"),
    "missing colon": (b'{"x" 1}\n', "not JSON (column 6: Expecting ':' delimiter)"),
    "bad escape": (rb'{"x": "\d+"}' + b"\n", r"not JSON (column 8: Invalid \escape"),
    "NaN": (b'{"x": NaN}\n', "NaN is not a JSON number; write null or leave the field out"),
    "Infinity": (b'{"x": Infinity}\n', "Infinity is not a JSON number"),
    "minus Infinity": (b'{"x": [-Infinity]}\n', "-Infinity is not a JSON number"),
    "number beyond a float": (b'{"x": 1e999}\n', "the number 1e999 is too large"),
    "5,000 digits": (b'{"x": ' + b"7" * 5000 + b"}\n", f"the number {'7' * 40}... has 5000 digits; write it as text"),
    "leading zero": (b'{"x": 007}\n', "not JSON (column 8: Expecting ',' delimiter)"),
    "hexadecimal": (b'{"x": 0x1F}\n', "not JSON (column 8: Expecting ',' delimiter)"),
    "key twice": (b'{"x": 1, "x": 2}\n', 'the key "x" stands twice in one object; keep one of them'),
    "messages twice": (b"{" + CHAT + b", " + CHAT + b"}\n", 'the key "messages" stands twice in one object'),
    "100,000 lists deep": (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "nested more than 100 levels deep"),
    "100,000 objects deep": (b'{"x": ' * 100_000 + b"\n", "nested more than 100 levels deep"),
    "no object but text": (b'"hello"\n', "text, not an object; every line must be one"),
    "no object but a number": (b"17\n", "a number, not an object"),
    "no object but a list": (b"[" + GOOD.strip() + b"]\n", "a list, not an object"),
    "no object but true": (b"true\n", "true or false, not an object"),
    # Chat
    "no messages": (b'{"gt_answer": "4"}\n', '"messages" is missing; every row needs a list of chat messages'),
    "messages with a capital": (b'{"Messages": []}\n', '"messages" is missing'),
    "empty messages": (chat(), '"messages" is empty; give it at least one user message'),
    "messages as empty JSON text": (b'{"messages": "[]"}\n', '"messages" is empty; give it at least one user message'),
    "messages as plain text": (b'{"messages": "hi"}\n', '"messages" is text; it must be a list of chat messages'),
    "messages as broken JSON text": (b'{"messages": "[{"}\n', '"messages" is text that is not JSON (column 3: '),
    "ShareGPT": (
        chat({"from": "human", "value": "hi"}),
        '"messages[0]" has the field "from"; here it is called "role"',
    ),
    "unknown role": (chat({"role": "bot", "content": "a"}), '"messages[0].role" is "bot"; it must be one of system'),
    "role in capitals": (chat({"role": "User", "content": "a"}), '"messages[0].role" is "User" (did you mean "user"?)'),
    "no content": (chat({"role": "user"}), '"messages[0].content" is missing'),
    "content null": (chat({"role": "user", "content": None}), '"messages[0].content" is null; it must be text'),
    "content a number": (chat({"role": "user", "content": 4}), '"messages[0].content" is a number; it must be text'),
    "image": (
        chat({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}),
        '"messages[0].content[0]" is no text part',
    ),
    "answer of the assistant": (
        chat(USER, {"role": "assistant", "content": "4"}),
        '"messages[1]" is the assistant\'s answer, but the model is to write that itself',
    ),
    "tool calls": (
        chat({**USER, "tool_calls": [{}]}),
        '"messages[0].tool_calls" is in a message of the role user; only ',
    ),
    "prompt null": (b'{"prompt": null}\n', '"prompt" is null; it must be text'),
    "prompt blank": (b'{"prompt": " "}\n', '"prompt" is empty; write what is asked, or remove the row'),
    "prompt without turns": (b'{"prompt": []}\n', '"prompt" is empty; give it at least one user message'),
    "prompt a list of texts": (b'{"prompt": ["a"]}\n', '"prompt[0]" is text; it must be an object with role'),
    "prompt that is answered": (
        b'{"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n',
        '"prompt[1]" is the assistant\'s answer, but the model is to write that itself',
    ),
    # Other fields
    "tools an object": (row(tools={}), '"tools" is an object; it must be a list'),
    "tool without function": (row(tools=[{"type": "function"}]), '"tools[0].function" is missing; a tool is'),
    "tool of the other API": (
        row(tools=[{"type": "function", "name": "add"}]),
        '"tools[0]" has the field "name"; it belongs inside function',
    ),
    "tool of another type": (row(tools=[{"type": "web_search"}]), '"tools[0].type" must be "function"'),
    "tool without a name": (tool(description="adds"), '"tools[0].function.name" must be 1 to 64 letters, digits'),
    "tool with a blank in its name": (tool(name="add up"), '"tools[0].function.name" must be 1 to 64 letters'),
    "parameters a list": (tool(name="add", parameters=[]), '"tools[0].function.parameters" is a list'),
    "parameters no object": (
        tool(name="add", parameters={"type": "string"}),
        '"tools[0].function.parameters" must be the JSON schema of an object',
    ),
    "two tools of one name": (
        row(tools=[{"type": "function", "function": {"name": "add"}}] * 2),
        '"tools[1]" has the name "add" again; give each function its own',
    ),
    "test cases of unequal length": (
        row(test_cases={"inputs": ["1", "2"], "outputs": ["1"]}),
        '"test_cases" pairs inputs with outputs, but there are 2 and 1; give each input the output that is right',
    ),
    "test cases without outputs": (row(test_cases={"inputs": ["1"]}), '"test_cases.outputs" is missing'),
    "test cases as text": (row(test_cases={"inputs": "1", "outputs": "1"}), '"test_cases.inputs" is text'),
    "no test cases": (row(test_cases={"inputs": [], "outputs": []}), '"test_cases" is without any case'),
    "a field called item": (row(item={"a": 1}), 'the field "item" has a name that graders use themselves; rename it'),
    "a field called sample": (row(sample="x"), 'the field "sample" has a name that graders use themselves'),
}
"""A line that stands between two good ones, and what is said of it."""

WHOLE: dict[str, tuple[str, bytes, str]] = {
    "gzip": ("a.jsonl", gzip.compress(GOOD), "a.jsonl line 1: this is a gzip archive, not text; unpack it first"),
    "gzip with its own name": ("a.jsonl.gz", gzip.compress(GOOD), "a.jsonl.gz line 1: this is an archive; unpack it"),
    "zip": ("a.jsonl", zipped(), "a.jsonl line 1: this is a zip archive or a spreadsheet, not text"),
    "spreadsheet": ("a.csv", zipped(), "a.csv line 1: this is a zip archive or a spreadsheet, not text"),
    "xz": ("a.jsonl", lzma.compress(GOOD), "a.jsonl line 1: this is an xz archive, not text"),
    "parquet": (
        "a.jsonl",
        b"PAR1\x15\x04\x15",
        "a.jsonl line 1: this is a Parquet file, not text; let its name end in",
    ),
    "sqlite": ("a.jsonl", database(), "a.jsonl line 1: this is an SQLite database, not text; export the table as CSV"),
    "UTF-16": ("a.jsonl", GOOD.decode().encode("utf-16"), "a.jsonl line 1: this is UTF-16 text, not text; save it"),
    "UTF-32": ("a.jsonl", GOOD.decode().encode("utf-32"), "a.jsonl line 1: this is UTF-32 text"),
    "UTF-16 without mark": (
        "a.jsonl",
        GOOD.decode().encode("utf-16-le").rstrip(b"\n\0"),
        "a.jsonl line 1: byte 2 is NUL, which no text holds; if this is UTF-16, save the file as UTF-8",
    ),
    "JSON list over lines": ("a.json", b"[\n" + GOOD + b"]\n", "a.json line 1: the file is a JSON list; write each of"),
    "JSON list on one line": ("a.jsonl", b"[" + GOOD.strip() + b"]", "a.jsonl line 1: the file is a JSON list"),
    "JSON list, objects on lines": (
        "a.jsonl",
        b"[" + GOOD.strip() + b",\n" + GOOD + b"]",
        "a.jsonl line 1: the file is a JSON list",
    ),
    "JSON list of 2 MB on one line": (
        "a.json",
        b"[" + b",".join([GOOD.strip()] * 28_000) + b"]",
        "a.json line 1: the file is a JSON list",
    ),
    "pretty-printed": (
        "a.jsonl",
        b"\n" + json.dumps(json.loads(GOOD), indent=2).encode(),
        "a.jsonl line 2: the object goes on over several lines; write each object on a line of its own",
    ),
    "old Mac line ends": (
        "a.jsonl",
        GOOD.replace(b"\n", b"\r") * 3,
        r"a.jsonl line 1: not JSON (column 73: Extra data); lines end with \n, not with a carriage return alone",
    ),
    "nothing": ("a.jsonl", b"", 'a.jsonl holds no examples; write one JSON object with "messages" on each line'),
    "blank lines": ("a.jsonl", b" \n\t\r\n\n", "a.jsonl holds no examples"),
    "only a byte order mark": ("a.jsonl", codecs.BOM_UTF8, "a.jsonl holds no examples"),
    "no line end in 3 MB": ("a.jsonl", b"x" * 3_000_000, "a.jsonl line 1: the line has 3,000,000 bytes"),
    "CSV as JSONL": ("a.jsonl", b"prompt,gt_answer\n", "a.jsonl line 1: not JSON (column 1: Expecting value)"),
    "no known suffix": ("a.txt", GOOD, "a.txt: the name does not say what the format is; let it end in .jsonl, .json"),
    "CSV, nothing": ("a.csv", b"", "a.csv is empty; its first line must name the columns"),
    "CSV, header only": ("a.csv", b"prompt,gt_answer\n\n", "a.csv holds no examples; give it at least one row"),
    "CSV, no name": ("a.csv", b"prompt,\na,b\n", "a.csv line 1: column 2 has no name"),
    "CSV, name twice": ("a.csv", b"\nprompt,b,b\n", 'a.csv line 2: two columns are called "b"; rename one of them'),
    "CSV, no question": (
        "a.csv",
        b"question,answer\n2+2?,4\n",
        'a.csv has no column "messages" or "prompt". The fields are "question", "answer"; say which one is asked, for '
        "example data.columns='{prompt: question, gt_answer: answer}' (in a config file, columns: {prompt: question, "
        "gt_answer: answer} under data)",
    ),
    "CSV with semicolons": ("a.csv", b"prompt;gt_answer\n", "a.csv line 1: there is no comma in the header"),
    "CSV, too few values": (
        "a.csv",
        b"prompt,b\n1,2\n3\n",
        "a.csv line 3: the number of values is 1, but the header names 2 columns",
    ),
    "CSV, too many values": ("a.csv", b"prompt,b\n1,2\n3, 4, 5\n", "a.csv line 3: the number of values is 3"),
    "CSV, open quotation mark": (
        "a.csv",
        b'prompt,b\n1,2\n"3,4\n5,6\n',
        "a.csv line 3: a quotation mark is opened here or below and never closed",
    ),
    "CSV, open quotation mark in a large file": (
        "a.csv",
        b'prompt,b\n"1,2\n' + b"3,4\n" * 600_000,
        "a.csv line 2: the row goes on for more than 1,048,576 bytes (1 MiB); is a quotation mark not closed?",
    ),
    "CSV, text behind a mark": ("a.csv", b'prompt,b\n"a"b,c\n', "a.csv line 2: text stands behind a closing quotation"),
    "CSV, NUL": ("a.csv", b"prompt,b\n1,\0\n", "a.csv line 2: byte 3 is NUL"),
    "CSV, latin-1 inside quotes": (
        "a.csv",
        b'prompt,b\n"1\n\xe9\n",2\n',
        "a.csv line 3: byte 1 is not UTF-8; save the file as UTF-8",
    ),
    "CSV, old Mac line ends": ("a.csv", b"prompt,b\r1,2\r", "a.csv line 1: a carriage return stands inside the row"),
    "CSV, broken messages": (
        "a.csv",
        b'messages,b\n"[{""role"": }]",2\n',
        'a.csv line 2: "messages" is text that is not JSON (column 11: Expecting value); write it as JSON',
    ),
    "CSV, empty prompt": ("a.csv", b'prompt,b\n"",2\n', 'a.csv line 2: "prompt" is empty'),
    "no Parquet": ("a.parquet", GOOD, "a.parquet cannot be read as Parquet ("),
    "half a Parquet file": ("a.parquet", b"PAR1" + b"x" * 100, "a.parquet cannot be read as Parquet ("),
}
"""A file by its name, and what is said of it."""


def told(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_examples(path)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_there_are_at_least_sixty() -> None:
    assert len(SECOND) + len(WHOLE) >= 60


@pytest.mark.parametrize("name", SECOND)
def test_a_bad_line_between_good_ones_is_named_with_its_reason(name: str, tmp_path: Path) -> None:
    line, expected = SECOND[name]
    path = tmp_path / "train.jsonl"
    path.write_bytes(GOOD + line + GOOD)
    message = told(path)
    assert message.startswith("train.jsonl line 2: ")
    assert expected in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_is_wrong_as_a_whole_is_refused_with_its_reason(name: str, tmp_path: Path) -> None:
    file, data, expected = WHOLE[name]
    (tmp_path / file).write_bytes(data)
    assert told(tmp_path / file).startswith(expected)


BYTES = (
    b"\n",
    b"\r",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\xff",
    b"\0",
    b" ",
    codecs.BOM_UTF8,
    b"prompt,b\n",
)
WORDS = (GOOD, CHAT, b"\\ud800", b"1e999", b"NaN", b"null", b"\xe2\x80\xa8", b'"prompt": "a"', b'{"prompt": "a"}\n')


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@given(data=st.lists(st.sampled_from(BYTES + WORDS) | st.binary(max_size=4), max_size=12).map(b"".join))
def test_whatever_the_bytes_there_are_examples_or_an_error_of_ours(
    suffix: str, data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / f"a{suffix}"
    path.write_bytes(data)
    told, asked = "", 0
    try:
        asked = sum(len(example.messages) > 0 for example in read_examples(path))
    except DataError as error:
        told = str(error)
    assert (str(path) in told) != (asked > 0)
