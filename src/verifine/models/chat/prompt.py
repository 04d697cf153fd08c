"""From chat messages to the tokens that a model reads."""

from __future__ import annotations

from dataclasses import replace

from verifine.errors import DataError
from verifine.models.chat.opened import opened_text
from verifine.models.chat.refusal import refusal_hint
from verifine.models.chat.template import TemplateRefusalError, render_text, render_tokens
from verifine.models.load import LanguageModel
from verifine.types import Example, Prompt


def render_prompt(model: LanguageModel, example: Example, max_new_tokens: int) -> Prompt:
    """Renders the example with the model's chat template, up to the start of the answer.

    Raises:
        DataError: as `prompt_tokens`.
    """
    token_ids = prompt_tokens(model, example, max_new_tokens)
    return Prompt(
        id=example.id,
        token_ids=tuple(token_ids),
        item=example.item,
        question=example.messages[-1].content,
        opened=opened_text(model.tokenizer, example, token_ids),
    )


def prompt_tokens(model: LanguageModel, example: Example, max_new_tokens: int) -> list[int]:
    """The tokens of the example's prompt, in a third of the time that the whole prompt takes.

    Raises:
        DataError: the template refuses the messages or omits the tools, the model does not know one of the tokens, or
            the prompt leaves no space for an answer.
    """
    where = example.label
    try:
        token_ids = render_tokens(model.tokenizer, example)
        reads_tools = not example.tools or _reads_tools(model, example)
    except TemplateRefusalError as error:
        raise DataError(
            f"{where}: the chat template of {model.name} refuses its messages: {error}. "
            f"{refusal_hint(model.tokenizer, example)}."
        ) from error
    if not reads_tools:
        raise DataError(
            f"{where}: the chat template of {model.name} does not show tools to the model. Use a model that was "
            'trained to call tools, or remove "tools".'
        )
    if unknown := [token_id for token_id in token_ids if token_id >= model.vocabulary.size]:
        raise DataError(
            f"{where}: the prompt contains {model.tokenizer.convert_ids_to_tokens(unknown[0])!r}, a token that "
            f"{model.name} does not know. Remove it from the row."
        )
    limit = model.context_length - max_new_tokens
    if limit <= 0:
        raise DataError(
            f"sampling.max_new_tokens is {max_new_tokens}, which fills the context of {model.name} "
            f"({model.context_length} tokens) and leaves no space for a prompt. Lower it."
        )
    if len(token_ids) > limit:
        raise DataError(
            f"{where}: the prompt has {len(token_ids)} tokens, but {model.name} reads "
            f"{model.context_length} and {max_new_tokens} are kept for the answer. Shorten it to {limit} tokens or "
            "lower sampling.max_new_tokens."
        )
    return token_ids


def _reads_tools(model: LanguageModel, example: Example) -> bool:
    return render_text(model.tokenizer, example) != render_text(model.tokenizer, replace(example, tools=()))


def prompt_text(model: LanguageModel, prompt: Prompt) -> str:
    """The prompt as the model sees it, special tokens included."""
    text = model.tokenizer.decode(prompt.token_ids)
    assert isinstance(text, str)
    return text
