from __future__ import annotations

from pathlib import Path

from verifine.service.owner_words import OwnerWords

PLACE = Path("/data/reading/1")
FILES = {PLACE / "training_file.jsonl": "my_training_file.jsonl", PLACE / "validation_file.csv": "v.csv"}


def test_names_take_the_place_of_paths_and_are_never_changed_again() -> None:
    words = OwnerWords(files=FILES, paths={"/models/tiny": "tiny"})
    text = ", ".join(
        [
            f"{PLACE}/training_file.jsonl line 3",
            "training_file.jsonl line 4",
            f"{PLACE}/validation_file.csv",
            "/models/tiny thinks",
        ]
    )
    said = "my_training_file.jsonl line 3, my_training_file.jsonl line 4, v.csv, tiny thinks"
    assert words.say(text) == said
    assert words.say_all({"a": [text, 1, None], "b": {"c": text}}) == {"a": [said, 1, None], "b": {"c": said}}


def test_a_file_may_have_the_name_of_another_one() -> None:
    words = OwnerWords(
        files={PLACE / "training_file.jsonl": "the validation_file.csv", PLACE / "validation_file.csv": "v.csv"}
    )
    assert words.say("training_file.jsonl, validation_file.csv") == "the validation_file.csv, v.csv"


def test_without_words_a_text_stays() -> None:
    assert OwnerWords().say("/data") == "/data"
