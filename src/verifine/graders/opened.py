"""The answer together with what the chat template wrote before it.

Templates of reasoning models begin the answer with `<think>`, or with an empty thought. The model then does not write
that tag itself, so graders that look for tags read it as part of the answer. What a template decided is not held
against the model: an answer that is in the right form without the template's beginning is in the right form too.
"""

from __future__ import annotations

from collections.abc import Sequence

from verifine.types import Sample


def with_opened(sample: Sample, tags: Sequence[str]) -> str:
    """The answer, after what the template wrote from the first of `tags` on."""
    places = [place for tag in tags if (place := sample.opened.find(f"<{tag}>")) >= 0]
    return sample.opened[min(places) :] + sample.output_text if places else sample.output_text


def readings(sample: Sample, tags: Sequence[str]) -> tuple[str, ...]:
    """The texts in which to look for `tags`; the first that is in the right form counts."""
    return tuple(dict.fromkeys((with_opened(sample, tags), sample.output_text)))


def closed_tags(sample: Sample, tags: Sequence[str]) -> tuple[str, ...]:
    """Those of `tags` that the template has both opened and closed, so that nothing of the model is inside."""
    return tuple(tag for tag in tags if f"<{tag}>" in sample.opened and f"</{tag}>" in sample.opened)
