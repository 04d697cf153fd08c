from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2Config

from verifine.errors import DataError, ModelError
from verifine.models.chat.prompt import render_prompt
from verifine.models.load import check_attention, fastest_dtype, load_model
from verifine.models.loading_fault import loading_fault
from verifine.models.network.vocabulary import Vocabulary
from verifine.models.provision.stored import ProvisionedModel
from verifine.testing import load_tiny_model, save_tiny_model, tiny_tokenizer
from verifine.types import Example, Message


def load(folder: Path) -> None:
    load_model(ProvisionedModel(name="mine", folder=folder, source="local folder"), "float32")


def test_a_model_is_loaded_in_float32_without_dropout(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}
    assert not model.network.training
    assert model.stop_token_ids == {2}
    assert model.context_length == 256


def test_a_model_without_a_chat_template_is_refused_with_the_file_to_write(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    file = folder / "chat_template.jinja"
    template = file.read_text()
    file.unlink()
    with pytest.raises(ModelError) as caught:
        load(folder)
    assert str(caught.value).startswith("mine has no chat template")
    assert str(caught.value).endswith(f"write a template to {file}.")
    file.write_text(template)
    load(folder)


def test_a_folder_without_a_tokenizer_is_told_the_file_that_it_lacks(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError) as caught:
        load(folder)
    assert str(caught.value).startswith(f"mine cannot be loaded: {folder} has no tokenizer.json. ")
    assert "\n" not in str(caught.value)


def test_a_cause_of_several_lines_is_put_on_one(tmp_path: Path) -> None:
    assert loading_fault(save_tiny_model(tmp_path), ValueError("a:\n  (1) b\n\n  (2) c")) == "a: (1) b (2) c"
    assert loading_fault(save_tiny_model(tmp_path), KeyError()) == "KeyError"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ messages }}\n{% if", """in line 2, at "{% if": unexpected 'end of template'. Fix it"""),
        (
            "a\n{% fro m in messages %}\n",
            """in line 2, at "{% fro m in messages %}": Encountered unknown tag 'fro'. """,
        ),
        ("{{ messages | shout }}", """in line 1, at "{{ messages | shout }}": No filter named 'shout'. Fix it"""),
    ],
)
def test_a_chat_template_with_an_error_is_told_with_the_place(template: str, told: str, tmp_path: Path) -> None:
    """Before any row is rendered: it is not the messages that are at fault."""
    folder = save_tiny_model(tmp_path)
    (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(ModelError) as caught:
        load(folder)
    assert f"the chat template of mine has an error {told}" in str(caught.value)


def test_tags_and_functions_of_transformers_are_no_errors_of_a_template(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if loop.index > 9 %}{% break %}{% endif %}{% generation %}{{ m | tojson(indent=1) }}"
        "{% endgeneration %}{{ raise_exception('x') if false }}{{ strftime_now('%Y') }}{% endfor %}"
    )
    load(folder)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(folder)


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "nonesuch"}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(folder)


def test_an_architecture_that_caps_its_attention_is_refused(tmp_path: Path) -> None:
    # Without windows and sinks, the cap on Gemma 2's attention logits is all that sets it apart.
    config = Gemma2Config(
        vocab_size=98, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, attn_implementation="verifine",
    )  # fmt: skip
    network = AutoModelForCausalLM.from_config(config).eval()
    with pytest.raises(ModelError, match="caps or sinks its attention"):
        check_attention(network)


def test_a_forward_pass_that_differs_is_refused(tmp_path: Path) -> None:
    network = load_tiny_model(tmp_path).network
    check_attention(network)
    original = network.lm_head.forward
    network.lm_head.forward = lambda hidden: original(hidden) + 1.0
    with pytest.raises(ModelError, match="logits"):
        check_attention(network)


def test_the_attention_check_leaves_the_implementation_as_it_was(tmp_path: Path) -> None:
    assert load_tiny_model(tmp_path).network.config._attn_implementation == "verifine"


def test_bfloat16_has_to_earn_its_rounding() -> None:
    cpu = torch.device("cpu")
    # Six timed products in float32, then six in bfloat16; the clock is read before and after each.
    times = {"fast": [1.0] * 6 + [0.5] * 6, "even": [1.0] * 6 + [0.9] * 6, "slow": [1.0] * 6 + [2.0] * 6}
    chosen = {}
    for name, durations in times.items():
        readings = itertools.chain.from_iterable((0.0, duration) for duration in durations)
        chosen[name] = fastest_dtype(cpu, lambda readings=readings: next(readings))  # type: ignore[misc]
    assert chosen == {"fast": torch.bfloat16, "even": torch.float32, "slow": torch.float32}


def test_bfloat16_weights_become_float32(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    weights = {name: tensor.bfloat16() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = load_model(ProvisionedModel(name="mine", folder=folder, source="local folder"), "float32")
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}


def add_tokens(folder: Path, *tokens: AddedToken) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(list(tokens), special_tokens=all(token.special for token in tokens))
    tokenizer.save_pretrained(folder)


def test_the_vocabulary_is_that_of_the_tokenizer(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, words=["><", "</"], padding=29)
    assert model.vocabulary == Vocabulary(size=101)
    assert len(model.head.weight) == 130
    assert load_tiny_model(tmp_path / "plain").head.missing is None


@pytest.mark.parametrize("special", [False, True])
def test_a_tokenizer_with_tokens_that_prompts_need_and_the_model_lacks_is_refused(
    special: bool, tmp_path: Path
) -> None:
    folder = save_tiny_model(tmp_path)
    add_tokens(folder, AddedToken("<|im_start|>", special=special))
    if special:
        template = folder / "chat_template.jinja"
        template.write_text("<|im_start|>" + template.read_text())
    with pytest.raises(ModelError, match=r"has 99 rows .* '<\|im_start\|>' \(id 99\).*resize_token_embeddings"):
        load(folder)


def test_the_tokenizer_of_a_larger_model_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    tiny_tokenizer(["><", "</"]).save_pretrained(folder)
    with pytest.raises(ModelError, match=r"has 99 rows .* '><' \(id 99\)"):
        load(folder)


def test_a_special_token_that_nothing_needs_may_lack_a_row(tmp_path: Path) -> None:
    """As the one for images of Gemma 3 1B, which reads text alone; a prompt that contains it is refused."""
    folder = save_tiny_model(tmp_path)
    add_tokens(folder, AddedToken("<image_soft_token>", special=True))
    model = load_model(ProvisionedModel(name="mine", folder=folder, source="local folder"), "float32")
    assert model.vocabulary == Vocabulary(size=99)
    example = Example(id="e", messages=(Message(role="user", content="a <image_soft_token>"),), item={}, place="row 7")
    with pytest.raises(DataError, match="row 7: the prompt contains '<image_soft_token>'"):
        render_prompt(model, example, 8)


def test_a_token_that_transformers_adds_to_those_of_the_files_does_not_exist(tmp_path: Path) -> None:
    """Its class for Qwen 2 adds <|endoftext|>, with the id of the first row that only pads."""
    model = load_tiny_model(tmp_path, "qwen2", padding=29)
    assert model.tokenizer.get_vocab()["<|endoftext|>"] == 99
    assert model.vocabulary == Vocabulary(size=99)


def test_a_token_that_only_the_config_of_the_tokenizer_names_exists(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path, padding=29)
    path = folder / "tokenizer_config.json"
    added = {"99": {"content": "<|im_end|>", "special": True}}
    path.write_text(json.dumps({**json.loads(path.read_text()), "added_tokens_decoder": added}))
    model = load_model(ProvisionedModel(name="mine", folder=folder, source="local folder"), "float32")
    assert model.tokenizer.get_vocab()["<|im_end|>"] == 99
    assert model.vocabulary == Vocabulary(size=100)


def test_an_end_of_turn_that_the_tokenizer_lacks_is_none(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path, padding=29)
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": [2, 110]}))
    model = load_model(ProvisionedModel(name="mine", folder=folder, source="local folder"), "float32")
    assert model.stop_token_ids == {2}


def edit_config(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def test_weights_that_the_files_lack_are_not_drawn_at_random(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    edit_config(folder, num_hidden_layers=3)
    with pytest.raises(ModelError, match=r"mine is not complete: .* model\.layers\.2\.\S+ and 6 more"):
        load(folder)


def test_a_config_of_another_size_is_told_with_a_shape(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    edit_config(folder, vocab_size=40)
    with pytest.raises(ModelError, match=r"model\.embed_tokens\.weight is \d+ x 64, and 40 x 64 by the config"):
        load(folder)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("model.safetensors", b"", "model.safetensors is damaged"),
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        ("tokenizer.json", b'{"version": "1', "tokenizer.json is not JSON"),
        ("config.json", b'{"model_type": "llama", "hidden_size": "64"}', "config.json"),
        ("config.json", b"null", "config.json"),
    ],
)
def test_a_broken_file_is_named(file: str, content: bytes, told: str, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    (folder / file).write_bytes(content)
    with pytest.raises(ModelError, match=told):
        load(folder)


def test_weights_that_are_no_numbers_are_told_as_such(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="NaN"):
        load(folder)


def test_a_loaded_model_stays_as_it_is_when_its_files_are_written_over(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "tiny")
    network = load_model(ProvisionedModel(name="tiny", folder=folder, source="random"), "float32").network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    file = folder / "model.safetensors"
    with file.open("r+b") as weights:
        weights.write(b"\1" * file.stat().st_size)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
