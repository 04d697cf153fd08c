"""What every session would prepare for itself: imported once by the process that all sessions are forked from."""

from __future__ import annotations

import gc

from transformers.conversion_mapping import get_checkpoint_conversion_mapping

import verifine.testing.sessions  # noqa: F401  # with everything that a run imports

# Loading a model compiles 700 regular expressions, which transformers keeps.
get_checkpoint_conversion_mapping("llama")
# The half a million objects of all modules stay, so no session looks through them for garbage.
gc.collect()
gc.freeze()
