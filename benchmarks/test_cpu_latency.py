# ruff: noqa: D103 - a test's name is its docstring
"""Plans cover every model in every pass and visit, busy spells cancel, held-out rows hold no answer."""

import csv
import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import cpu_latency, cpu_latency_report, cpu_latency_scores
from benchmarks.cpu_latency_models import MODELS
from explorer.accounting.kernels import KERNEL, KernelTable
from explorer.convention import Basis
from explorer.errors import UsageError
from explorer.prediction.families import family
from explorer.record import CostFigure

FAMILIES = ("ash", "birch", "cedar", "elm", "fir", "hazel", "larch")
NAMES = [f"{name}_{size}" for name in FAMILIES for size in (1, 2, 3)]


def table(macs: float, moved: float, operators: int) -> KernelTable:
    """Return a pass of so many equal operators."""
    one = np.zeros(1, KERNEL)
    one["count"], one["macs"], one["read"] = operators, macs / operators, 0.5 * moved / operators
    one["written"], one["weights"] = 0.3 * moved / operators, 0.2 * moved / operators
    return KernelTable(operators=one, fused=one[:0])


def tables() -> dict[str, KernelTable]:
    """Return a table for each name, no two alike."""
    draw = random.Random(5)
    return {
        name: table(draw.uniform(5e7, 4e9), draw.uniform(1e7, 4e8), draw.randrange(50, 400)) for name in NAMES
    }


def additive(found: KernelTable) -> float:
    """Return a time that three features tell exactly."""
    macs, moved, operators = cpu_latency_scores.totals(found)
    return macs / 6e10 + moved / 2e10 + operators * 1e-5


def test_the_forty_models_are_of_twenty_families_or_more() -> None:
    assert len(set(MODELS)) == 40
    assert len({family(name) for name in MODELS}) >= 20


@given(st.integers(1, 23), st.floats(1.0, 40.0), st.integers(0, 9))
def test_a_plan_has_every_model_once_in_every_visit_and_no_shelf_is_too_large(
    count: int, memory: float, seed: int
) -> None:
    sizes = {f"m{number}": 1 + number % 5 for number in range(count)}
    plan = cpu_latency.make_plan(sizes, memory, seed=seed)
    seen = Counter((part["pass"], part["visit"], name) for part in plan for name in part["models"])
    assert set(seen.values()) == {1}
    assert len(seen) == count * cpu_latency.PASSES * cpu_latency.VISITS
    shelves: dict[tuple[int, int], set[str]] = {}
    for part in plan:
        assert 0 < len(part["models"]) <= cpu_latency.GROUP
        shelves.setdefault((part["pass"], part["shelf"]), set()).update(part["models"])
    assert all(len(names) == 1 or sum(sizes[n] for n in names) <= memory for names in shelves.values())


def test_passes_differ_in_groups_and_a_plan_is_repeatable() -> None:
    sizes = dict.fromkeys(MODELS, 1)
    plan = cpu_latency.make_plan(sizes, 100.0)
    assert plan == cpu_latency.make_plan(dict(reversed(sizes.items())), 100.0)
    groups = [frozenset(part["models"]) for part in plan]
    assert len(set(groups)) == len(groups)


@given(st.lists(st.floats(0.01, 5.0), min_size=1, max_size=20), st.floats(1.0, 900.0))
def test_groups_share_the_time_and_slow_ones_have_fewer_rounds(rounds: list[float], seconds: float) -> None:
    left, taken = seconds, []
    for number in range(len(rounds)):
        taken.append(cpu_latency.group_seconds(left, rounds[number:]))
        left -= taken[-1]
    assert sum(taken) == pytest.approx(seconds)
    slowest, fastest = int(np.argmax(rounds)), int(np.argmin(rounds))
    assert taken[slowest] >= taken[fastest] * (1 - 1e-9)
    assert taken[slowest] / rounds[slowest] <= taken[fastest] / rounds[fastest] * (1 + 1e-9)
    assert cpu_latency.group_seconds(-3.0, rounds) == 0


def part(number: int, visit: int, slow: Sequence[float], base: float, doubtful: str = "") -> dict[str, Any]:
    """Return a timed group of one model whose rounds were slowed down by these factors."""
    return {
        "pass": number, "shelf": 0, "visit": visit, "group": 0, "load": 1.0 + visit,
        "reference_s": [0.01 * factor for factor in slow],
        "runs": [
            {
                "model": "ash_1", "runtime": "eager", "doubtful": [doubtful] if doubtful else [],
                "samples_s": [base * factor for factor in slow],
            }
        ],
    }  # fmt: skip


def test_what_slows_model_and_reference_alike_cancels() -> None:
    calm, busy = [1.0] * 9, [1.0, 1.6, 1.7, 1.8, 1.9, 1.6]
    parts = [part(1, 0, calm, 0.2), part(1, 1, calm, 0.2), part(2, 0, busy, 0.2, "busy")]
    first, second = cpu_latency_report.make_rows(parts)
    assert (first.samples, second.samples, first.load, second.doubtful) == (18, 6, 1.5, ("busy",))
    assert first.normalised_s == second.normalised_s == pytest.approx(0.2)
    raw = cpu_latency_report.disagreements([first, second], lambda row: row.median_s)
    assert raw["ash_1", "eager"] == pytest.approx(0.13 / 0.265)
    assert cpu_latency_report.disagreements([first], lambda row: row.median_s) == {}
    assert cpu_latency_report.measured([first, second], "eager") == {"ash_1": pytest.approx(0.2)}


def test_three_features_find_a_time_that_they_make_up() -> None:
    kept = tables()
    times = {name: additive(found) for name, found in kept.items()}
    macs, three = cpu_latency_scores.score_held_out(times, "onnxruntime", kept, None, None)
    assert three.accuracy.p90 < 1e-6 < macs.accuracy.median
    low, high = macs.interval.median
    assert low <= macs.accuracy.median <= high


class Spy:
    """A predictor that knows the truth, and looks at what it is given."""

    def __init__(self, samples: Sequence[cpu_latency_scores.Sample]) -> None:
        assert all(math.isfinite(sample.seconds) for sample in samples)
        self.known = {sample.family for sample in samples}

    def predict(self, samples: Sequence[cpu_latency_scores.Sample]) -> list[CostFigure]:
        """Return the truth, give or take a tenth."""
        assert all(math.isnan(one.seconds) and one.family not in self.known for one in samples)
        values = [additive(one.kernels) for one in samples]
        return [CostFigure(value=v, low=0.9 * v, high=1.1 * v, basis=Basis.FITTED) for v in values]


@pytest.mark.parametrize("fold_count", [None, 5])
def test_ours_sees_no_times_of_the_families_it_is_asked_for(fold_count: int | None) -> None:
    kept = tables()
    times = {name: additive(found) for name, found in kept.items()}
    ours = cpu_latency_scores.score_held_out(times, "eager", kept, Spy, fold_count)[-1]
    assert (ours.predictor, ours.accuracy.rows, ours.coverage90) == ("ours", len(NAMES), 1.0)
    assert ours.accuracy.median == pytest.approx(0, abs=1e-12)


def test_one_family_cannot_be_held_out() -> None:
    with pytest.raises(UsageError, match="too few"):
        cpu_latency_scores.score_held_out({"ash_1": 1.0}, "eager", tables(), None, None)


def test_a_report_is_written_of_what_was_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tables()
    monkeypatch.setattr(cpu_latency_report, "_tables", lambda plan, out: kept)
    plan = {
        "date": "2026-01-02", "cores": 2, "processor": "a processor", "load_before": 0.1, "models": NAMES,
        "stamp": {"torch": "2"}, "traced": [["timm:ash_1", 224, 3, 1000]], "parts": [{}, {}, {}],
    }  # fmt: skip
    (tmp_path / "raw").mkdir()
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    for number, factor in ((1, 1.0), (2, 1.02)):
        runs = [
            {
                "model": name,
                "runtime": runtime,
                "doubtful": [],
                "samples_s": [factor * additive(kept[name])] * 6,
            }
            for name in NAMES
            for runtime in ("eager", "onnxruntime")
        ]
        document = part(number, 0, [1.0] * 6, 1.0) | {"runs": runs}
        (tmp_path / "raw" / f"{number}.json").write_text(json.dumps(document))
    said = cpu_latency_report.write_report(tmp_path, tmp_path / "results", ours=Spy)
    assert "| both | 42 | 2.0% | 2.0% | 2.0% | 2.0% |" in said
    assert "met (2.0%)" in said
    assert said.count("per-operator model") == 4
    text = (tmp_path / "results" / "cpu_latency.md").read_text()
    assert "1 of 3 groups are not timed yet" in text
    with (tmp_path / "results" / "cpu_latency.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * len(NAMES)
    assert tuple(rows[0]) == cpu_latency_report.COLUMNS


def test_what_was_not_prepared_or_timed_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cpu_latency.main(["measure", "--out", str(tmp_path), "--models", "resnet18"]) == 2
    assert "not prepared: resnet18" in capsys.readouterr().err
    assert cpu_latency.main(["report", "--out", str(tmp_path), "--results", str(tmp_path)]) == 2
    assert "holds no timed groups" in capsys.readouterr().err
