"""Turns off the progress bars of transformers and the hub, which would interfere with the caller's display."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers.utils import logging


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Turns both libraries' bars off inside the context."""
    hub_was_on, transformers_was_on = not are_progress_bars_disabled(), logging.is_progress_bar_enabled()
    disable_progress_bars()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if hub_was_on:
            enable_progress_bars()
        if transformers_was_on:
            logging.enable_progress_bar()
