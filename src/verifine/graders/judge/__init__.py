"""Models as judges: OpenAI's score_model and label_model, executed."""

from __future__ import annotations

from verifine.graders.judge.graders import LabelModelGrader, ScoreModelGrader

__all__ = ["LabelModelGrader", "ScoreModelGrader"]
