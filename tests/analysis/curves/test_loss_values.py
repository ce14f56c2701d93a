"""Losses of sets of seeds, and designs inside one network, against plain loops over the stored arrays."""

import math

import numpy as np
import pytest

from explorer.analysis.curves.inner_designs import inner_designs, inner_errors
from explorer.analysis.curves.loss_values import calibrated_losses, calibrated_losses_of, log_losses
from explorer.analysis.curves.overtaking import error_curve
from explorer.analysis.pool import Pool, load_pool
from explorer.analysis.scoring.temperature import fit_temperature
from explorer.analysis.statistics.seeds import Resampling, scales
from explorer.convention import CostAxis
from explorer.store import Store
from tests.analyses.conftest import make_study


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    folder = make_study(tmp_path_factory.mktemp("study") / "store", select=90, report=110)
    with Store.open(folder, create=False) as store:
        return load_pool(store, "fashion-mnist", CostAxis.parse("macs"))[0]


def averaged(pool: Pool, split: str, rows: tuple[int, ...]) -> np.ndarray:
    probabilities, _ = pool.arrays(split)
    return np.mean([np.asarray(probabilities[row], dtype=np.float64) for row in rows], axis=0)


def test_log_losses_are_those_of_each_average(pool: Pool) -> None:
    scale = scales(pool)[0]
    found = log_losses(pool, scale)
    assert found.seeds == 4
    assert len(found.sets) == 15
    for chosen, values in zip(found.sets, found.values, strict=True):
        mean = averaged(pool, "report", tuple(scale.rows[seed] for seed in chosen if seed >= 0))
        true = [mean[example, label] for example, label in enumerate(pool.report_labels)]
        assert values == pytest.approx([-math.log(max(p, 2**-25)) for p in true], rel=1e-5)


def test_calibrated_losses_are_tempered_by_select(pool: Pool) -> None:
    scale = scales(pool)[1]
    select, report = calibrated_losses(pool, scale, largest=2)
    assert [found.sets.shape[1] for found in (select, report)] == [2, 2]
    rows = (scale.rows[1], scale.rows[3])
    place = [tuple(chosen) for chosen in report.sets].index((1, 3))
    temperature = fit_temperature(averaged(pool, "select", rows), pool.select_labels)
    raised = np.maximum(averaged(pool, "report", rows), 2**-25) ** (1 / temperature)
    raised /= raised.sum(axis=1, keepdims=True)
    plain = -np.log(raised[np.arange(len(pool.report_labels)), pool.report_labels])
    assert report.values[place] == pytest.approx(plain, rel=1e-4)
    same = calibrated_losses_of(pool, [rows], "made up")
    assert (same.values[0] == report.values[place]).all()


def test_designs_inside_one_network_are_those_that_are_there(pool: Pool) -> None:
    found = {design.method: design for design in inner_designs(pool)}
    assert set(found) == {"MIMO", "snapshots of one run"}
    snapshots = found["snapshots of one run"]
    assert str(snapshots.base) == str(found["MIMO"].base) == "wrn10-0.5@28"
    assert [len(rows) for rows in snapshots.groups] == [2, 2]
    for rows in snapshots.groups:
        members = [pool.members[row] for row in rows]
        assert len({member.seed for member in members}) == 1
        assert [member.recipe[:9] for member in members] == ["snapshot1", "snapshot2"]
    errors = inner_errors(pool, snapshots)
    plain = [averaged(pool, "report", rows).argmax(axis=1) != pool.report_labels for rows in snapshots.groups]
    assert errors.mean(1) == pytest.approx(float(np.mean(plain)))


def test_the_curve_of_a_scale_is_its_mean_error(pool: Pool) -> None:
    scale = scales(pool)[2]
    curve = error_curve(pool, scale, Resampling(len(pool.report_labels), draws=50))
    wrong = [averaged(pool, "report", (row,)).argmax(axis=1) != pool.report_labels for row in scale.rows]
    assert curve.error[1].value == pytest.approx(float(np.mean(wrong)))
    chosen = [averaged(pool, "select", (row,)).argmax(axis=1) != pool.select_labels for row in scale.rows]
    assert curve.chosen[1] == pytest.approx(float(np.mean(chosen)))
    assert curve.cost(3) == 3 * scale.cost
