"""Loads the models that `verifine endpoint` serves, and serves them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from verifine.config.memory import Precision
from verifine.errors import ConfigError
from verifine.launch.export.target import ExportTarget, find_export_target, is_export_target
from verifine.launch.facts import decide_precision
from verifine.launch.models.inspect import read_chat_template
from verifine.launch.run_base import load_checkpoint, refuse_other_base
from verifine.machine.threads import decide_threads
from verifine.models.adapters import with_adapter, with_own_template
from verifine.models.load import LanguageModel, load_model
from verifine.models.provision.cache import cache_folder
from verifine.models.provision.stored import ProvisionedModel, provision_model
from verifine.models.threads import use_threads
from verifine.runs.events import Listener, StageBegan, tell_progress
from verifine.runs.run_config import load_run_config
from verifine.serving import ServedModel, ServingLimits, build_app
from verifine.wire.server import AppServer, address_of, listen_at


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOptions:
    """What to serve, and where."""

    model: str
    """A run directory, a checkpoint in one, or the name of a model."""
    name: str | None = None
    """What clients call it; None: the name of the run, or of the model."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """Adapters of the model: a run that trained them, or a folder in peft's format, by what clients call each."""
    port: int = 8000
    """0: any free one."""
    precision: Precision | Literal["auto"] = "auto"
    limits: ServingLimits = field(default_factory=ServingLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTarget:
    """A model with the name that it has by itself."""

    name: str
    model: LanguageModel
    files: ProvisionedModel | None
    """What it was loaded from; None: the weights are those of a checkpoint."""


def find_trained(given: str) -> ExportTarget | None:
    """The run or checkpoint at this path; None: there is none, so it is the name or folder of a model.

    Raises:
        ConfigError: the run has not saved a model, or the checkpoint lies outside of a run.
    """
    path = Path(given).expanduser()
    return find_export_target(path) if is_export_target(path) else None


def load_target(given: str, precision: Precision, tell: Listener) -> LoadedTarget:
    """The model of a run or a checkpoint, or the one called `given`.

    Raises:
        VerifineError: there is no such model, or it cannot be used.
    """
    trained = find_trained(given)
    if trained is not None:
        return _load_trained(trained, precision, tell)
    files = provision_model(given, cache_folder(), partial(tell_progress, tell))
    tell(StageBegan(text=f"loading {given}"))
    is_folder = Path(given).expanduser().is_dir()
    name = files.folder.resolve().name if is_folder else given
    return LoadedTarget(name=name, model=load_model(files, precision), files=files)


def _load_trained(target: ExportTarget, precision: Precision, tell: Listener) -> LoadedTarget:
    run = target.run.path.resolve().name
    if target.checkpoint is None:
        tell(StageBegan(text=f"loading {run}"))
        files = ProvisionedModel(name=run, folder=target.run.model, source="a run")
        return LoadedTarget(name=run, model=load_model(files, precision), files=files)
    model = load_checkpoint(target.run, target.checkpoint, precision, tell)
    return LoadedTarget(name=f"{run}:ckpt-step-{target.step}", model=model, files=None)


def read_adapters(words: Sequence[str]) -> dict[str, str]:
    """Runs or folders by name, from words such as `sums=runs/sums`.

    Raises:
        ConfigError: a word is no NAME=RUN, or a name is given twice.
    """
    adapters: dict[str, str] = {}
    for word in words:
        name, equals, given = word.partition("=")
        if not (name and equals and given):
            raise ConfigError(f"--adapter {word}: give it as NAME=RUN, where clients ask for NAME")
        if name in adapters:
            raise ConfigError(f"--adapter {word}: {name} is the name of another one; give it a name of its own")
        adapters[name] = given
    return adapters


def load_adapter(base: LoadedTarget, given: str, name: str) -> LanguageModel:
    """The model with an adapter beside its weights: a run that trained it, or a folder in peft's format.

    A run's switches of the chat template come with it.

    Raises:
        ConfigError: it is a run that trained all weights.
        ModelError: it is no adapter, or one of another model.
    """
    trained = find_trained(given)
    if trained is None:
        return with_adapter(base.model, Path(given).expanduser(), name)
    run = trained.run
    if trained.checkpoint is not None or load_run_config(run).model.lora is None:
        raise ConfigError(f"--adapter {given}: this has all weights and no adapter; serve it by itself")
    if base.files is None:
        raise ConfigError(f"--adapter {given}: it belongs to the model that it was trained on, and not to a checkpoint")
    refuse_other_base(run, base.files)
    adapted = with_adapter(base.model, run.model / "adapter", name)
    return with_own_template(adapted, read_chat_template(run.model))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server whose models are loaded."""

    address: str
    models: tuple[ServedModel, ...]
    server: AppServer
    listener: socket.socket

    def run(self) -> None:
        """Serves until SIGTERM or Ctrl-C, and finishes what is being answered."""
        with self.listener:
            self.server.run(self.listener)


def open_endpoint(options: EndpointOptions, now: float, tell: Listener) -> Endpoint:
    """Loads the models. Clients can connect from here on, and are answered when the endpoint runs.

    `now`: seconds since 1970.

    Raises:
        VerifineError: a model cannot be used, or the port is taken.
    """
    limits = options.limits
    listener = listen_at("127.0.0.1", options.port, limits.send_seconds)
    try:
        models = _load_models(options, int(now), tell)
    except BaseException:
        listener.close()
        raise
    server = AppServer(build_app(models, limits), limits.request_seconds)
    return Endpoint(address=address_of(listener), models=models, server=server, listener=listener)


def _load_models(options: EndpointOptions, created: int, tell: Listener) -> tuple[ServedModel, ...]:
    """The model, and the same with each adapter; they share the memory for keys and values."""
    use_threads(decide_threads(), os.environ)
    precision = decide_precision(options.precision)
    loaded = load_target(options.model, precision, tell)
    name = options.name or loaded.name
    if name in options.adapters:
        raise ConfigError(f"--adapter {name}: the model itself has this name; give the adapter one of its own")
    models = {name: loaded.model}
    for adapter, given in options.adapters.items():
        tell(StageBegan(text=f"loading {adapter}"))
        models[adapter] = load_adapter(loaded, given, adapter)
    share = max(options.limits.cache_bytes // len(models), 1)
    limits = options.limits.model_copy(update={"cache_bytes": share})
    return tuple(ServedModel.of(each, model, limits, created) for each, model in models.items())
