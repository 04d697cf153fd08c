from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from openai.types.fine_tuning.alpha import GraderRunResponse, GraderValidateResponse

from verifine.config import build_config, dump_config
from verifine.graders.sandbox import find_level
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.environment import describe_environment, write_environment
from verifine.runs.rollouts import GradedGroup, write_rollouts
from verifine.types import FinishReason, Grade, Group, Json, Prompt, Rollout

Command = Callable[..., tuple[int, str, str]]

TEXT, GOLD = "{{ sample.output_text }}", "{{ item.gt_answer }}"


def check(operation: str = "eq", reference: str = GOLD, text: str = TEXT) -> dict[str, Json]:
    return {"type": "string_check", "name": "check", "input": text, "reference": reference, "operation": operation}


def python(body: str, **fields: Json) -> dict[str, Json]:
    return {"type": "python", "source": f"def grade(sample, item):\n    {body}\n", **fields}


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def write_rows(path: Path, *items: Mapping[str, Json]) -> Path:
    rows = [{"messages": [{"role": "user", "content": f"question {n}"}], **item} for n, item in enumerate(items)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def held() -> Sequence[str]:
    """The words that let Python graders run, on a machine that cannot hold them too."""
    return () if find_level().level is not None else ("--unsafe-grader-exec",)


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
    "key for nobody": (["--sample", "x", "--judge-key-env", "KEY"], 2, "--judge-key-env: there is no --judge-url"),
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


# verifine grade test


@pytest.fixture
def capitals(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "capitals.jsonl", *({"gt_answer": name} for name in ("Paris", "Rome", "Lima", "Oslo")))


def tried(verifine: Command, *words: object) -> dict[str, Any]:
    code, out, err = verifine("grade", "test", *map(str, words), "--json")
    assert (code, err) == (0, "")
    return dict(json.loads(out))


def test_the_right_answer_in_the_right_form_stands_beside_nothing_and_nonsense(
    verifine: Command, capitals: Path
) -> None:
    told = tried(verifine, "--grader", "answer_exact", "--data", capitals)
    assert told["grader"] == {"name": "answer_exact", "type": "answer"}
    assert list(told["scores"]) == ["right answer", "empty text", "nonsense"]
    right, empty, nonsense = told["scores"].values()
    assert (right["count"], right["mean"], right["share_at_highest"], right["answer_accuracy"]) == (4, 1.0, 1.0, 1.0)
    assert (empty["mean"], nonsense["mean"]) == (0.0, 0.0)
    assert right["histogram"] == [0] * 9 + [4]
    assert empty["histogram"] == nonsense["histogram"] == [4] + [0] * 9
    assert told["best_ways"] == {"<answer>": 4}
    assert told["graded"] == 4 * 6
    assert told["agreement"] is None


def test_people_get_a_histogram_and_what_it_says(
    verifine: Command, capitals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    code, out, err = verifine("grade", "test", "--grader", "answer_exact", "--data", capitals)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == f"answer_exact (answer) on 4 rows of {capitals}"
    assert lines[2].split() == ["score", "right", "answer", "empty", "text", "nonsense"]
    assert lines[3] == f"0.00 to 0.10{' ' * 29}{'█' * 20} 4  {'█' * 20} 4"
    assert lines[12].startswith(f"0.90 to 1.00     {'█' * 20} 4")
    assert "The right answer scores 1.00 in every row." in out
    assert "the way that scores most counts (<answer> 4)." in " ".join(out.split())
    assert max(map(len, lines[1:])) <= 100
    assert "Careful" not in out
    assert "Errors" not in out


def test_a_terminal_of_60_columns_is_not_overrun(
    verifine: Command, capitals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = verifine("grade", "test", "--grader", "answer_exact", "--data", capitals)
    bars = [line for line in out.splitlines() if "█" in line]
    assert bars
    assert max(map(len, bars)) <= 60


def test_rows_where_nothing_scores_like_the_right_answer_are_named(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "Paris"}, {"gt_answer": ""})
    spec = write(tmp_path / "g.json", check("like"))
    _, out, _ = verifine("grade", "test", "--grader", spec, "--data", data)
    assert "Careful: empty text and nonsense score as much as the right answer in 1 of 2 rows (line 2);" in " ".join(
        out.split()
    )


def test_a_grader_that_pays_for_anything_or_knows_no_form_tried_is_told_of(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "Paris"}, {"gt_answer": "Rome"})
    pattern: dict[str, Json] = {"type": "format", "pattern": "#### .*"}
    _, out, _ = verifine("grade", "test", "--grader", write(tmp_path / "g.json", pattern), "--data", data)
    told = " ".join(out.split())
    assert "Careful: empty text and nonsense score as much as the right answer in every row." in told
    assert "write an answer that it should reward into a field model_sample" in told


def test_rows_that_reward_the_right_answer_less_are_named(
    verifine: Command, held: Sequence[str], tmp_path: Path
) -> None:
    data = write_rows(
        tmp_path / "d.jsonl", {"gt_answer": "a", "w": 1}, {"gt_answer": "b", "w": 0.5}, {"gt_answer": "c"}
    )
    grader = python("return item['w'] * (sample['output_text'] == item['gt_answer'])")
    _, out, _ = verifine("grade", "test", "--grader", write(tmp_path / "g.json", grader), "--data", data, *held)
    told = " ".join(out.split())
    assert "The right answer scores 1.00, and less in 2 rows (line 3: unscorable, line 2: 0.50)." in told
    assert "KeyError" in out.partition("Errors\n")[2]


def test_a_row_may_bring_the_answer_to_grade(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(
        tmp_path / "d.jsonl",
        {"gt_answer": "a", "model_sample": "b", "mine": "a"},
        {"gt_answer": "a", "output_text": "a", "mine": "a"},
    )
    spec = write(tmp_path / "g.json", check())
    told = tried(verifine, "--grader", spec, "--data", data)
    assert list(told["scores"]) == ["own answer", "empty text", "nonsense"]
    assert told["scores"]["own answer"]["mean"] == 0.5
    told = tried(verifine, "--grader", spec, "--data", data, "--answer-field", "mine")
    assert told["scores"]["own answer"]["mean"] == 1.0
    code, _, err = verifine("grade", "test", "--grader", spec, "--data", data, "--answer-field", "mien")
    assert (code, 'no row has a text called "mien" (did you mean "mine"?)' in err) == (4, True)


def test_rows_with_and_without_an_answer_of_their_own_are_told_apart(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "a", "model_sample": "b"}, {"gt_answer": "a"})
    told = tried(verifine, "--grader", write(tmp_path / "g.json", check()), "--data", data)
    counts = {name: (scores["count"], scores["mean"]) for name, scores in told["scores"].items()}
    assert counts == {"own answer": (1, 0.0), "right answer": (1, 1.0), "empty text": (2, 0.0), "nonsense": (2, 0.0)}


def test_own_answers_that_all_score_the_same_teach_nothing(verifine: Command, tmp_path: Path) -> None:
    rows: list[dict[str, Json]] = [{"gt_answer": "a", "model_sample": "b"}] * 3
    data = write_rows(tmp_path / "d.jsonl", *rows)
    _, out, _ = verifine("grade", "test", "--grader", write(tmp_path / "g.json", check()), "--data", data)
    assert "Careful: all of these answers score the same" in " ".join(out.split())


def test_rows_without_any_answer_are_said_to_have_none(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gold": "a"}, {"gold": "b"})
    spec = write(tmp_path / "g.json", {"type": "format", "pattern": ".*sleep.*"})
    _, out, _ = verifine("grade", "test", "--grader", spec, "--data", data)
    assert "2 rows could not be answered: there is no gt_answer" in out
    assert "right answer" not in out.lower()


def test_a_limit_takes_rows_at_even_distances(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", *(dict[str, Json](gt_answer=str(n), keep=n % 3 == 0) for n in range(9)))
    spec = write(tmp_path / "g.json", check(reference="true", text="{{ item.keep }}"))
    told = tried(verifine, "--grader", spec, "--data", data, "--limit", 3)
    assert (told["scores"]["empty text"]["count"], told["scores"]["empty text"]["mean"]) == (3, 1.0)
    _, out, _ = verifine("grade", "test", "--grader", spec, "--data", data, "--limit", "3")
    assert f"3 of 9 rows of {data}" in out


def test_the_histogram_is_drawn_as_a_png(verifine: Command, capitals: Path, tmp_path: Path) -> None:
    plot = tmp_path / "scores.png"
    code, out, _ = verifine("grade", "test", "--grader", "answer_exact", "--data", capitals, "--plot", plot)
    assert (code, out.splitlines()[-1]) == (0, str(plot))
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_reasons_hold_no_command_for_the_terminal(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "\x1b[2J\x07many"})
    _, out, _ = verifine("grade", "test", "--grader", "answer_number", "--data", data)
    assert 'the reference " [2J many" is not a number' in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("words", "expected_code", "message"),
    [
        ([], 2, "nothing to grade: give --grader and --data, or --rollouts"),
        (["--grader", "answer_exact"], 2, "nothing to grade"),
        (["--grader", "answer_exact", "--data", "nowhere.jsonl"], 4, "nowhere.jsonl does not exist"),
        (["--rollouts", "nowhere"], 2, "nowhere: there is no such folder"),
        (["--grader", "answer_exact", "--data", "x.jsonl", "--plot", "x.svg"], 2, "--plot: x.svg must end in .png"),
        (["--grader", "answer_exact", "--data", "x.jsonl", "--limit", "0"], 2, "--limit"),
    ],
)
def test_what_cannot_be_tested_is_refused(
    words: list[str], expected_code: int, message: str, verifine: Command
) -> None:
    code, out, err = verifine("grade", "test", *words)
    assert (code, out) == (expected_code, "")
    assert message in err


# verifine grade test --rollouts


def group(prompt_id: str, *answers: tuple[str, float | None]) -> Group:
    prompt = Prompt(id=prompt_id, token_ids=(1,), item={})
    rollouts = tuple(
        Rollout(
            prompt=prompt,
            token_ids=(7,),
            behaviour_logprobs=(-0.5,),
            text=text,
            finish_reason=FinishReason.STOP,
        )
        for text, _ in answers
    )
    return Group(prompt=prompt, rollouts=rollouts).graded([Grade(score=score) for _, score in answers])


def write_run(path: Path, data: Mapping[str, object], grader: object, steps: Sequence[Sequence[Group]]) -> Path:
    directory = RunDirectory.create(path, "any", datetime(2026, 1, 1, tzinfo=UTC))
    config = build_config({"data": data, "grader": grader, "sampling": {"prompts_per_step": 2}})
    write_text(directory.config, dump_config(config))
    for step, groups in enumerate(steps, start=1):
        written = [
            GradedGroup(
                group=each,
                prompt=f"prompt {each.prompt.id}",
                rewards=[0.0] * len(each.rollouts),
                advantages=[0.0] * len(each.rollouts),
            )
            for each in groups
        ]
        write_rollouts(directory.rollouts, step, written)
    return path


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Six answers: to rows 1 and 2, to row 1 again an epoch later, and to held-out row 1, whose answer is another."""
    train = write_rows(tmp_path / "train.jsonl", {"gt_answer": "Paris"}, {"gt_answer": "Rome"})
    held_out = write_rows(tmp_path / "eval.jsonl", {"gt_answer": "Lima"})
    steps = [
        [group("1", ("Paris", 1.0), ("paris", 0.0)), group("2", ("Rome", 1.0), ("It is Rome", 0.0))],
        [group("1@1", ("Paris", 1.0)), group("held-out/1", ("Lima", 1.0))],
    ]
    return write_run(tmp_path / "run", {"train": str(train), "eval": str(held_out)}, check(), steps)


def test_a_run_that_a_function_graded_is_not_rescored_with_a_grader_that_did_not(
    verifine: Command, run_dir: Path
) -> None:
    environment = replace(describe_environment(), own_grader=True)
    write_environment(RunDirectory.open(run_dir).environment, environment)
    code, _, errors = verifine("grade", "test", "--rollouts", run_dir)
    assert code == 2
    assert "graded by a Python program's own function" in errors
    assert verifine("grade", "test", "--rollouts", run_dir, "--grader", "answer_exact")[0] == 0


def test_a_run_is_rescored_with_its_own_grader_on_its_own_rows(verifine: Command, run_dir: Path) -> None:
    told = tried(verifine, "--rollouts", run_dir)
    assert list(told["scores"]) == ["this grader", "recorded"]
    assert told["agreement"] == {
        "count": 6,
        "same": 6,
        "mean_difference": 0.0,
        "newly_unscorable": 0,
        "newly_scorable": 0,
        "largest": [],
    }
    assert (told["graded"], told["left_out"]) == (6, 0)
    assert told["scores"]["this grader"]["mean"] == told["scores"]["recorded"]["mean"] == pytest.approx(4 / 6)


def test_a_run_is_rescored_with_another_grader(verifine: Command, run_dir: Path, tmp_path: Path) -> None:
    spec = write(tmp_path / "loose.json", check("ilike"))
    told = tried(verifine, "--rollouts", run_dir, "--grader", spec)
    assert (told["agreement"]["same"], told["agreement"]["mean_difference"]) == (4, pytest.approx(2 / 6))
    assert told["agreement"]["largest"] == [
        {"step": 1, "prompt_id": "1", "sample": 1, "recorded": 0.0, "score": 1.0, "text": "paris"},
        {"step": 1, "prompt_id": "2", "sample": 1, "recorded": 0.0, "score": 1.0, "text": "It is Rome"},
    ]
    _, out, _ = verifine("grade", "test", "--rollouts", run_dir, "--grader", spec)
    assert "4 of 6 answers (66.7%) have the score that was recorded." in out
    assert "On average the new score is 0.333 higher." in out
    assert "  0.00 -> 1.00  step 1, 1, sample 1  paris\n" in out


def test_saved_answers_whose_rows_are_missing_are_left_out_and_counted(
    verifine: Command, run_dir: Path, tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "other.jsonl", {"gt_answer": "Paris"})
    told = tried(verifine, "--rollouts", run_dir, "--data", data)
    assert (told["graded"], told["left_out"]) == (4, 2)
    _, out, _ = verifine("grade", "test", "--rollouts", run_dir, "--data", data)
    assert "2 saved answers were left out: their rows are not in this dataset." in out


def test_a_dataset_that_has_none_of_the_rows_is_refused(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "Paris"}, {"gt_answer": "Rome"})
    run = write_run(tmp_path / "run", {"train": str(data)}, check(), [[group("77", ("Paris", 1.0))]])
    code, _, err = verifine("grade", "test", "--rollouts", run, "--data", data)
    assert code == 4
    assert 'the first is to the row "77"' in err


def test_a_run_of_a_built_in_task_brings_grader_and_rows(verifine: Command, tmp_path: Path) -> None:
    from verifine.tasks import load_task

    row = load_task("add", seed=0, train_size=1, held_out_size=64).train[0]
    answer = f"<answer>{row.item['gt_answer']}</answer>"
    run = write_run(tmp_path / "run", {"task": "add"}, None, [[group(row.id, (answer, 1.0), ("?", 0.0))]])
    told = tried(verifine, "--rollouts", run)
    assert (told["grader"]["type"], told["agreement"]["count"], told["agreement"]["same"]) == ("answer", 2, 2)


def test_a_run_whose_rows_are_gone_asks_for_them(verifine: Command, run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").unlink()
    code, _, err = verifine("grade", "test", "--rollouts", run_dir)
    assert code == 4
    assert "train.jsonl does not exist" in err
    assert "with --data" in err


def test_a_run_graded_by_a_program_asks_for_a_grader(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "Paris"}, {"gt_answer": "Rome"})
    run = write_run(tmp_path / "run", {"train": str(data)}, None, [[group("1", ("Paris", 1.0))]])
    code, _, err = verifine("grade", "test", "--rollouts", run)
    assert code == 2
    assert "give --grader" in err


def test_a_run_that_has_not_begun_says_so(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "Paris"})
    code, _, err = verifine(
        "grade", "test", "--rollouts", write_run(tmp_path / "run", {"train": str(data)}, check(), [])
    )
    assert code == 2
    assert "holds no rollouts" in err
