from __future__ import annotations

import contextlib
import gc
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.data import Examples, read_examples
from verifine.data.chat_row import ChatRow
from verifine.data.examples import ExampleWriter, question_hash
from verifine.data.spool import Spool
from verifine.types import Example, Json, Message

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
messages = st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=texts)
rows = st.builds(
    ChatRow,
    messages=st.lists(messages, min_size=1, max_size=3).map(tuple),
    tools=st.lists(st.dictionaries(texts, values, max_size=2), max_size=2).map(tuple),
    item=st.dictionaries(texts.filter(lambda name: name != "id"), values, max_size=3),
)


def write(folder: Path, count: int) -> Path:
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"q{index}", "n": index}) + "\n" for index in range(count)))
    return path


def numbers(examples: Examples) -> list[Json]:
    return [example.item["n"] for example in examples]


@given(st.lists(rows, min_size=1, max_size=5))
def test_an_example_is_what_was_written(written: list[ChatRow]) -> None:
    writer = ExampleWriter("train.jsonl line")
    for number, row in enumerate(written, start=10):
        writer.add(number, row)
    assert list(writer.finish()) == [
        Example(
            id=str(number), messages=row.messages, tools=row.tools, item=row.item, place=f"train.jsonl line {number}"
        )
        for number, row in enumerate(written, start=10)
    ]


def test_examples_are_a_sequence(tmp_path: Path) -> None:
    examples = read_examples(write(tmp_path, 10))
    assert len(examples) == 10
    assert examples[-1].item == {"n": 9}
    assert numbers(examples[2:8:2]) == [2, 4, 6]
    assert numbers(examples.select([7, 1, 7])) == [7, 1, 7]
    assert numbers(examples.select([7, 1, 5])[1:]) == [1, 5]
    assert not examples[:0]
    with pytest.raises(IndexError):
        examples[10]


def test_fingerprints_are_those_of_the_examples_shown(tmp_path: Path) -> None:
    examples = read_examples(write(tmp_path, 5)).select([3, 0])
    assert list(examples.fingerprints) == [question_hash(each.messages, each.tools) for each in examples]


def test_a_fingerprint_tells_what_is_asked_and_nothing_else() -> None:
    def of(*contents: str, tools: tuple[dict[str, Json], ...] = ()) -> int:
        return question_hash([Message(role="user", content=content) for content in contents], tools)

    asked = {of("a"), of("b"), of("a", "b"), of("ab"), of(""), of("a", tools=({"name": "f"},))}
    assert len(asked) == 6
    assert of("a") == of("a")
    assert of("a") != question_hash([Message(role="system", content="a")], ())


def test_a_file_that_changes_does_not_change_what_was_read(tmp_path: Path) -> None:
    path = write(tmp_path, 5)
    examples = read_examples(path)
    path.write_text("no longer JSON")
    assert numbers(examples) == [0, 1, 2, 3, 4]
    path.unlink()
    assert numbers(examples) == [0, 1, 2, 3, 4]


def test_threads_may_read_at_once(tmp_path: Path) -> None:
    examples = read_examples(write(tmp_path, 2000))
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda index: examples[index].item["n"], range(2000)))
    assert read == list(range(2000))


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the open files through /proc")
def test_the_file_on_disk_has_no_name_and_goes_with_the_last_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))

    def open_here() -> list[str]:
        links = []
        for each in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # the one that the folder itself was read through
                links.append(str(each.readlink()))
        return [link for link in links if link.startswith(str(folder))]

    examples: Any = read_examples(write(tmp_path, 5))
    assert list(folder.iterdir()) == []
    view = examples.select([1])
    del examples
    gc.collect()
    assert numbers(view) == [1]
    assert len(open_here()) == 1
    del view
    gc.collect()
    assert open_here() == []


def test_a_full_disk_is_told() -> None:
    program = (
        "import resource, signal\nfrom verifine.data.spool import Spool\nfrom verifine.errors import SetupError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "spool = Spool()\n"
        "try:\n    for _ in range(100):\n        spool.append(bytes(10_000))\n    spool.seal()\n"
        "except SetupError as error:\n    print(error)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path), "TMPDIR": "/tmp"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.startswith("the data cannot be kept in /tmp (File too large); free space there, or set TMPDIR to")


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_a_spool_gives_back_what_was_put_in(records: list[bytes]) -> None:
    spool = Spool()
    for record in records:
        spool.append(record)
    spool.seal()
    assert [spool[position] for position in range(len(spool))] == records


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    with path.open("w") as file:
        for index in range(20_000):
            file.write(json.dumps({"prompt": f"{index} " + "word " * 400, "gt_answer": "4"}) + "\n")
    program = (
        "import sys; from pathlib import Path\n"
        "from verifine.data import PromptSampler, hold_out, read_examples, summarize_data\n"
        "def peak():\n    return int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
        "before = peak()\n"
        "examples = read_examples(Path(sys.argv[1]))\n"
        "train, held_out = map(examples.select, hold_out(examples.fingerprints, 0, 64))\n"
        "summarize_data(train, held_out, is_carved_out=True)\n"
        "PromptSampler(train, 0).draw(0, 64)\n"
        "print(peak() - before)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program, path],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert path.stat().st_size > 40_000_000
    assert int(printed) < 20_000  # kilobytes
