"""Models as judges: OpenAI's score_model and label_model, executed."""

from __future__ import annotations

from verifine.graders.judge.judging import JudgeGrader
from verifine.graders.judge.label_model import label_question
from verifine.graders.judge.score_model import score_question

__all__ = ["JudgeGrader", "label_question", "score_question"]
