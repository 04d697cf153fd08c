"""Runs untrusted code, a user's grader or a model's program, isolated from files, network and other processes."""

from verifine.graders.sandbox.call import Call, CallFault, Level, Limits, Outcome
from verifine.graders.sandbox.level import LevelReport, find_level
from verifine.graders.sandbox.sandbox import Sandbox

__all__ = ["Call", "CallFault", "Level", "LevelReport", "Limits", "Outcome", "Sandbox", "find_level"]
