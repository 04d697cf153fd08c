"""From chat messages to the tokens a model reads."""

from __future__ import annotations

from jinja2 import TemplateError

from verifine.errors import DataError
from verifine.models.load import LanguageModel
from verifine.types import Example, Prompt


def render_prompt(model: LanguageModel, example: Example, max_new_tokens: int) -> Prompt:
    """The example as the model's chat template writes it, ready for the answer.

    Raises:
        DataError: the template refuses the messages, or there is no room left for an answer.
    """
    where = example.place or f"example {example.id}"
    messages = [{"role": message.role, "content": message.content} for message in example.messages]
    try:
        token_ids = model.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    except TemplateError as error:
        raise DataError(f"{where}: the chat template of {model.name} refuses its messages: {error}") from error
    room = model.context_length - max_new_tokens
    if room <= 0:
        raise DataError(
            f"sampling.max_new_tokens is {max_new_tokens}, which fills the context of {model.name} "
            f"({model.context_length} tokens) and leaves no room for a prompt. Lower it."
        )
    if len(token_ids) > room:
        raise DataError(
            f"{where}: the prompt has {len(token_ids)} tokens, but {model.name} reads "
            f"{model.context_length} and {max_new_tokens} are kept for the answer. Shorten it to {room} tokens or "
            "lower sampling.max_new_tokens."
        )
    return Prompt(id=example.id, token_ids=tuple(token_ids), item=example.item, question=example.messages[-1].content)


def prompt_text(model: LanguageModel, prompt: Prompt) -> str:
    """The prompt as the model sees it, special tokens included."""
    text = model.tokenizer.decode(prompt.token_ids)
    assert isinstance(text, str)
    return text
