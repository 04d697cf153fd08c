"""The facts that a config is resolved with: about the model, the machine and the data of a run."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from transformers import PretrainedConfig

from verifine.config import LoraConfig, RunConfig
from verifine.config.memory import MemoryPlan, Precision
from verifine.config.resolve import DataFacts, MachineFacts, ModelFacts, ResolvedConfig, resolve
from verifine.errors import ModelError
from verifine.launch.inputs import RunInputs
from verifine.machine.threads import decide_threads
from verifine.models.architectures import has_experts, read_config, usable_context
from verifine.models.load import fastest_dtype
from verifine.models.memory.available import available_memory
from verifine.models.memory.shape import shape_of_config
from verifine.models.provision.shipped import shipped_rate
from verifine.models.provision.stored import ProvisionedModel
from verifine.models.threads import use_threads


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Everything that `resolve` needs besides the config."""

    model: ModelFacts
    machine: MachineFacts
    data: DataFacts

    def resolve(self, config: RunConfig, memory: MemoryPlan | None = None) -> ResolvedConfig:
        """The config with everything decided; `memory` None: planned."""
        return resolve(config, self.model, self.machine, self.data, memory=memory)

    def with_longest_prompt(self, tokens: int) -> RunFacts:
        """The facts, completed with the lengths of the prompts."""
        return replace(self, data=replace(self.data, longest_prompt=tokens))

    def starting_from(self, checkpoint: Path) -> RunFacts:
        """The facts, completed with the checkpoint to start from."""
        return replace(self, model=replace(self.model, start_from=checkpoint))


def find_facts(inputs: RunInputs, files: ProvisionedModel) -> RunFacts:
    """The facts that are known before the model is loaded, without the lengths of the prompts.

    Raises:
        ModelError: the folder does not hold a model that transformers knows.
    """
    # Measured with the number of threads that the run has.
    use_threads(decide_threads(), os.environ)
    config = inputs.config
    model = read_model_facts(files.folder, files.name, config.model.lora)
    rate = shipped_rate(config.model.name, lora=config.model.lora is not None)
    return RunFacts(
        model=replace(model, name=_absolute_folder(config.model.name), learning_rate=rate),
        machine=find_machine_facts(precision=config.model.precision),
        data=DataFacts(answer_tokens=inputs.answer_tokens, longest_prompt=0),
    )


def read_model_facts(folder: Path, name: str, lora: LoraConfig | None) -> ModelFacts:
    """The facts in the config of a model; weights are not read.

    Raises:
        ModelError: the folder does not hold a model that transformers knows and Verifine trains.
    """
    config = read_config(folder, name)
    try:
        return describe_model(config, name, lora)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{name} cannot be loaded: {' '.join(str(error).split())}") from error


def describe_model(config: PretrainedConfig, name: str, lora: LoraConfig | None) -> ModelFacts:
    """The facts of the model that a config of transformers describes."""
    return ModelFacts(
        name=name,
        shape=shape_of_config(config, lora),
        context_length=usable_context(config),
        has_experts=has_experts(config),
    )


def find_machine_facts(
    device: torch.device | None = None, *, precision: Precision | Literal["auto"] = "auto"
) -> MachineFacts:
    """The current facts about this machine; `device` None: the default for training.

    `precision` is the one that the config asks for.
    """
    chosen = _usual_device() if device is None else device
    return MachineFacts(
        working_directory=Path.cwd(), memory=available_memory(chosen), precision=decide_precision(precision, chosen)
    )


def decide_precision(wanted: Precision | Literal["auto"], device: torch.device | None = None) -> Precision:
    """The precision that a config asks for; only for "auto" is it measured, which takes a third of a second."""
    if wanted != "auto":
        return wanted
    fastest = fastest_dtype(_usual_device() if device is None else device, time.perf_counter)
    return "bfloat16" if fastest == torch.bfloat16 else "float32"


def _usual_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _absolute_folder(name: str) -> str:
    """The absolute path of a model's folder; any other name as it is."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.is_dir() else name
