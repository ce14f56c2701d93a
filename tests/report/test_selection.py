import dataclasses
import json

import pytest
from strategies import simulated_pool

from explorer.analysis.advice.weighted import Wanted, Weighted, quote_weighted, search_weighted
from explorer.analysis.search.greedy_objectives import Objective
from explorer.report.selection import selection_document, selection_text
from explorer.spec import parse_design


def selected(objective: Objective = Objective.ACCURACY, **wanted: object) -> Weighted:
    pool = simulated_pool(models=2, seeds=3, select=200, report=300, classes=7, seed=1)
    asked = Wanted(objective=objective, **{"rounds": 6, **wanted})  # type: ignore[arg-type]  # named by the test
    return quote_weighted((pool,), asked, search_weighted((pool,), asked), notes=("a note",))


def test_the_path_marks_where_the_answer_ends_and_what_was_not_taken() -> None:
    found = selected()
    lines = selection_text(found).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("round"))
    rows = lines[start + 1 : start + 1 + len(found.path)]
    for number, (row, step) in enumerate(zip(rows, found.path, strict=True), start=1):
        assert row.startswith(f"{number} ")
        assert row.endswith(str(step.member))
        assert ("chosen up to here" in row) == (number == found.selection.rounds)
        assert ("not taken" in row) == (number > found.selection.rounds)
        assert f"{100 * step.score:.1f}%" in row


def test_the_text_ends_with_the_design_and_says_what_it_is_worth() -> None:
    found = selected()
    text = selection_text(found)
    last = text.splitlines()[-1]
    assert last.startswith("design: ")
    assert parse_design(last.removeprefix("design: ")) == found.design
    assert "STOPPED" not in text
    assert "against the best single member within the limits: accuracy" in text
    assert "optimism: on select its accuracy looks" in text
    assert "note: a note" in text
    total = sum(found.weights.values())
    for member, times in found.weights.items():
        assert f"  {times} of {total}  {member}" in text


def test_losses_are_written_as_losses_with_accuracy_beside() -> None:
    found = selected(Objective.LOG_LOSS)
    text = selection_text(found)
    assert "by log loss: greedy, 6 rounds" in text
    assert "log loss on report (95% interval)" in text
    assert f"{found.answer.score.value:.4f} (" in text
    assert f"{found.path[0].score:.6f}" in text
    assert "accuracy on report (95% interval)" in text
    assert "; accuracy " in text


def test_a_search_that_was_stopped_says_so_first() -> None:
    found = selected()
    cut = dataclasses.replace(found, selection=dataclasses.replace(found.selection, stopped=True, searched=4))
    assert selection_text(cut).startswith("STOPPED EARLY after 4 of 6 rounds: the best so far")
    assert selection_document(cut)["search"]["stopped"] is True  # type: ignore[index]  # values are objects


def test_one_member_is_said_to_be_one() -> None:
    text = selection_text(selected(max_distinct=1))
    assert "it is one member, the best one within the limits" in text
    assert "against" not in text


def test_equal_weights_are_their_own_plain_mean() -> None:
    found = selected(include=("net0@8#0", "net1@8#0"), rounds=2)
    assert "it is its own plain mean" in selection_text(found)


@pytest.mark.parametrize(
    ("optimism", "members", "says"),
    [
        (0.02, 0.005, "looks 2.0 points better than on report; a member that nobody chose, on average 0.5 "),
        (0.02, 0.005, "beyond that is the luck of choosing"),
        (-0.01, 0.0, "looks 1.0 points worse than on report"),
        (-0.01, 0.0, "no luck of choosing shows"),
    ],
)
def test_optimism_is_put_beside_what_the_splits_differ(optimism: float, members: float, says: str) -> None:
    found = dataclasses.replace(selected(), optimism=optimism, members_optimism=members)
    assert says in selection_text(found)


@pytest.mark.parametrize("objective", list(Objective))
def test_the_document_has_everything_the_text_says(objective: Objective) -> None:
    found = selected(objective, width=4, max_cost=9000.0, family_limits={"net": 4})
    document = json.loads(json.dumps(selection_document(found), allow_nan=False))
    assert document["schema_version"] == 1
    assert document["metric"] == objective.metric
    assert document["search"]["beam"] == 4
    assert document["limits"]["max_cost"] == 9000.0
    assert document["limits"]["family_limits"] == {"net": 4}
    assert parse_design(document["design"]) == found.design
    assert sum(part["weight"] for part in document["weights"]) == len(found.design.members)
    assert document["answer"]["score"]["value"] == found.answer.score.value
    assert [step["member"] for step in document["path"]] == [str(step.member) for step in found.path]
    assert sum(step["in_answer"] for step in document["path"]) == found.selection.rounds
    for against in document["against"]:
        assert {"what", "point", "chosen_on", "score", "difference", "verdict"} <= set(against)
        assert {"accuracy_difference", "accuracy_verdict"} <= set(against)
    assert selection_text(found)
