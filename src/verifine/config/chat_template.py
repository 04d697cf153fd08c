"""Values for the variables of a chat template."""

from __future__ import annotations

from collections.abc import Iterable

RENDERER_NAMES = frozenset(
    {
        "add_generation_prompt",
        "chat_template",
        "continue_final_message",
        "conversation",
        "documents",
        "max_length",
        "messages",
        "padding",
        "raise_exception",
        "return_assistant_tokens_mask",
        "return_dict",
        "return_tensors",
        "strftime_now",
        "tokenize",
        "tokenizer_kwargs",
        "tools",
        "truncation",
    }
)
"""What transformers passes to every chat template, and the arguments of its `apply_chat_template`."""

_SPECIAL_TOKENS = frozenset(f"{name}_token" for name in ("bos", "cls", "eos", "mask", "pad", "sep", "unk"))


def is_free(name: str) -> bool:
    """Whether a variable of a template is neither given by the renderer nor a special token of the tokenizer."""
    return name not in RENDERER_NAMES and name not in _SPECIAL_TOKENS


def check_template_names(names: Iterable[str]) -> None:
    """ValueError for a name that the user cannot set."""
    for name in names:
        if not name.isidentifier():
            raise ValueError(f"`chat_template_kwargs` has the key {name!r}, which is no name of a variable")
        if not is_free(name):
            raise ValueError(
                f"`chat_template_kwargs` cannot set {name}, which is filled in for every chat; it is for switches of "
                "the template's own, such as enable_thinking"
            )
