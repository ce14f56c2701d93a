"""The curves as text and as a document: what is not known, infinite or extrapolated is said."""

import json
import math
from dataclasses import replace

import pytest

from explorer.analysis.curves.member_law import Loss
from explorer.analysis.curves.overtaking import Crossing
from explorer.analysis.curves.published_gain import predict_ensemble_accuracy
from explorer.analysis.curves.scale_survey import Missing
from explorer.analysis.curves.survey import CurvesQuestion, Survey, survey
from explorer.analysis.pool import load_pool
from explorer.convention import CostAxis
from explorer.report.curves_document import LOSS_KEYS, curves_document
from explorer.report.curves_text import curves_text
from explorer.store import Store
from tests.analyses.conftest import make_study


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    folder = make_study(
        tmp_path_factory.mktemp("study") / "store", seeds=3, select=80, report=90, extras=False
    )
    with Store.open(folder, create=False) as store:
        pool, _ = load_pool(store, "fashion-mnist", CostAxis.parse("macs"))
    question = CurvesQuestion(families=("wrn",), members=(2, 40))
    return survey(pool, Missing(reason="nobody counted parameters"), question, lambda share, text: None)


def crossed(found: Survey, value: float, low: float, high: float) -> Survey:
    crossing = Crossing(value=value, low=low, high=high, start=2e6, end=6.4e7, never=0.5)
    return replace(found, families=(replace(found.families[0], crossing=crossing),))


@pytest.mark.parametrize(
    ("ends", "said", "verdict"),
    [
        (
            (math.inf, math.inf, math.inf),
            "stays ahead of ensembles, measured from 2.00 MMACs to 64.0 MMACs (95% of draws likewise)",
            "single networks ahead",
        ),
        (
            (math.inf, 5e6, math.inf),
            "cannot tell: no ensemble comes to be ahead, measured from 2.00 MMACs to 64.0 MMACs "
            "(95% interval 5.00 MMACs to never)",
            "cannot tell",
        ),
        ((7e6, 5e6, 9e6), "  ensembles are ahead from 7.00 MMACs on, measured", "crossover"),
        ((7e6, 5e6, math.inf), "cannot tell: ensembles are ahead from 7.00 MMACs on", "cannot tell"),
        (
            (-math.inf, -math.inf, 3e6),
            "ensembles are ahead over the whole range, measured from 2.00 MMACs to 64.0 MMACs "
            "(95% interval 2.00 MMACs to 3.00 MMACs)",
            "ensembles ahead",
        ),
    ],
)
def test_a_crossover_is_told_with_its_interval(
    found: Survey, ends: tuple[float, float, float], said: str, verdict: str
) -> None:
    given = crossed(found, *ends)
    assert said in curves_text(given, (), ())
    document = curves_document(given, (), ())
    json.dumps(document, allow_nan=False)
    assert document["families"][0]["crossover"]["verdict"] == verdict


def test_extrapolated_figures_are_marked_and_others_not(found: Survey) -> None:
    text = curves_text(found, ("one note",), ())
    row = next(line for line in text.splitlines() if line.startswith("  wrn10-0.25@28"))
    law = found.families[0].scales[0].laws[Loss.ERROR]
    inside, outside = law.predictions[2], law.predictions[40]
    assert f"{100 * inside.value:.1f}% (" in row
    assert f"{100 * outside.value:.1f}%* (" in row
    assert "* extrapolated" in text
    assert "extrapolated, 2.0" in text, "the cost looked at unless asked otherwise"
    assert "no best split: nobody counted parameters" in text
    assert text.endswith("note: one note")


@pytest.mark.parametrize("loss", LOSS_KEYS)
def test_every_loss_can_be_shown(found: Survey, loss: Loss) -> None:
    law = found.families[0].scales[-1].laws[loss]
    value = law.measured[1].value
    shown = f"{100 * value:.1f}%" if loss is Loss.ERROR else f"{value:#.3g}"
    row = next(line for line in curves_text(found, (), (), loss).splitlines() if "wrn10-2@28" in line)
    assert shown in row


def test_no_loss_is_quoted_outside_of_what_it_can_be(found: Survey) -> None:
    scale = curves_document(found, (), ())["families"][0]["scales"][0]
    for one in scale["error"]:
        assert 0 <= one["low"] <= one["value"] <= one["high"] <= 1
    assert set(scale["by_members"]) == set(LOSS_KEYS.values())


def test_published_ensembles_are_called_predicted() -> None:
    one = predict_ensemble_accuracy(1 - 0.2379, 10)
    text = curves_text(None, (), (one,))
    assert f"error {100 * (1 - one.accuracy):.2f}%" in text
    assert "predicted, not measured;" in text
    far = predict_ensemble_accuracy(0.99, 10, outside=True)
    assert "extrapolated beyond the published" in curves_text(None, (), (far,))
    (laid_out,) = curves_document(None, (), (one,))["published"]
    assert laid_out["basis"] == "predicted, not measured"
    assert laid_out["error"]["low"] == pytest.approx(1 - one.high)
