"""How to load a model in the form that it has: code that runs as it stands."""

from __future__ import annotations

import json

from verifine.insights.card.markdown import block
from verifine.insights.card.subject import CardSubject
from verifine.runs.record import RunRecord

_QUESTION = ("user", "...")

_ASK = """
messages = [{messages}]
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
answer = model.generate(**prompt, max_new_tokens=256)
print(tokenizer.decode(answer[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True))
"""


def usage(record: RunRecord, subject: CardSubject) -> list[str]:
    """Paragraphs of Markdown."""
    place = subject.repository or "."
    where = [] if subject.repository is not None else ["In the folder of this card:"]
    return [*where, *_load(record, subject, place)]


def _load(record: RunRecord, subject: CardSubject, place: str) -> list[str]:
    match subject.form:
        case "merged":
            return [
                block(_MERGED.format(place=place) + _ask(record), "python"),
                block(_SERVE.format(place=place), "sh"),
            ]
        case "adapter":
            return [block(_ADAPTER.format(place=place, base=_base(record)) + _ask(record), "python")]
        case "gguf":
            return [
                block(_GGUF.format(place=place, file=subject.file) + _ask(record), "python"),
                block(_LLAMA.format(file=subject.file), "sh"),
            ]


def _ask(record: RunRecord) -> str:
    """A question, after the system prompt that the model was trained with."""
    system = None if record.run_file.inputs is None else record.run_file.inputs.system_prompt
    chat = [] if system is None else [("system", system)]
    messages = [json.dumps({"role": role, "content": text}, ensure_ascii=False) for role, text in [*chat, _QUESTION]]
    return _ASK.replace("{messages}", ", ".join(messages))


def _base(record: RunRecord) -> str:
    inputs = record.run_file.inputs
    return "BASE_MODEL" if inputs is None or inputs.hub_id is None else inputs.hub_id


_MERGED = """
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{place}")
model = AutoModelForCausalLM.from_pretrained("{place}")
""".lstrip()

_ADAPTER = """
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{place}")
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("{base}"), "{place}")
""".lstrip()

_GGUF = """
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{place}", gguf_file="{file}")
model = AutoModelForCausalLM.from_pretrained("{place}", gguf_file="{file}")
""".lstrip()

_SERVE = "vllm serve {place}"
_LLAMA = "llama-cli -m {file} -cnv"
