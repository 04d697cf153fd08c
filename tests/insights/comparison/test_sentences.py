from __future__ import annotations

from collections.abc import Callable

from verifine.insights.comparison.run_comparison import compare_runs
from verifine.insights.comparison.sentences import (
    describe_comparison,
    difference_table,
    explain_verdicts,
    result_table,
    run_table,
    verdict_table,
)
from verifine.runs.record import RunRecord

MakeRun = Callable[..., RunRecord]
ALL, NONE = "1" * 10, "0" * 10


def test_one_verdict_is_a_sentence(make_run: MakeRun) -> None:
    first, better, like = (
        make_run("a", right=NONE),
        make_run("b", algorithm="dapo", right=ALL),
        make_run("c", right=NONE),
    )
    assert describe_comparison(compare_runs([first, better])) == (
        "dapo is better than grpo (+1.00 held-out answer accuracy on 10 problems, p = 0.002, one seed only)."
    )
    assert describe_comparison(compare_runs([better, first])).startswith("grpo is worse than dapo (-1.00 ")
    same = make_run("b", algorithm="dapo", right=NONE)
    assert describe_comparison(compare_runs([like, same])).startswith(
        "There is no evidence that dapo differs from grpo"
    )
    elsewhere = make_run("b", algorithm="dapo", first_problem=90)
    assert describe_comparison(compare_runs([first, elsewhere])) == (
        "dapo and grpo have no held-out problem in common to compare them on."
    )


def test_two_verdicts_share_their_reference(make_run: MakeRun) -> None:
    runs = [
        make_run("a", right=NONE),
        make_run("b", algorithm="dapo", right=ALL),
        make_run("c", algorithm="rloo", right=NONE),
    ]
    assert describe_comparison(compare_runs(runs)) == (
        "Held-out answer accuracy compared with grpo: dapo better (+1.00, p = 0.004, one seed only); "
        "rloo without evidence of a difference (+0.00, p = 1.000, one seed only)."
    )


def test_many_verdicts_are_counted(make_run: MakeRun) -> None:
    names = ["grpo", "dapo", "rloo", "gspo", "cispo"]
    runs = [make_run(name, algorithm=name, right=ALL if name == "dapo" else NONE) for name in names]
    assert describe_comparison(compare_runs(runs)) == (
        "Held-out answer accuracy compared with grpo: of 4 variants 1 better, 3 without evidence of a difference."
    )


def test_one_variant_is_compared_with_nothing(make_run: MakeRun) -> None:
    comparison = compare_runs([make_run("a"), make_run("b", seed=1)])
    assert describe_comparison(comparison) == "2 runs of grpo; there is nothing to compare it with."
    assert difference_table(comparison).rows == ()
    assert verdict_table(comparison).rows == ()


def test_the_tables_say_what_was_worked_by_hand(make_run: MakeRun) -> None:
    runs = [
        make_run("a", before=NONE, right="1110000000", rewards=[1.0] * 3),
        make_run("b", before=NONE, right=None, seed=1),
        make_run("c", before=NONE, right=ALL, algorithm="dapo", sections={"optim": {"weight_decay": 0.1}}),
    ]
    comparison = compare_runs(runs, ["A", "B"])
    assert ("optim.weight_decay", "0", "0.1") in difference_table(comparison).rows
    assert [row[:4] for row in result_table(comparison).rows] == [
        ("A", "2, 1 evaluated", "0.00 → 0.30", "0.11 to 0.60 over 10 problems"),
        ("B", "1", "0.00 → 1.00", "0.72 to 1.00 over 10 problems"),
    ]
    assert [row[4:] for row in result_table(comparison).rows] == [
        ("1.00 → 1.00", "0.00 → 0.30", "10.0", "2 to 3", "1.5"),
        ("1.00 → 1.00", "0.00 → 1.00", "10.0", "2", "1.5"),
    ]
    # seven problems of one size: 2 / 2^7
    assert verdict_table(comparison).rows == (("B", "better, one seed", "+0.70", "10", "0.016", "-", "0.016"),)
    assert run_table(comparison).rows[1] == ("b", "A", "1", "2", "1.5", "not finished")
    assert "compared with A, the first variant" in explain_verdicts(comparison)
    assert "Holm" not in explain_verdicts(comparison)


def test_where_answers_are_not_judged_the_reward_leads(make_run: MakeRun) -> None:
    table = result_table(compare_runs([make_run("a", right="????", before="????")]))
    assert table.columns[2:5] == ("average reward", "95 % interval", "format accuracy")
    assert table.rows[0][2:5] == ("0.50 → 0.50", "-", "-")


def test_a_long_setting_is_one_short_line(make_run: MakeRun) -> None:
    runs = [
        make_run(name, sections={"data": {"train": "a.jsonl"}, "grader": {"type": "python", "source": source}})
        for name, source in (("a", "def grade(sample, item):\n    return 1.0" + " " * 9 + "# why" * 20), ("b", "pass"))
    ]
    [row] = [row for row in difference_table(compare_runs(runs)).rows if row[0] == "grader.source"]
    assert row[1].startswith("def grade(sample, item): return 1.0 # why")
    assert (len(row[1]), row[2]) == (60, "pass")
