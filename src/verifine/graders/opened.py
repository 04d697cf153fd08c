"""The answer together with what stands before it: what the chat template wrote, and the thought.

Templates of reasoning models begin the answer with `<think>`, or with an empty thought. The model then does not write
that tag itself, so graders that look for tags read it as part of the answer. What a template decided is not held
against the model: an answer that is in the right form without the template's beginning is in the right form too.

A model that thinks apart from its answers is judged by them: only graders that look for `<think>` see its thoughts.
"""

from __future__ import annotations

from collections.abc import Sequence

from verifine.types import Sample

_THOUGHT = "think"


def with_opened(sample: Sample, tags: Sequence[str]) -> str:
    """The answer, with its thought if that is among `tags`, after what the template wrote from the first of them on."""
    places = [place for tag in tags if (place := sample.opened.find(f"<{tag}>")) >= 0]
    return (sample.opened[min(places) :] if places else "") + written(sample, tags)


def written(sample: Sample, tags: Sequence[str]) -> str:
    """What the model wrote as graders of `tags` see it."""
    return sample.thought + sample.output_text if _THOUGHT in tags else sample.output_text


def readings(sample: Sample, tags: Sequence[str]) -> tuple[str, ...]:
    """The texts in which to look for `tags`; the first that is in the right form counts."""
    return tuple(dict.fromkeys((with_opened(sample, tags), written(sample, tags))))


def closed_tags(sample: Sample, tags: Sequence[str]) -> tuple[str, ...]:
    """Those of `tags` that the template has both opened and closed, so that nothing of the model is inside."""
    return tuple(tag for tag in tags if f"<{tag}>" in sample.opened and f"</{tag}>" in sample.opened)
