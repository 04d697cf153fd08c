"""The generation settings that are saved with a model."""

from __future__ import annotations

import copy

from transformers import GenerationConfig

_ONLY_SAMPLING = ("temperature", "top_p", "min_p", "top_h", "typical_p", "top_k", "epsilon_cutoff", "eta_cutoff")
_ONLY_BEAMS = ("early_stopping", "length_penalty")
_ONLY_CACHE = ("cache_implementation", "cache_config")


def without_idle_flags(settings: GenerationConfig) -> GenerationConfig:
    """The same settings without the flags that change nothing, such as a temperature where nothing is sampled.

    transformers reads a `generation_config.json` with such flags and refuses to write it, so a model with one could be
    trained but not saved. Which flags are idle is what `GenerationConfig.validate` says.
    """
    idle: list[str] = []
    searches_contrastively = bool(settings.penalty_alpha) and (settings.num_beams or 1) == 1
    if settings.do_sample is not True:
        idle += [name for name in _ONLY_SAMPLING if not (name == "top_k" and searches_contrastively)]
    if (settings.num_beams or 1) == 1:
        idle += _ONLY_BEAMS
    if settings.use_cache is False:
        idle += _ONLY_CACHE
    if settings.return_dict_in_generate is not True:
        idle += settings.extra_output_flags
    if settings.pad_token_id is not None and settings.pad_token_id < 0:
        idle.append("pad_token_id")
    written = copy.deepcopy(settings)
    for name in idle:
        setattr(written, name, None)
    return written
