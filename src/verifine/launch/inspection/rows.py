"""Rows as a model reads them, with its tokenizer alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from verifine.config import RunConfig
from verifine.errors import ModelError
from verifine.launch.inspection.question import ShownRow, TokenCounts
from verifine.models.chat.template import TemplateRefusalError, render_text, render_tokens
from verifine.models.chat.values import check_syntax, with_values
from verifine.models.provision.stored import ProvisionedModel
from verifine.types import Example

LONGEST_TEXT = 20_000
"""Characters of a row that are shown."""
TOLD = 10
"""How many problems are told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRows:
    """All rows, read once."""

    prompts: TokenCounts
    refused: int
    problems: tuple[str, ...]


def load_tokenizer(files: ProvisionedModel, config: RunConfig) -> PreTrainedTokenizerFast:
    """With the values that the config gives its chat template.

    Raises:
        ModelError: it cannot be loaded, or has no chat template.
        ConfigError: the template never reads one of the values.
    """
    try:
        tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"the tokenizer of {files.name} cannot be loaded: {' '.join(str(error).split())}") from error
    if tokenizer.chat_template is None:
        raise ModelError(f"{files.name} has no chat template, so it is not a chat model; take its instruct version")
    check_syntax(tokenizer.chat_template, files.name)
    tokenizer.chat_template = with_values(tokenizer.chat_template, config.model.chat_template_kwargs, files.name)
    return tokenizer


def show_row(tokenizer: PreTrainedTokenizerFast, example: Example, most_tokens: int) -> ShownRow:
    """`most_tokens`: what the context leaves to a prompt."""
    tokens, problem = count_tokens(tokenizer, example, most_tokens)
    text = "" if tokens == 0 else render_text(tokenizer, example)[:LONGEST_TEXT]
    return ShownRow(label=example.label, text=text, tokens=tokens, item=dict(example.item), problem=problem)


def count_tokens(tokenizer: PreTrainedTokenizerFast, example: Example, most_tokens: int) -> tuple[int, str | None]:
    """The tokens of a prompt, 0 if the template refuses it, and why training would refuse it."""
    try:
        tokens = len(render_tokens(tokenizer, example))
    except TemplateRefusalError as error:
        return 0, f"{example.label}: the chat template refuses its messages: {error}"
    if tokens > most_tokens:
        return tokens, f"{example.label}: the prompt has {tokens} tokens, and the context leaves it {most_tokens}"
    return tokens, None


def size_up_rows(tokenizer: PreTrainedTokenizerFast, rows: Iterable[Example], most_tokens: int) -> ReadRows:
    """Counts the tokens of every row."""
    found = [count_tokens(tokenizer, row, most_tokens) for row in rows]
    counts: Sequence[int] = [tokens for tokens, _ in found] or [0]
    problems = [problem for _, problem in found if problem is not None]
    return ReadRows(
        prompts=TokenCounts(longest=max(counts), median=float(median(counts)), total=sum(counts)),
        refused=len(problems),
        problems=tuple(islice(problems, TOLD)),
    )
