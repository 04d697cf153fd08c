"""`--grader`: the name of a preset, or a JSON file with a grader in OpenAI's form."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from verifine.config.graders import GRADER_PRESETS, AnyGrader, GraderConfig
from verifine.config.problems import find_problems
from verifine.data.strict_json import JsonError, parse_json
from verifine.data.suggestion import did_you_mean
from verifine.errors import GraderError

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
            "or the path of a JSON file with a grader"
        ) from error
    except UnicodeDecodeError as error:
        raise GraderError(f"{path}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from error
    except OSError as error:
        raise GraderError(f"{path} cannot be read ({error.strerror}); give a JSON file that can") from error
    return _parse(text, path)


def _parse(text: str, path: Path) -> AnyGrader:
    try:
        value = parse_json(text)
    except JsonError as error:
        place = "" if error.line is None else f" line {error.line} column {error.column}"
        raise GraderError(f"{path}{place} is not JSON: {error}; fix the file") from error
    if not isinstance(value, dict):
        raise GraderError(
            f'{path} does not hold a grader; write an object such as {{"type": "answer", "compare": "number"}}'
        )
    try:
        return _ADAPTER.validate_python(value)
    except ValidationError as error:
        problems = [f"{path}: {problem.text}" for problem in find_problems(error, GraderConfig)]
        raise GraderError("\n".join(problems)) from error
