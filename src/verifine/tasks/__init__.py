"""Built-in tasks: questions made from a seed, and the grader that knows their answers."""

from __future__ import annotations

from verifine.tasks.load import load_task
from verifine.tasks.task import Task

__all__ = ["Task", "load_task"]
