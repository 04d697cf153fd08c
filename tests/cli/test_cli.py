from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from verifine.testing import save_tiny_model

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    rows = [{"messages": {"role": "user", "content": f"say {i}"}, "gt_answer": str(i)} for i in range(20)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "base")


def write_config(path: Path, data: Path, model: Path, sections: Mapping[str, object] = {}) -> Path:
    values = {
        "model": str(model),
        "data": {"train": str(data)},
        "grader": {"type": "answer", "compare": "number"},
        "sampling": {"prompts_per_step": 2, "group_size": 4, "max_new_tokens": 8},
        "run": {"steps": 2},
        **sections,
    }
    path.write_text(yaml.safe_dump(values))
    return path


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "pydantic", "rich", "matplotlib")
    code = f"import sys, verifine.cli.main; print([name for name in {heavy} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_help_names_the_verbs(verifine: Command) -> None:
    code, out, _ = verifine("--help")
    assert code == 0
    assert all(verb in out for verb in ("quickstart", "check", "train", "report", "compare"))


def test_the_version_is_printed(verifine: Command) -> None:
    assert verifine("--version")[:2] == (0, "verifine 0.1.0\n")


def test_shorthand_trains_and_shows_the_config_it_built(
    verifine: Command, data: Path, model: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    words = ["--dataset", data, "--model", model, "--algo", "GRPO", "--grader", "answer_number", "--steps", 2]
    sizes = ["sampling.prompts_per_step=2", "sampling.group_size=4"]
    code, out, err = verifine(
        "train", *sizes, *map(str, words), "--max-new-tokens", "8", "--run-dir", run_dir, "--save-interval", "1"
    )
    assert (code, err) == (0, "")
    assert "max_new_tokens: 8" in out
    assert "compare: number" in out
    assert (run_dir / "report.html").is_file()
    assert len(list((run_dir / "checkpoints").iterdir())) == 2


def test_a_config_file_with_overrides_trains(verifine: Command, data: Path, model: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path / "c.yaml", data, model)
    code, out, _ = verifine(
        "train", config, "algorithm=dapo", "algorithm.max_resample=0", "--run-dir", tmp_path / "run", "--json"
    )
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["type"] for row in rows if row["type"] in ("step", "done")] == ["step", "step", "done"]
    assert rows[-1]["algorithm"] == "dapo"
    assert rows[-1]["run_dir"] == str(tmp_path / "run")
    assert {"answer_accuracy", "format_accuracy", "reward", "samples"} <= set(rows[-1]["final"])


@pytest.mark.slow
def test_a_finished_run_is_made_longer_and_then_has_nothing_left_to_do(
    verifine: Command, data: Path, model: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path / "c.yaml", data, model)
    verifine("train", config, "--run-dir", tmp_path / "run")
    code, out, err = verifine("resume", tmp_path / "run")
    assert code == 2
    assert (
        f"has done all its 2 steps; give it more, for example `verifine resume {tmp_path / 'run'} --steps 4`\n" in err
    )
    code, out, _ = verifine("resume", tmp_path / "run", "--steps", 3, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["step"] for row in rows if row["type"] == "step"] == [3]
    assert (rows[-1]["type"], rows[-1]["steps"]) == ("done", 3)


def test_what_is_no_run_directory_is_not_resumed(verifine: Command, tmp_path: Path) -> None:
    code, _, err = verifine("resume", tmp_path)
    assert code == 2
    assert "this is not a run directory, for it holds no config.yaml" in err


def test_an_openai_grader_file_grades(verifine: Command, data: Path, model: Path, tmp_path: Path) -> None:
    grader = tmp_path / "grader.json"
    source = "def grade(sample, item):\n    return float(len(sample['output_text']) % 2)\n"
    grader.write_text(json.dumps({"type": "python", "name": "odd", "source": source}))
    config = write_config(tmp_path / "c.yaml", data, model)
    code, out, _ = verifine("train", config, "--grader", grader, "--run-dir", tmp_path / "run", "--json")
    steps = [row for row in map(json.loads, out.splitlines()) if row["type"] == "step"]
    assert code == 0
    assert any(0 < row["reward"] < 1 for row in steps)
    assert all(row["unscorable"] == 0 for row in steps)


def test_a_dry_run_renders_two_prompts_and_writes_nothing(
    verifine: Command, data: Path, model: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path / "c.yaml", data, model)
    code, out, _ = verifine("train", config, "--dry-run", "--run-dir", tmp_path / "run")
    assert code == 0
    assert out.count("<s>u:say ") == 2
    assert "learning_rate: 1.0e-05" in out
    assert not (tmp_path / "run").exists()


def test_a_report_is_written_again(verifine: Command, data: Path, model: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path / "c.yaml", data, model)
    verifine("train", config, "--run-dir", tmp_path / "run")
    report = tmp_path / "run" / "report.html"
    report.unlink()
    code, out, _ = verifine("report", tmp_path / "run")
    assert (code, out) == (0, f"{report}\n")
    assert report.is_file()


@pytest.mark.slow
def test_quickstart_runs_from_end_to_end(verifine: Command, model: Path, tmp_path: Path) -> None:
    words = ["--model", model, "--minutes", 1000, "--steps", 2, "--task", "add", "--algorithm", "dapo", "--seed", 3]
    code, out, _ = verifine("quickstart", *words, "--json", "--skip-check", "--run-dir", tmp_path / "run")
    assert code == 0
    last = json.loads(out.splitlines()[-1])
    assert (last["type"], last["task"], last["algorithm"], last["model"]) == ("done", "add", "dapo", str(model))
    assert last["steps"] == 2
    assert {"answer_accuracy", "format_accuracy", "reward", "samples"} <= set(last["baseline"]) == set(last["final"])
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.slow
def test_quickstart_ends_with_how_to_talk_to_the_model(verifine: Command, model: Path, tmp_path: Path) -> None:
    words = ["--model", model, "--minutes", 1000, "--steps", 1, "--task", "add", "--skip-check", "--no-open"]
    code, out, _ = verifine("quickstart", *words, "--run-dir", tmp_path / "my run")
    assert code == 0
    assert f"verifine chat '{tmp_path / 'my run'}' --vs base" in out


def test_a_time_limit_without_time_for_a_step_is_refused(verifine: Command, model: Path, tmp_path: Path) -> None:
    words = ["--model", model, "--minutes", "0.001", "--skip-check"]
    code, _, err = verifine("quickstart", *words, "--run-dir", tmp_path / "run")
    assert code == 5
    assert "leaves no time to train" in err
    assert (tmp_path / "run" / "report.html").is_file()


def start(config: Path, run_dir: Path) -> subprocess.Popen[str]:
    """`verifine train` in a process of its own, after its first step."""
    command = [sys.executable, "-m", "verifine", "train", str(config), "--run-dir", str(run_dir), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["type"] == "step":
            return process
    raise AssertionError(process.communicate()[1])


@pytest.mark.slow
def test_the_first_interrupt_saves_and_exits_130(data: Path, model: Path, tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "c.yaml",
        data,
        model,
        {"run": {"steps": 100_000}, "grader": {"type": "format", "pattern": ".*[a-g].*"}},
    )
    process = start(config, tmp_path / "run")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert json.loads(out.splitlines()[-1])["ending"] == "interrupted"
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


@pytest.mark.slow
def test_the_second_interrupt_stops_at_once(data: Path, model: Path, tmp_path: Path) -> None:
    source = "import time\ndef grade(sample, item):\n    time.sleep(0.5)\n    return 1.0\n"
    config = write_config(
        tmp_path / "c.yaml",
        data,
        model,
        {
            "run": {"steps": 100_000},
            "data": {"train": str(data), "eval_size": 0},
            "grader": {"type": "python", "source": source},
        },
    )
    process = start(config, tmp_path / "run")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # another signal, since two of a kind can become one
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "stopped at once" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "model").exists()


BAD_CONFIGS: dict[str, tuple[dict[str, object], int, str]] = {
    "unknown key": ({"sampling": {"group_sise": 4}}, 2, r"sampling.*group_sise.*did you mean.*group_size"),
    "group of one": ({"sampling": {"group_size": 1}}, 2, r"group_size.*at least 2: grpo compares"),
    "unknown algorithm": ({"algorithm": "gropo"}, 2, r"algorithm.*grpo"),
    "no grader": ({"grader": None}, 2, r"grader: missing"),
    "unknown model": ({"model": "SmolLM3"}, 3, r'no model "SmolLM3"'),
    "missing data": ({"data": {"train": "nowhere.jsonl"}}, 4, r"nowhere.jsonl"),
    "prompt too long": (
        {"sampling": {"prompts_per_step": 2, "max_new_tokens": 245}},
        4,
        r"train.jsonl line \d+: the prompt has \d+ tokens.*and \d+ more",
    ),
    "no room at all": ({"sampling": {"max_new_tokens": 256}}, 4, r"sampling.max_new_tokens is 256"),
    "broken grader": ({"grader": {"type": "python", "source": "def grade(:"}}, 4, r"grader.*line 1"),
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_bad_input_is_refused_in_one_message(
    name: str, verifine: Command, data: Path, model: Path, tmp_path: Path
) -> None:
    sections, expected_code, pattern = BAD_CONFIGS[name]
    config = write_config(tmp_path / "c.yaml", data, model, sections)
    code, out, err = verifine("train", config, "--run-dir", tmp_path / "run")
    assert code == expected_code
    assert re.search(pattern, err.replace("\n", " "), re.IGNORECASE), err
    assert err.startswith("verifine: ")
    assert "Traceback" not in err + out
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_line_that_is_not_json_is_named(verifine: Command, data: Path, model: Path, tmp_path: Path) -> None:
    lines = data.read_text().splitlines()
    lines[16] = '{"messages": '
    data.write_text("\n".join(lines))
    code, _, err = verifine("train", write_config(tmp_path / "c.yaml", data, model))
    assert code == 4
    assert "train.jsonl line 17" in err


def test_a_line_without_messages_is_named(verifine: Command, data: Path, model: Path, tmp_path: Path) -> None:
    data.write_text(data.read_text() + '\n{"question": "hi"}')
    code, _, err = verifine("train", write_config(tmp_path / "c.yaml", data, model))
    assert code == 4
    assert 'train.jsonl line 21: "messages" is missing' in err


def test_a_missing_config_file_is_named(verifine: Command) -> None:
    code, _, err = verifine("train", "nowhere.yaml")
    assert code == 2
    assert "nowhere.yaml" in err


def test_nothing_to_train_on_says_what_to_give(verifine: Command) -> None:
    code, _, err = verifine("train")
    assert code == 2
    assert "--dataset" in err


def test_an_unknown_option_is_a_usage_error(verifine: Command) -> None:
    assert verifine("train", "--nonsense")[0] == 2


def test_an_unknown_task_names_the_known_ones(verifine: Command) -> None:
    code, _, err = verifine("quickstart", "--task", "larges")
    assert code == 2
    assert "largest" in err


def test_a_run_directory_is_never_overwritten(verifine: Command, data: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").touch()
    code, _, err = verifine("train", write_config(tmp_path / "c.yaml", data, model), "--run-dir", tmp_path / "run")
    assert code == 2
    assert "never overwrites" in err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["precious"]
