"""Ensembles through `explorer profile`: rows by placement, beside their members and beside composed."""

import json
import statistics

import pytest

from explorer.accounting.interference import Placement
from explorer.errors import UsageError
from explorer.measure.environment import conditions
from explorer.measure.placement.compare import PlacementRun
from explorer.record import LatencyRun
from explorer.run.profile_asked import read_named
from explorer.run.profiling import designs as module
from explorer.store import Store

PAIR = "mean(wrn10-0.25@8#0, wrn10-0.25@8#1)"
MIXED = "mean(wrn10-0.25@8#0, wrn10-0.5@8#0)"
QUICK = ("--channels", 1, "--seconds", 0.05)


def profile(explorer_here, store, *arguments):
    return explorer_here("profile", *arguments, "--store", store)


def rows_of(done):
    assert done.code == 0, done.err
    return json.loads(done.out)["rows"]


# ---- on this processor --------------------------------------------------------------------------


def test_a_design_is_timed_in_placements_and_a_model_stays_a_model(explorer_here, tmp_path):
    done = profile(
        explorer_here, tmp_path / "store", MIXED, PAIR, "wrn10-0.25@8", "--device", "cpu/eager",
        "--placement", "sequential,batched,streams", *QUICK, "--json",
    )  # fmt: skip
    rows = rows_of(done)

    assert "plan: 3 rows to time" in done.err
    model, *placed = rows
    assert (model["model"], model["placement"], model["ensemble"]) == ("wrn10-0.25@8", None, None)
    assert "design" not in model
    by_key = {(row["design"], row["placement"]): row for row in placed}
    assert len(by_key) == 6
    for row in placed:
        assert set(row) - {"design"} == set(model) - {"model"}
        ensemble = row["ensemble"]
        members = [member["latency_s"] for member in ensemble["members"]]
        assert ensemble["sum_s"] == pytest.approx(sum(members))
        assert ensemble["slowest_s"] == max(members)
        assert "time does not depend on them" in ensemble["weights"]
        assert (row["latency_s"] is None) == bool(row["error"])
    whole = by_key[MIXED, "sequential"]
    assert whole["basis"] == "measured"
    assert whole["conditions"]["backend"] == "torch-eager"
    factor = whole["ensemble"]["interference"]
    assert factor["low"] <= factor["value"] <= factor["high"]
    assert factor["basis"] == "measured"
    composed = whole["ensemble"]["composed_s"]
    assert composed["basis"] == "composed"
    assert composed["value"] == pytest.approx(
        whole["ensemble"]["sum_s"] + whole["ensemble"]["combination_s"], rel=1e-9
    )
    assert "one architecture" in by_key[MIXED, "batched"]["error"]
    assert by_key[PAIR, "batched"]["error"] is None
    assert by_key[PAIR, "batched"]["ensemble"]["composed_s"] is None
    streams = by_key[PAIR, "streams"]
    assert "needs a CUDA device" in streams["error"]
    assert streams["ensemble"]["interference"] is None
    assert streams["ensemble"]["composed_s"]["basis"] == "bound"
    assert streams["ensemble"]["composed_s"]["high"] is None


def test_the_usual_placement_on_a_cpu_is_sequential_and_the_text_says_what_was_run(explorer_here, tmp_path):
    done = profile(explorer_here, tmp_path / "store", PAIR, *QUICK, "--repeat", 2)

    assert done.code == 0, done.err
    assert "cpu/eager sequential" in done.out
    assert "2 series within" in done.out
    assert "over the slowest" in done.out
    assert "(composed)" in done.out
    assert "members' weights: random: time does not depend on them" in done.out
    assert "explorer verify" in done.out
    with Store.open(tmp_path / "store") as store:
        assert store.costs("latency") == ()


def test_members_that_the_store_has_are_timed_with_their_weights(explorer_here, store_copy, monkeypatch):
    built = []
    network = module._network

    def watched(store, record, model, shape, seed):
        built.append((record, network(store, record, model, shape, seed)))
        return built[-1][1]

    monkeypatch.setattr(module, "_network", watched)
    known, unknown = "mean(wrn10-0.25@8#0, wrn10-0.5@8#2)", "mean(wrn10-0.25@8#0, wrn10-0.25@8#7)"
    rows = rows_of(
        profile(explorer_here, store_copy, known, unknown, "--dataset", "digits", "--seconds", 0.05, "--json")
    )

    weights = {row["design"]: row["ensemble"]["weights"] for row in rows}
    assert weights[known] == "of the store's members"
    assert weights[unknown].startswith("1 of 2 of the store, others random")
    assert rows[0]["ensemble"]["images"] == "1 x 8 x 8"
    assert [record is None for record, _ in built] == [False, False, False, True]
    (first, one), (_, other) = built[0], built[1]
    assert first.member.seed == 0
    assert one.preprocess.mean.tolist() == other.preprocess.mean.tolist() != [0.5]


def test_a_member_that_is_named_twice_weighs_more_and_runs_once(explorer_here, tmp_path):
    twice = "mean(wrn10-0.25@8#0, wrn10-0.25@8#0, wrn10-0.25@8#1)"
    (row,) = rows_of(profile(explorer_here, tmp_path / "store", twice, *QUICK, "--json"))

    assert row["design"] == twice
    assert len(row["ensemble"]["members"]) == 2


# ---- arithmetic, on made-up times ---------------------------------------------------------------


def made_up(placement, whole, members, *, refused=""):
    def run(name, samples):
        return LatencyRun(
            subject=name,
            samples_s=tuple(samples),
            warmup_s=(),
            conditions=conditions("cpu"),
            stop_reason="steady",
        )

    return PlacementRun(
        placement=Placement.parse(placement),
        run=None if refused else run(placement, whole),
        members=tuple(run(f"member {i}", [m] * len(whole)) for i, m in enumerate(members)),
        combination=run("combination", [0.01] * len(whole)),
        refused=refused,
    )


def test_series_are_pooled_and_ratios_are_those_of_their_own_rounds(explorer_here, tmp_path, monkeypatch):
    # the second series ran on a machine half as fast: the ratio is the same
    series = iter(
        [
            (made_up("sequential", [0.66] * 7, [0.2, 0.3]),),
            (made_up("sequential", [1.30] * 7, [0.4, 0.6]),),
        ]
    )
    monkeypatch.setattr(module, "measure_placements", lambda *_, **__: next(series))
    (row,) = rows_of(profile(explorer_here, tmp_path / "store", MIXED, *QUICK, "--repeat", 2, "--json"))

    ensemble = row["ensemble"]
    wanted = statistics.median([0.66 / 0.51, 1.30 / 1.01])
    assert ensemble["interference"]["value"] == pytest.approx(wanted)
    assert ensemble["over_sum"]["value"] == pytest.approx(statistics.median([0.66 / 0.5, 1.3]))
    assert ensemble["over_slowest"]["value"] == pytest.approx(statistics.median([2.2, 1.3 / 0.6]))
    assert row["series_medians_s"] == [0.66, 1.30]
    assert any("medians of the 2 series differ by" in reason for reason in row["doubtful_reasons"])
    assert (row["samples"], row["latency_s"]["p50"]) == (14, pytest.approx(0.98))


def test_a_placement_that_fails_in_one_series_is_a_row_with_the_reason(explorer_here, tmp_path, monkeypatch):
    series = iter(
        [
            (made_up("sequential", [0.6] * 7, [0.2, 0.3]), made_up("batched", [0.4] * 7, [0.2, 0.3])),
            (
                made_up("sequential", [0.6] * 7, [0.2, 0.3]),
                made_up("batched", [0.4] * 7, [0.2, 0.3], refused="it\nrained"),
            ),
        ]
    )
    monkeypatch.setattr(module, "measure_placements", lambda *_, **__: next(series))
    fine, failed = rows_of(
        profile(
            explorer_here,
            tmp_path / "store",
            PAIR,
            *QUICK,
            "--repeat",
            2,
            "--placement",
            "sequential,batched",
            "--json",
        )
    )

    assert fine["error"] is None
    assert (failed["error"], failed["latency_s"], failed["placement"]) == ("it rained", None, "batched")


def test_a_batch_that_does_not_fit_is_a_row_with_the_reason(explorer_here, tmp_path, monkeypatch):
    def lacking(job, networks):
        return "out of memory: 7 GiB wanted" if job.workload.batch == 4 else ""

    monkeypatch.setattr(module, "_lacking", lacking)
    one, four = rows_of(profile(explorer_here, tmp_path / "store", PAIR, *QUICK, "--batch", "1,4", "--json"))

    assert one["error"] is None
    assert (four["workload"], four["error"]) == ("cpu/b4/eager", "out of memory: 7 GiB wanted")
    done = profile(explorer_here, tmp_path / "store", PAIR, *QUICK, "--batch", "4")
    assert done.code == 2
    assert "nothing could be measured" in done.err


def test_time_that_runs_out_leaves_designs_out(explorer_here, tmp_path):
    done = profile(
        explorer_here, tmp_path / "store", PAIR, MIXED, "--seconds", 10, "--minutes", 0.7, "--plan", "--json"
    )
    document = json.loads(done.out)

    assert [row["design"] for row in document["planned"]] == [PAIR]
    assert [row["design"] for row in document["left_out"]] == [MIXED]
    # two members, their combination and one placement, ten seconds each; three to prepare
    assert document["seconds"] == pytest.approx(43)


# ---- what is refused ----------------------------------------------------------------------------


def test_what_is_named():
    found = read_named(["wrn10-1", "wrn10-1@8#3", PAIR, "mean(wrn10-0.25@8#1, wrn10-0.25@8#0)", "wrn10-1@8"])

    assert [str(model) for model in found.models] == ["wrn10-1", "wrn10-1@8"]
    assert [str(design) for design in found.designs] == [PAIR]
    with pytest.raises(UsageError, match=r"not a member: 'wrn10-1'; wanted NAME@RESOLUTION#SEED"):
        read_named(["mean(wrn10-1, wrn10-2)"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("wrn10-0.25@8#0 -> [p>=0.5] wrn10-0.5@8#0",),
            2,
            "`explorer build` it, and `explorer verify` times",
        ),
        (("vote(wrn10-0.25@8#0, wrn10-0.5@8#0)",), 2, "write mean(wrn10-0.25@8#0, wrn10-0.5@8#0)"),
        ((PAIR, "--placement", "stream"), 2, "unknown placement 'stream'; did you mean streams"),
        ((PAIR, "--placement", "parallel"), 2, "parallel:W"),
        ((PAIR, "--placement", "batched", "--runtime", "onnxruntime"), 2, "nothing could be measured"),
        ((PAIR, "--scenario", "offline"), 2, "--scenario is for models"),
        (("wrn10-0.25@8", "--placement", "batched"), 2, "--placement needs a DESIGN"),
        ((PAIR, "--device", "rtx4090"), 3, "measure there, or --predict"),
        (("mean(wnr10-1@8#0, wrn10-1@8#0)",), 2, "wnr10-1"),
        ((PAIR, "--dataset", "nothing"), 2, "nothing"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(explorer_here, tmp_path, arguments, code, message):
    with Store.open(tmp_path / "store"):
        pass
    done = profile(explorer_here, tmp_path / "store", *arguments, "--seconds", 0.05)

    assert done.code == code
    assert message in done.error_line
    assert done.out == ""
