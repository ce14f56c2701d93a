"""The answer in words: every branch says what the numbers allow, no more."""
# ruff: noqa: RUF001  (the minus and multiplication signs are what is tested)

from collections.abc import Callable
from dataclasses import replace

from explorer.analysis.result import Advice, Crossover, Front
from explorer.report.answer import answer_sentence, changes, headline, optimism_sentence
from explorer.spec import CandidateKind

DESIGN = "wrn10-0.5@8#2 -> [p>=0.97] mean(wrn10-1@8#0, wrn10-1@8#1, wrn10-1@8#2)"


def test_headline_is_the_decision(advice: Advice) -> None:
    assert headline(advice) == "Ship a cascade: 98.1% for 1.23 MMACs"


def test_cannot_tell_is_said_with_the_examples_needed_and_the_cheaper_one(advice: Advice) -> None:
    said = answer_sentence(advice)

    assert said.startswith(
        f"With at most 4.00 MMACs per example on digits, ship the cascade {DESIGN}: 98.1% "
    )
    assert "(95% interval 96.8% to 99.4%) on 539 report examples" in said
    assert "for 1.23 MMACs (1.16 to 1.30 MMACs) per example" in said
    assert "+0.5 points (95% interval −0.4 to +1.3)" in said
    assert "cannot tell" in said
    assert "about 4,100 report examples" in said
    assert "the runner-up costs 2.46× as much" in said


def test_a_clear_difference_is_said_without_doubt(make_advice: Callable[..., Advice]) -> None:
    said = answer_sentence(make_advice(0.002, 0.012, 0.021))

    assert "so the answer is more accurate" in said
    assert "cannot tell" not in said
    assert "cheaper" not in said


def test_a_choice_that_fresh_examples_turn_round_is_owned_up_to(make_advice: Callable[..., Advice]) -> None:
    assert "the answer is less accurate" in answer_sentence(make_advice(-0.03, -0.02, -0.01))


def test_a_cheaper_design_that_cannot_be_told_from_the_answer_is_named(advice: Advice, front: Front) -> None:
    cheap = front.fronts_by_kind[CandidateKind.CASCADE][0]

    said = answer_sentence(replace(advice, cheaper=cheap))

    assert f"the cheapest is the cascade {cheap.design}, at 131 kMACs: the answer costs 9.39× as much" in said


def test_nothing_fits_says_so_and_names_the_nearest(advice: Advice, front: Front) -> None:
    empty = replace(
        advice, answer=None, runner_up=None, best_of_kind={}, comparisons=(), cannot_tell=False, cheaper=None
    )

    assert headline(empty) == "Nothing fits: at most 4.00 MMACs per example"
    assert answer_sentence(empty).startswith("Nothing fits: no design made of these members has at most")
    assert "wrn10-0.25@8#1: 91.1%" in answer_sentence(replace(empty, next_up=front.points[0]))
    assert optimism_sentence(empty) == ""


def test_optimism_of_choosing_is_shown(advice: Advice) -> None:
    assert "had 98.5%; on fresh ones 98.1%: choosing flattered it by +0.4 points" in optimism_sentence(advice)


def test_many_crossovers_are_summed_up(advice: Advice) -> None:
    kinds = (CandidateKind.SINGLE, CandidateKind.CASCADE)
    many = tuple(
        Crossover(cost=1e5 * (i + 1), before=kinds[i % 2], after=kinds[(i + 1) % 2]) for i in range(7)
    )

    said = " ".join(changes(replace(advice, crossovers=many)))

    assert "changes 7 times" in said
    assert "At 100 kMACs" in said
    assert "At 700 kMACs" in said
    assert "At 300 kMACs" not in said
