from __future__ import annotations

from verifine.insights.text_table import text_table


def test_columns_are_as_wide_as_their_widest_cell_and_lines_end_without_blanks() -> None:
    rows = [("", "before", "after"), ("reward", "0.1", "0.25"), (), ("kl", "12", "")]
    assert text_table(rows) == ["        before  after", "reward  0.1     0.25", "", "kl      12"]
    assert text_table(rows, right_aligned=(1, 2)) == [
        "        before  after",
        "reward     0.1   0.25",
        "",
        "kl          12",
    ]


def test_a_cell_is_text_and_never_markup_or_an_emoji_code() -> None:
    row = ("[red]x[/red]", "[/]", ":smile:", "\\[b]")
    assert text_table([row]) == ["[red]x[/red]  [/]  :smile:  \\[b]"]


def test_a_long_cell_is_neither_cut_nor_wrapped() -> None:
    words = "word " * 2000 + "end"
    assert text_table([(words, "1"), ("a", "2")]) == [f"{words}  1", f"a{' ' * (len(words) - 1)}  2"]


def test_wide_characters_take_two_places() -> None:
    assert text_table([("模型", "1"), ("base", "2")]) == ["模型  1", "base  2"]


def test_no_rows_are_no_lines() -> None:
    assert text_table([]) == []
