"""`--grader`: the name of a preset, or a JSON or YAML file with a grader in OpenAI's form, or with a run's config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from verifine.config.document import KeyPath, parse_document
from verifine.config.graders import GRADER_PRESETS, AnyGrader, GraderConfig
from verifine.config.problems import find_problems
from verifine.data.strict_json import JsonError, parse_json
from verifine.data.suggestion import did_you_mean
from verifine.errors import ConfigError, GraderError
from verifine.types import Json

_YAML_SUFFIXES = (".yaml", ".yml")
_ADAPTER: TypeAdapter[AnyGrader] = TypeAdapter(GraderConfig)


def load_grader_config(spec: str) -> AnyGrader:
    """The grader that `--grader SPEC` means. A preset takes precedence over a file of the same name.

    Raises:
        GraderError: there is no such preset or file, or the file does not hold a grader; all its faults at once.
    """
    if spec in GRADER_PRESETS:
        return GRADER_PRESETS[spec]
    path = Path(spec)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        hint = did_you_mean(spec, GRADER_PRESETS)
        raise GraderError(
            f'grader "{spec}" is neither a preset nor a file{hint}; give one of {", ".join(sorted(GRADER_PRESETS))}, '
            "or the path of a JSON or YAML file with a grader"
        ) from error
    except UnicodeDecodeError as error:
        raise GraderError(f"{path}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from error
    except OSError as error:
        raise GraderError(f"{path} cannot be read ({error.strerror}); give a file that can") from error
    return _parse(text, path)


def _parse(text: str, path: Path) -> AnyGrader:
    is_yaml = path.suffix.lower() in _YAML_SUFFIXES
    value, lines = _read_yaml(text, path) if is_yaml else (_read_json(text, path), {})
    is_config = isinstance(value, dict) and "type" not in value and bool({"grader", "data"} & set(value))
    if isinstance(value, dict) and is_config:
        value = value.get("grader")
        if value is None:
            raise GraderError(
                f"{path} is the config of a run and names no grader (a built-in task brings one, or a Python function "
                "graded it); give a preset, or a file with a grader"
            )
    if not isinstance(value, dict):
        form = "a line such as `type: answer`" if is_yaml else 'an object such as {"type": "answer"}'
        raise GraderError(f"{path} does not hold a grader; begin with {form}, and give the grader's fields")
    try:
        return _ADAPTER.validate_python(value)
    except ValidationError as error:
        above: KeyPath = ("grader",) if is_config else ()
        problems = [
            f"{path}{_line((*above, *problem.path), lines)}: {problem.text}"
            for problem in find_problems(error, GraderConfig)
        ]
        raise GraderError("\n".join(problems)) from error


def _read_json(text: str, path: Path) -> Json:
    try:
        return parse_json(text)
    except JsonError as error:
        place = "" if error.line is None else f" line {error.line} column {error.column}"
        raise GraderError(
            f"{path}{place} is not JSON: {error}; fix the file, or let its name end in .yaml if it is YAML"
        ) from error


def _read_yaml(text: str, path: Path) -> tuple[object, Mapping[KeyPath, int]]:
    try:
        document = parse_document(text, str(path))
    except ConfigError as error:
        raise GraderError(str(error)) from error
    return document.value, document.lines


def _line(path: KeyPath, lines: Mapping[KeyPath, int]) -> str:
    """`:7`, the line of a key, or of the closest section around it; empty where lines are not known."""
    enclosing = (path[:length] for length in range(len(path), 0, -1))
    return next((f":{lines[each]}" for each in enclosing if each in lines), "")
