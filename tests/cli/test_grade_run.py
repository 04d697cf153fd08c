"""`verifine grade run` and `verifine grade validate`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from openai.types.fine_tuning.alpha import GraderRunResponse, GraderValidateResponse

from verifine.types import Json

Command = Callable[..., tuple[int, str, str]]

TEXT, GOLD = "{{ sample.output_text }}", "{{ item.gt_answer }}"


def check(operation: str = "eq", reference: str = GOLD, text: str = TEXT) -> dict[str, Json]:
    return {"type": "string_check", "name": "check", "input": text, "reference": reference, "operation": operation}


def python(body: str, **fields: Json) -> dict[str, Json]:
    return {"type": "python", "source": f"def grade(sample, item):\n    {body}\n", **fields}


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


@pytest.fixture
def grade(verifine: Command, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs `verifine grade run`; the response, which is all that stands on standard output."""

    def run(grader: object, sample: str, item: Mapping[str, Json], *words: str) -> dict[str, Any]:
        spec = grader if isinstance(grader, str) else write(tmp_path / "grader.json", grader)
        code, out, _ = verifine(
            "grade", "run", "--grader", spec, "--sample", sample, "--item", json.dumps(item), *words
        )
        assert code == 0
        assert out.count("\n") == 1
        return dict(json.loads(out))

    return run


INVALID, UNPARSED, RUNTIME = "invalid_variable_error", "sample_parse_error", "python_grader_runtime_error"


def flags(response: Mapping[str, Any]) -> list[str]:
    return [name for name, value in response["metadata"]["errors"].items() if value is True]


NESTED: dict[str, Json] = {"gold": {"answers": ["no", {"text": "yes"}]}, "n": 3, "ok": True, "x-y": "dash"}

GOLDEN: Sequence[tuple[str, dict[str, Json], str, dict[str, Json], float, list[str]]] = [
    ("eq holds", check("eq"), "Paris", {"gt_answer": "Paris"}, 1.0, []),
    ("eq compares whole texts", check("eq"), "Paris.", {"gt_answer": "Paris"}, 0.0, []),
    ("ne holds", check("ne"), "Rome", {"gt_answer": "Paris"}, 1.0, []),
    ("ne fails", check("ne"), "Paris", {"gt_answer": "Paris"}, 0.0, []),
    ("like finds", check("like"), "It is Paris.", {"gt_answer": "Paris"}, 1.0, []),
    ("like minds upper case", check("like"), "It is PARIS.", {"gt_answer": "Paris"}, 0.0, []),
    ("ilike does not", check("ilike"), "It is PARIS.", {"gt_answer": "Paris"}, 1.0, []),
    ("a nested field", check("eq", "{{ item.gold.answers[1].text }}"), "yes", NESTED, 1.0, []),
    ("a list index", check("eq", "{{item.gold.answers[0]}}"), "no", NESTED, 1.0, []),
    ("a name with a dash", check("eq", '{{ item["x-y"] }}'), "dash", NESTED, 1.0, []),
    ("a number is its JSON", check("eq", "{{ item.n }}"), "3", NESTED, 1.0, []),
    ("true is its JSON", check("eq", "{{ item.ok }}"), "true", NESTED, 1.0, []),
    ("a list is its JSON", check("eq", "{{ item.gold.answers }}"), '["no", {"text": "yes"}]', NESTED, 1.0, []),
    ("texts around a reference", check("eq", "<{{ item.n }}|{{ item.n }}>"), "<3|3>", NESTED, 1.0, []),
    (
        "what is put in is not looked at again",
        check("eq"),
        "{{ item.b }}",
        {"gt_answer": "{{ item.b }}", "b": "c"},
        1.0,
        [],
    ),
    ("a field of a JSON answer", check("eq", "7", "{{ sample.output_json.a[1] }}"), '{"a": [5, 7]}', {}, 1.0, []),
    ("a missing field of the row", check("eq"), "Paris", {"answer": "Paris"}, 0.0, [INVALID]),
    ("an index beyond the list", check("eq", "{{ item.gold.answers[2] }}"), "yes", NESTED, 0.0, [INVALID]),
    ("a field of a text", check("eq", "{{ item.n.m }}"), "3", NESTED, 0.0, [INVALID]),
    ("an answer that is no JSON", check("eq", "7", "{{ sample.output_json.a }}"), "a: 7", {}, 0.0, [UNPARSED]),
    ("a missing field of the answer", check("eq", "7", "{{ sample.output_json.b }}"), '{"a": 7}', {}, 0.0, [INVALID]),
]


@pytest.mark.parametrize("case", GOLDEN, ids=[case[0] for case in GOLDEN])
def test_one_answer_gets_the_reward_and_the_flags_worked_by_hand(case: Any, grade: Any) -> None:
    _, grader, sample, item, reward, faults = case
    response = grade(grader, sample, item)
    assert (response["reward"], flags(response)) == (reward, faults)
    assert GraderRunResponse.model_validate(response, strict=True).to_dict() == response
    assert (response["metadata"]["name"], response["metadata"]["type"]) == ("check", "string_check")


PYTHON: Sequence[tuple[str, dict[str, Json], float, list[str], str | None]] = [
    ("a number", python("return len(sample['output_text']) / item['most']"), 0.5, [], None),
    ("a number that is whole", python("return 1"), 1.0, [], None),
    ("an exception", python("raise ValueError('odd row')"), 0.0, [RUNTIME], "odd row"),
    ("a missing key", python("return item['nothing']"), 0.0, [RUNTIME], "nothing"),
    ("not a number", python("return float('nan')"), 0.0, [RUNTIME], ""),
    ("text", python("return 'good'"), 0.0, [RUNTIME], ""),
    (
        "an endless loop",
        python("\n    while True: pass", timeout_s=0.3),
        0.0,
        ["unresponsive_reward_error", RUNTIME],
        "",
    ),
]


@pytest.mark.parametrize("case", PYTHON, ids=[case[0] for case in PYTHON])
def test_python_that_fails_is_a_result_with_its_reason(case: Any, grade: Any, held: Sequence[str]) -> None:
    _, grader, reward, faults, detail = case
    response = grade(grader, "four", {"most": 8}, *held)
    assert (response["reward"], flags(response)) == (reward, faults)
    told = response["metadata"]["errors"]["python_grader_runtime_error_details"]
    assert told is None if detail is None else detail in told


def test_code_without_a_sandbox_is_warned_of_each_time(verifine: Command, tmp_path: Path) -> None:
    spec = write(tmp_path / "grader.json", python("return 1.0"))
    for words in (["run", "--grader", spec, "--sample", "x"], ["validate", spec]):
        code, _, err = verifine("grade", *words, "--unsafe-grader-exec")
        assert code == 0
        assert "--unsafe-grader-exec" in err
        assert err.count("\n") == 1
    assert (
        verifine("grade", "run", "--grader", write(tmp_path / "c.json", check()), "--sample", "x")[2].count("unsafe")
        == 0
    )


def test_a_combined_grader_tells_its_parts(grade: Any) -> None:
    right: dict[str, Json] = {"type": "answer", "compare": "number"}
    short: dict[str, Json] = {"type": "format", "pattern": "<answer>.{1,3}</answer>"}
    grader: dict[str, Json] = {
        "type": "weighted",
        "name": "both",
        "graders": {"right": right, "short": short},
        "weights": {"right": 1.0, "short": 0.5},
    }
    response = grade(grader, "I say <answer>12</answer>", {"gt_answer": 12})
    assert response["reward"] == 1.0
    assert response["sub_rewards"] == response["metadata"]["scores"] == {"right": 1.0, "short": 0.0}


class Judge(BaseHTTPRequestHandler):
    """Gives every answer 0.75, in 40 tokens."""

    keys: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.keys.append(self.headers["authorization"])
        message = {"role": "assistant", "content": '{"steps": [], "result": 0.75}'}
        usage = {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40}
        reply = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def judge_url() -> Iterator[str]:
    Judge.keys.clear()
    with HTTPServer(("127.0.0.1", 0), Judge) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def test_a_judge_is_asked_where_and_with_the_key_that_the_command_line_says(
    grade: Any, judge_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    question: Json = [{"role": "user", "content": "How polite is {{ sample.output_text }}?"}]
    grader: dict[str, Json] = {"type": "score_model", "name": "polite", "model": "small", "input": question}
    monkeypatch.setenv("OUR_KEY", "secret-key")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    response = grade(grader, "Please.", {}, "--judge-url", judge_url, "--judge-key-env", "OUR_KEY")
    assert (response["reward"], flags(response)) == (0.75, [])
    assert response["metadata"]["token_usage"] == 40
    assert response["model_grader_token_usage_per_model"]["small"]["prompt_tokens"] == 30
    monkeypatch.setenv("OPENAI_BASE_URL", judge_url)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert grade(grader, "Please.", {})["reward"] == 0.75
    assert Judge.keys == ["Bearer secret-key", None]


def test_a_reason_stands_on_standard_error(verifine: Command, tmp_path: Path) -> None:
    spec = write(tmp_path / "grader.json", check())
    _, _, err = verifine("grade", "run", "--grader", spec, "--sample", "x", "--item", '{"gt_anwser": "x"}')
    assert err == (
        'verifine: unscorable: item.gt_answer does not exist (did you mean "gt_anwser"?): item has gt_anwser\n'
    )
    spec = write(tmp_path / "grader.json", check(text="{{ sample.output_json.a }}"))
    _, _, err = verifine("grade", "run", "--grader", spec, "--sample", "x", "--item", '{"gt_answer": "x"}')
    assert err == "verifine: scored 0: sample.output_json does not exist: the answer is not JSON\n"


def test_sample_and_item_may_stand_in_files(verifine: Command, tmp_path: Path) -> None:
    spec = write(tmp_path / "grader.json", check())
    (tmp_path / "answer.txt").write_text("é\n", encoding="utf-8")
    write(tmp_path / "item.json", {"gt_answer": "é\n"})
    words = ["--sample", f"@{tmp_path / 'answer.txt'}", "--item", f"@{tmp_path / 'item.json'}"]
    _, out, _ = verifine("grade", "run", "--grader", spec, *words)
    assert json.loads(out)["reward"] == 1.0
    _, out, _ = verifine("grade", "run", "--grader", spec, "--sample", "@@cache", "--item", '{"gt_answer": "@cache"}')
    assert json.loads(out)["reward"] == 1.0


BAD_WORDS: Mapping[str, tuple[list[str], int, str]] = {
    "no such file": (["--sample", "@nowhere.txt"], 2, "--sample: nowhere.txt cannot be read (No such file"),
    "no file at all": (["--sample", "@a\0b"], 2, "--sample: "),
    "item is not JSON": (
        ["--sample", "x", "--item", '{"a": }'],
        2,
        "--item: not JSON: Expecting value (line 1 column 7)",
    ),
    "item is a list": (["--sample", "x", "--item", "[1]"], 2, "--item: not an object; write"),
    "item is NaN": (["--sample", "x", "--item", '{"a": NaN}'], 2, "--item: not JSON"),
    "judge has no address": (
        ["--sample", "x", "--judge-url", "localhost"],
        2,
        '--judge-url: "localhost" is not an address',
    ),
    "key for nobody": (["--sample", "x", "--judge-key-env", "KEY"], 2, "--judge-key-env: the key needs a --judge-url"),
    "no sample": ([], 2, "--sample"),
}


@pytest.mark.parametrize("name", BAD_WORDS)
def test_words_that_cannot_be_meant_are_refused_in_one_message(name: str, verifine: Command) -> None:
    words, expected_code, message = BAD_WORDS[name]
    code, out, err = verifine("grade", "run", "--grader", "answer_exact", *words)
    assert (code, out) == (expected_code, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("grader", "message"),
    [
        ({"type": "string_chek"}, "did you mean 'string_check'?"),
        (check(reference="{{ itm.x }}"), "begins with itm, not with item or sample"),
        (python("return ("), 'grader.json: grader "python": its source cannot be loaded'),
        ("nothing_like_it", "is neither a preset nor a file"),
    ],
)
def test_a_broken_grader_is_refused_with_exit_code_4(
    grader: object, message: str, verifine: Command, held: Sequence[str], tmp_path: Path
) -> None:
    spec = grader if isinstance(grader, str) else write(tmp_path / "grader.json", grader)
    for words in (["run", "--grader", spec, "--sample", "x"], ["validate", spec]):
        code, out, err = verifine("grade", *words, *held)
        assert (code, out) == (4, "")
        assert message in err
        assert "Traceback" not in err


def test_a_valid_grader_is_said_to_be_one(verifine: Command, tmp_path: Path) -> None:
    spec = write(tmp_path / "grader.json", check())
    assert verifine("grade", "validate", spec) == (0, f"{spec} is a valid string_check grader\n", "")
    assert verifine("grade", "validate", "answer_number")[1] == "answer_number is a valid answer grader\n"


def test_all_that_is_wrong_with_a_grader_is_told_at_once(verifine: Command, tmp_path: Path) -> None:
    wrong: dict[str, Json] = {"type": "answer", "tolerance": -1, "tagg": "x", "reference": "{{ item.x"}
    code, out, err = verifine("grade", "validate", write(tmp_path / "grader.json", wrong), "--json")
    assert (code, out) == (4, "")
    assert err.count("grader.json: ") == 3


@pytest.mark.parametrize(
    "grader",
    [
        check(),
        python("return 1.0"),
        {"type": "multi", "name": "m", "graders": {"a": check()}, "calculate_output": "a"},
    ],
)
def test_the_normalised_grader_is_one_to_openais_client(
    grader: dict[str, Json], verifine: Command, held: Sequence[str], tmp_path: Path
) -> None:
    code, out, _ = verifine("grade", "validate", write(tmp_path / "grader.json", grader), "--json", *held)
    assert code == 0
    response = GraderValidateResponse.construct(**json.loads(out))
    assert response.grader is not None
    assert response.grader.type == grader["type"]
    assert (
        json.loads(out)["grader"].items()
        >= {name: value for name, value in grader.items() if name != "graders"}.items()
    )


def test_grading_needs_no_torch(tmp_path: Path) -> None:
    spec = write(tmp_path / "grader.json", check())
    code = (
        "import sys\n"
        f"sys.argv = ['verifine', 'grade', 'run', '--grader', {str(spec)!r}, '--sample', 'x', '--item', '{{}}']\n"
        "from verifine.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = ('torch', 'transformers', 'matplotlib', 'jinja2', 'datasets')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"
    assert json.loads(ended.stdout.splitlines()[0])["metadata"]["name"] == "check"
