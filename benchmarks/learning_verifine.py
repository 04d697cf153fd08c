"""Verifine's side of benchmarks/learning.py."""

from __future__ import annotations

from contextlib import closing

from learning_config import quickstart_config
from learning_curve import Clock, Recorder, Setup
from learning_task import held_out_accuracy, ignore
from model_folders import model_folder

from verifine.launch.build import build_run, fetch_model
from verifine.launch.facts import find_facts
from verifine.launch.inputs import load_inputs
from verifine.launch.options import DEFAULT_OPTIONS
from verifine.launch.run_graders import open_graders
from verifine.training.schedule import Schedule
from verifine.training.step import train_step
from verifine.training.trainer import Progress, Trainer


def learn(setup: Setup, seed: int, clock: Clock) -> tuple[Recorder, str]:
    """Trains with the quickstart's own trainer; returns what was measured, and the precision."""
    inputs = load_inputs(quickstart_config(setup, seed, str(model_folder(setup.model))))
    files = fetch_model(inputs.config, ignore)
    with (
        open_graders(inputs, None, DEFAULT_OPTIONS.services()) as graders,
        closing(build_run(inputs, graders, files, find_facts(inputs, files), ignore)) as built,
    ):
        recorder = Recorder(clock, setup.marks, lambda: held_out_accuracy(built.eval_set))
        train(built.trainer, recorder, Schedule.of(built.config.optim))
    return recorder, built.config.model.precision


def train(trainer: Trainer, recorder: Recorder, schedule: Schedule) -> None:
    """Steps until the recorder has its last measurement."""
    progress, is_over = Progress(), False
    recorder.begin()
    while not is_over:
        result = train_step(trainer, progress, rate_factor=schedule.factor(recorder.share_done))
        progress = result.progress
        is_over = recorder.step_done(result.report.metrics.get("reward"))
