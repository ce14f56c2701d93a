"""`explorer score` on really trained members."""

import json

import numpy as np
import pytest

from explorer.spec import parse_design
from explorer.store import Store
from tests.plain_scoring import plain_decisions

DESIGNS = (
    "wrn10-0.25@8#0",
    "mean(wrn10-0.25@8#0, wrn10-0.25@8#0, wrn10-0.5@8#1)",
    "wrn10-0.25@8#0 -> [p>=0.5] wrn10-0.5@8#1",
)


@pytest.fixture
def score(explorer_here, trained_store):
    def run(*arguments: object):
        return explorer_here("score", *arguments, "--dataset", "digits", "--store", trained_store)

    return run


@pytest.mark.parametrize("split", ["report", "select"])
def test_scores_by_hand(score, trained_store, split) -> None:
    document = json.loads(score(*DESIGNS, "--split", split, "--json").out)
    with Store.open(trained_store, create=False) as store:
        records = store.predictions("digits", split)
        arrays = {
            str(r.member).replace(f"~{r.member.recipe}", ""): np.array(store.probabilities(r), float)
            for r in records
        }
        labels = np.array(store.labels("digits", split, records[0].split_digest))
    small, large = arrays["wrn10-0.25@8#0"], arrays["wrn10-0.5@8#1"]
    chances = [
        small,
        (2 * small + large) / 3,
        np.where((small.max(1) >= 0.5)[:, None], small, large),
    ]
    rows = np.arange(len(labels))
    for said, text, chance in zip(document["designs"], DESIGNS, chances, strict=True):
        decisions = plain_decisions(parse_design(text), arrays)[0]
        scores = {name: interval["value"] for name, interval in said["scores"].items()}
        worst = said["worst_class"]

        assert said["design"] == text
        assert scores["accuracy"] == (decisions == labels).mean()
        assert scores["nll"] == pytest.approx(-np.log(chance[rows, labels]).mean())
        truth = np.eye(chance.shape[1])[labels]
        assert scores["brier"] == pytest.approx(((chance - truth) ** 2).sum(axis=1).mean())
        # float16 probabilities do tie; the lower class goes first
        first_five = np.argsort(-chance, axis=1, kind="stable")[:, :5]
        assert scores["top5"] == (first_five == labels[:, None]).any(axis=1).mean()
        assert scores["worst_class_accuracy"] == (decisions == labels)[labels == worst["label"]].mean()
        for interval in said["scores"].values():
            assert interval["low"] <= interval["value"] <= interval["high"]
    assert set(document["designs"][1]["differences"]) == set(document["designs"][0]["scores"])


def test_without_a_design_the_front_is_scored(score, explorer_here, trained_store) -> None:
    document = json.loads(score("--json").out)
    front = json.loads(explorer_here("front", "--dataset", "digits", "--store", trained_store, "--json").out)
    on_front = [point["design"] for point in front["points"]]
    scored = [design["design"] for design in document["designs"]]

    assert len(scored) == min(12, len(on_front))
    assert set(scored) <= set(on_front)
    assert (scored[0], scored[-1]) == (on_front[0], on_front[-1])
    if len(scored) < len(on_front):
        assert f"12 of {len(on_front)} designs" in document["notes"][0]


def test_text_says_bins_classes_and_cannot_tell(score) -> None:
    result = score(*DESIGNS)

    assert result.code == 0
    assert "calibration error, 15 bins" in result.out
    assert "class " in result.out
    assert "minus no. 1" in result.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((DESIGNS[0], DESIGNS[0]), "given twice"),
        (("wrn99@8#0",), "unknown member"),
        (("???",), "not a member"),
        (("--split", "test"), "'test' is not one of"),
        ((DESIGNS[0], "--cost", "joy"), "unknown cost kind"),
    ],
)
def test_bad_input_is_one_line_and_2(score, arguments, said) -> None:
    result = score(*arguments)

    assert result.code == 2
    assert said in result.error_line
