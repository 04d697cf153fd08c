"""Makes `pico`, the toy model that comes with Verifine, from a seed: `python tools/make_pico.py`.

It takes ten minutes on one core. The same seed gives the same bytes on the same machine with the same versions of
torch and transformers; other processors add numbers up in another order, so their bytes differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from pico_chats import Stage, make_chats
from pico_tokenizer import make_tokenizer
from pico_training import make_batches, make_network, teach
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from verifine.models.provision.shipped import SHIPPED

CARD = Path(__file__).with_name("pico_card.md")

BATCH = 16
SKILL_STEPS, SKILL_RATE = 1400, 2e-3
HABIT_STEPS, HABIT_RATE = 300, 1e-3


def make_pico(folder: Path, seed: int, scale: float, tell: Callable[[str], None]) -> None:
    """Writes an ordinary transformers folder. `scale` shortens training, for tests of this script."""
    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    network = make_network(tokenizer)
    lessons: Sequence[tuple[Stage, int, float]] = (
        ("skill", SKILL_STEPS, SKILL_RATE),
        ("habits", HABIT_STEPS, HABIT_RATE),
    )
    for stage, steps, rate in lessons:
        torch.manual_seed(seed)
        batches = make_batches(make_chats(seed, stage), tokenizer, BATCH)
        teach(network, batches, max(1, int(scale * steps)), rate, tell)
    save(network, tokenizer, folder)


def save(network: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes bfloat16 weights, tokenizer, chat template and card."""
    network.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(CARD.read_text(encoding="utf-8"), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=SHIPPED["pico"].folder)
    given = parser.parse_args()
    torch.set_num_threads(1)  # so that sums are added up in one order
    make_pico(given.out, given.seed, 1.0, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
