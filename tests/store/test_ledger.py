import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from explorer.convention import Basis
from explorer.errors import InputDataError, StoreError, UsageError
from explorer.record import CostFigure
from explorer.spec import Member, ModelSpec, design_id, parse_design
from explorer.store import EvaluationRecord, Store
from explorer.store.files import digest_of

DIGEST = "5" * 64
LABELS = np.array([0, 1, 2, 0, 1, 2, 0])
NAMES = ("zero", "one", "two")


def commit(store, record, probabilities, weights=b"weights"):
    return store.commit_member(
        record,
        weights,
        {"select": probabilities, "report": probabilities},
        labels={"select": LABELS, "report": LABELS},
        class_names=NAMES,
    )


# ---- members ----------------------------------------------------------------------------------


def test_what_is_committed_comes_back_equal(store, make_member, make_probabilities):
    record, array = make_member(), make_probabilities()

    commit(store, record, array)

    assert store.members("digits") == (replace(record, weights_digest=digest_of(b"weights")),)
    assert store.weights(store.members()[0].weights_digest) == b"weights"
    for split in ("select", "report"):
        (found,) = store.predictions("digits", split)
        assert found.member == record.member
        np.testing.assert_array_equal(store.probabilities(found), array.astype(np.float16))
        np.testing.assert_array_equal(store.labels("digits", split, DIGEST), LABELS)
    assert store.class_names("digits") == NAMES
    assert store.datasets() == ("digits",)
    assert store.check().problems == ()


def test_it_is_all_there_after_closing_and_opening(tmp_path, make_member, make_probabilities):
    with Store.open(tmp_path / "a") as first:
        commit(first, make_member(), make_probabilities())
        url, members = first.url, first.members()

    with Store.open(url, create=False) as again:
        assert again.members() == members
        assert again.root == first.root


def test_members_are_sorted_and_filtered(store, make_member, make_probabilities):
    for name, seed, dataset in [("wrn10-2", 11, "digits"), ("wrn10-1", 3, "digits"), ("wrn10-1", 2, "other")]:
        commit(store, make_member(seed, name, dataset), make_probabilities())

    assert [str(r.member) for r in store.members("digits")] == [
        "wrn10-1@8~quick-0a1b2c3d#3",
        "wrn10-2@8~quick-0a1b2c3d#11",
    ]
    assert len(store.members()) == 3
    assert store.members(recipe_id="no-such") == ()


def test_a_second_identical_commit_adds_nothing(store, make_member, make_probabilities):
    commit(store, make_member(), make_probabilities())
    before = (store.info(), store.stamp())

    commit(store, make_member(), make_probabilities())

    assert (store.info(), store.stamp()) == before


def test_a_member_that_is_trained_again_supersedes(store, make_member, make_probabilities):
    commit(store, make_member(), make_probabilities(1))
    old = store.stamp()

    commit(store, make_member(), make_probabilities(2), weights=b"others")

    (member,) = store.members("digits")
    assert member.weights_digest == digest_of(b"others")
    (found,) = store.predictions("digits", "select")
    np.testing.assert_array_equal(store.probabilities(found), make_probabilities(2).astype(np.float16))
    assert store.info().superseded == 3
    assert store.stamp() != old
    assert store.weights(digest_of(b"weights")) == b"weights"


def test_going_back_to_the_first_version_is_a_third_row(store, make_cost):
    for value in (1009, 1013, 1009):
        store.put_cost(make_cost(value))

    assert [record.figure.value for record in store.costs()] == [1009]
    assert store.info().superseded == 2


def test_predictions_of_replaced_weights_are_not_current(store, make_member, make_probabilities):
    commit(store, make_member(), make_probabilities(1))

    store.commit_member(make_member(), b"others", {"report": make_probabilities(2)})

    assert store.predictions("digits", "select") == ()
    assert len(store.predictions("digits", "report")) == 1


def test_predictions_before_their_member_belong_to_its_first_weights(store, make_member, make_probabilities):
    record = make_member()
    store.put_predictions(record.member, "digits", "select", DIGEST, make_probabilities())
    assert len(store.predictions("digits", "select")) == 1

    store.put_member(replace(record, weights_digest=store.put_weights(b"first")))
    assert len(store.predictions("digits", "select")) == 1

    store.put_member(replace(record, weights_digest=store.put_weights(b"second")))
    assert store.predictions("digits", "select") == ()


def test_find_member(store, make_member, make_probabilities):
    record = make_member(5)
    commit(store, record, make_probabilities())

    assert store.find_member("digits", record.member).member == record.member
    assert store.find_member("digits", Member("wrn10-1", 8, 5)).member == record.member
    assert store.find_member("digits", Member("wrn10-1", 8, 6)) is None
    assert store.find_member("other", record.member) is None

    second = make_member(5, member=Member("wrn10-1", 8, 5, "long-1"))
    commit(store, second, make_probabilities())
    with pytest.raises(UsageError, match=r"several recipes; say which: wrn10-1@8~long-1#5, wrn10-1@8~quick"):
        store.find_member("digits", Member("wrn10-1", 8, 5))

    # the recipe of most members is meant, as a front takes it
    commit(store, make_member(6), make_probabilities())
    assert store.find_member("digits", Member("wrn10-1", 8, 5)).member == record.member
    third = make_member(7, member=Member("wrn10-1", 8, 7, "long-1"))
    more = make_member(8, member=Member("wrn10-1", 8, 8, "long-1"))
    for one in (third, more):
        commit(store, one, make_probabilities())
    assert store.find_member("digits", Member("wrn10-1", 8, 5)).member == second.member
    assert store.find_member("digits", Member("wrn10-1", 8, 6)).member.recipe != "long-1"


def test_a_member_needs_its_weights_and_its_recipe(store, make_member, make_probabilities):
    with pytest.raises(StoreError, match="weights of wrn10-1@8~quick-0a1b2c3d#0: no stored file"):
        store.put_member(make_member(weights_digest="a" * 64))
    with pytest.raises(UsageError, match="names no recipe"):
        commit(store, make_member(member=Member("wrn10-1", 8, 0)), make_probabilities())
    with pytest.raises(InputDataError, match="the record says aaaaaaaaaaaa"):
        commit(store, make_member(weights_digest="a" * 64), make_probabilities())
    assert store.members() == ()


def test_a_recipe_without_a_json_form_is_refused(store, make_member, training):
    record = make_member(training=replace(training, recipe={"rate": float("nan")}))
    with pytest.raises(InputDataError, match=r"recipe\.rate holds nan; wanted a finite number"):
        store.commit_member(record, b"w", {})
    record = make_member(training=replace(training, recipe={"rate": object()}))
    with pytest.raises(InputDataError, match="holds a object; wanted text, numbers"):
        store.commit_member(record, b"w", {})
    assert store.members() == ()


# ---- predictions and labels -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.__setitem__((3, 1), np.nan), "NaN or infinity in 1 of 7 examples, first in 3"),
        (lambda p: p.__setitem__((2, 0), np.inf), "NaN or infinity"),
        (lambda p: p.__setitem__((0, 0), -0.1), r"lie in \[-0.1, .*wanted probabilities in \[0, 1\]"),
        (lambda p: p.__imul__(3.0), "not logits"),
        (lambda p: p.__setitem__(4, 0.1), r"example 4 add up to 0\.3; wanted 1 within 0\.01"),
    ],
)
def test_damaged_predictions_are_refused(store, make_member, make_probabilities, change, message):
    array = make_probabilities()
    change(array)

    with pytest.raises(InputDataError, match=message):
        commit(store, make_member(), array)
    assert store.members() == ()
    assert store.predictions("digits", "select") == ()
    assert store.info().files == 0


@pytest.mark.parametrize("shape", [(7,), (0, 3), (7, 0), (7, 3, 1)])
def test_predictions_of_another_shape_are_refused(store, make_member, shape):
    with pytest.raises(InputDataError, match="wanted \\[example, class\\]"):
        store.put_predictions(make_member().member, "digits", "select", DIGEST, np.zeros(shape))


def test_predictions_must_be_numbers_with_a_point(store, make_member):
    with pytest.raises(InputDataError, match="dtype int64"):
        store.put_predictions(make_member().member, "digits", "select", DIGEST, np.eye(3, dtype=np.int64))


def test_predictions_must_fit_the_labels(store, make_member, make_probabilities):
    store.put_labels("digits", "select", DIGEST, LABELS, NAMES)

    with pytest.raises(InputDataError, match=r"have shape \[5, 3\]; the labels want \[7, 3\]"):
        store.commit_member(make_member(), b"w", {"select": make_probabilities(examples=5)})
    assert store.members() == ()  # the row of the member went with it

    with pytest.raises(InputDataError, match=r"have shape \[7, 4\]"):
        store.put_predictions(make_member().member, "digits", "select", DIGEST, make_probabilities(classes=4))


def test_labels_put_after_predictions_that_do_not_fit_show_in_the_check(
    store, make_member, make_probabilities
):
    store.put_predictions(make_member().member, "digits", "select", DIGEST, make_probabilities(examples=5))
    store.put_labels("digits", "select", DIGEST, LABELS, NAMES)

    (problem,) = store.check().problems
    assert "has shape [5, 3], its labels want [7, 3]" in problem


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        (LABELS, NAMES[:2], r"lie in \[0, 2\]; wanted 0 to 1"),
        (LABELS - 1, NAMES, r"lie in \[-1, 1\]"),
        (LABELS.astype(float), NAMES, "dtype float64"),
        (LABELS[None], NAMES, r"shape \[1, 7\]"),
        (LABELS[:0], NAMES, r"shape \[0\]"),
        (LABELS, ("a", "b", "a"), "must be different"),
    ],
)
def test_damaged_labels_are_refused(store, labels, names, message):
    with pytest.raises(InputDataError, match=message):
        store.put_labels("digits", "select", DIGEST, labels, names)


def test_an_unknown_split_is_refused(store, make_member, make_probabilities):
    with pytest.raises(UsageError, match=r"unknown split 'test'.*known: report, select"):
        store.put_predictions(make_member().member, "digits", "test", DIGEST, make_probabilities())
    with pytest.raises(UsageError, match="unknown split 'selct'; did you mean select"):
        store.predictions("digits", "selct")


def test_missing_labels_say_what_exists(store):
    store.put_labels("digits", "select", DIGEST, LABELS, NAMES)

    with pytest.raises(StoreError, match=r"no labels of digits report .* known: select of split 5{12}"):
        store.labels("digits", "report", DIGEST)
    with pytest.raises(StoreError, match="no labels of 'other'"):
        store.class_names("other")


def test_split_digests_are_kept_apart(store, make_member, make_probabilities):
    member = make_member().member
    for digest, seed in (("5" * 64, 1), ("7" * 64, 2)):
        store.put_labels("digits", "select", digest, (LABELS + seed) % 3, NAMES)
        store.put_predictions(member, "digits", "select", digest, make_probabilities(seed))

    assert [r.split_digest[0] for r in store.predictions("digits", "select")] == ["5", "7"]
    np.testing.assert_array_equal(store.labels("digits", "select", "7" * 64), (LABELS + 2) % 3)


def test_arrays_cannot_be_changed(store, make_member, make_probabilities):
    commit(store, make_member(), make_probabilities())
    (record,) = store.predictions("digits", "select")

    with pytest.raises(ValueError, match="read-only"):
        store.probabilities(record)[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        store.labels("digits", "select", DIGEST)[0] = 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    weights=hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=17),
        elements=st.floats(1e-6, 1),
    ),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_stored_probabilities_are_the_nearest_float16(store, make_member, weights, dtype):
    array = (weights / weights.sum(axis=1, keepdims=True)).astype(dtype)

    record = store.put_predictions(make_member().member, "digits", "select", DIGEST, array)

    found = store.probabilities(record)
    np.testing.assert_array_equal(found, array.astype(np.float16))
    # what exact averaging rests on: every stored value is a multiple of 2^-24
    scaled = found.astype(np.float64) * 2.0**24
    np.testing.assert_array_equal(scaled, np.round(scaled))


# ---- costs ------------------------------------------------------------------------------------


def test_a_measured_cost_keeps_its_samples(store, make_cost, conditions):
    figure = CostFigure(value=0.002, low=0.0019, high=0.0021, basis=Basis.MEASURED)
    cost = make_cost(kind="latency", device="cpu", figure=figure, conditions=conditions)

    kept = store.put_cost(cost, [0.002, 0.0019, 0.0023], warmup=[0.5])

    assert store.costs("latency", "cpu") == (kept,)
    assert replace(kept, samples_digest=None) == cost
    np.testing.assert_array_equal(store.samples(kept.samples_digest), [0.002, 0.0019, 0.0023])
    np.testing.assert_array_equal(store.samples(kept.samples_digest, phase="warmup"), [0.5])
    assert store.check().problems == ()


def test_costs_of_other_workloads_stand_beside_and_newer_versions_supersede(store, make_cost, conditions):
    def put(value, **changes):
        figure = CostFigure(value=value, low=value, high=value, basis=Basis.MEASURED)
        measured = replace(conditions, **changes)
        store.put_cost(make_cost(kind="latency", device="cpu", figure=figure, conditions=measured), [value])

    put(2)
    put(3, threads=2)
    put(5, versions={"torch": "2.14.0"})
    put(7, memory_format="channels_last")
    put(11, form="deploy")

    assert [c.figure.value for c in store.costs("latency")] == [3, 5, 7, 11]
    assert store.costs("latency")[1].conditions.versions == {"torch": "2.14.0"}
    assert store.costs("latency")[2].conditions.memory_format == "channels_last"
    assert store.costs("latency")[3].conditions.form == "deploy"
    assert store.info().superseded == 1


def test_what_was_seen_beside_samples_is_kept_with_them(store, make_cost, conditions):
    figure = CostFigure(value=2.0, low=1.0, high=3.0, basis=Basis.MEASURED)
    cost = make_cost(kind="latency", device="cpu", figure=figure, conditions=conditions)
    notes = {"observations": {"clock_mhz": 2400.5, "throttled": ["power"]}, "stop_reason": "steady"}

    kept = store.put_cost(cost, [2.0], notes=notes)
    bare = store.put_cost(replace(cost, convention="another"), [2.0])

    assert store.sample_notes(kept.samples_digest) == notes
    assert store.sample_notes(bare.samples_digest) == {}
    np.testing.assert_array_equal(store.samples(kept.samples_digest), [2.0])
    with pytest.raises(InputDataError, match=r"notes\.clock"):
        store.put_cost(cost, [2.0], notes={"clock": float("nan")})


def test_only_figures_written_since_a_moment(store, make_cost):
    store.put_cost(make_cost(3))
    between = datetime.now(UTC).isoformat(timespec="microseconds")
    store.put_cost(make_cost(5, kind="parameters"))

    assert [c.figure.value for c in store.costs(since=between)] == [5]
    assert [c.figure.value for c in store.costs()] == [3, 5]


def test_a_count_is_one_figure_however_it_is_written(store, make_cost):
    exact = 4_089_184_256
    store.put_cost(make_cost(exact))
    store.put_cost(make_cost(float(exact)))

    assert [c.figure.value for c in store.costs("macs")] == [exact]
    assert store.info().superseded == 0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"kind": "flops"}, UsageError, "flops is derived from macs"),
        ({"kind": "mcas"}, UsageError, "did you mean macs"),
        ({"device": "cpu"}, UsageError, "needs no device"),
        ({"kind": "latency"}, UsageError, "needs a device"),
        ({"model": ModelSpec("wrn10-1")}, UsageError, "needs the model's resolution"),
        ({"value": float("nan")}, InputDataError, "not finite"),
        ({"value": -1}, InputDataError, "wanted 0 <= low <= value <= high"),
    ],
)
def test_costs_that_cannot_be_used_are_refused(store, make_cost, changes, error, message):
    with pytest.raises(error, match=message):
        store.put_cost(make_cost(**changes))
    assert store.costs() == ()


@pytest.mark.parametrize("samples", [[], [1.0, float("nan")], [-1.0]])
def test_samples_must_be_numbers(store, make_cost, samples):
    with pytest.raises(InputDataError, match="sample"):
        store.put_cost(make_cost(), samples)


# ---- designs ----------------------------------------------------------------------------------


def test_exports_verifications_and_evaluations(store, tmp_path):
    design = "mean( wrn10-1@8#1,wrn10-1@8#0 )"
    canonical = str(parse_design(design))

    export = store.put_export(design, "digits", tmp_path / "out", digest="a" * 64, format="onnx")
    store.put_verification(export.id, False, {"routes": [1, 2]})
    store.put_verification(export.id, True, {"routes": [1, 2, 3]})
    store.put_evaluation(
        EvaluationRecord(
            design=design, dataset="digits", split_digest=DIGEST, axis="macs", document={"accuracy": 0.97}
        )
    )

    assert export.design == canonical
    assert store.exports("digits") == (export,)
    assert store.exports("other") == ()
    (verification,) = store.verifications(export.id)
    assert (verification.passed, verification.document) == (True, {"routes": [1, 2, 3]})
    (evaluation,) = store.evaluations("digits")
    assert (evaluation.design, evaluation.document) == (canonical, {"accuracy": 0.97})
    assert len(design_id(parse_design(design))) == 12
    assert store.check().problems == ()


def test_a_rebuilt_artefact_supersedes_the_one_at_its_path(store, tmp_path):
    first = store.put_export("wrn10-1@8#0", "digits", tmp_path / "o", digest="a" * 64, format="onnx")
    same = store.put_export("wrn10-1@8#0", "digits", tmp_path / "o", digest="a" * 64, format="onnx")
    other = store.put_export("wrn10-1@8#1", "digits", tmp_path / "o", digest="b" * 64, format="onnx")

    assert same == first
    assert store.exports() == (other,)


def test_a_verification_of_nothing_is_refused(store):
    with pytest.raises(StoreError, match="no export 7 in this store; known: none"):
        store.put_verification(7, True, {})
    with pytest.raises(UsageError, match="not a member"):
        store.put_export("nonsense", "digits", "x", digest="a" * 64, format="onnx")


# ---- the store itself -------------------------------------------------------------------------


def test_importing_the_store_is_light():
    code = (
        "import sys, explorer.store; from explorer.store import Store;"
        "print(*sorted({'torch','streamlit','alembic','zoo','pyarrow','sqlalchemy'} & set(sys.modules)))"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["sqlalchemy"]
    assert time.perf_counter() - start < 4  # far above what it takes: this catches a heavy import, not noise


def test_opening_a_store_that_is_up_to_date_needs_no_alembic(store):
    code = (
        f"import sys; from explorer.store import Store; Store.open({str(store.root)!r}).members();"
        "print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
    assert done.stderr == ""


def test_making_a_store_says_nothing(tmp_path):
    code = f"from explorer.store import Store; Store.open({str(tmp_path / 's')!r})"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )

    assert (done.stdout, done.stderr) == ("", "")


def test_info_counts(store, make_member, make_probabilities, make_cost):
    commit(store, make_member(), make_probabilities())
    store.put_cost(make_cost())
    store.put_weights(b"named by nobody")

    info = store.info()

    assert info.counts["members"] == 1
    assert info.counts["predictions"] == 2
    assert info.files == 4  # weights, one array for both splits, one for both labels, the orphan
    assert (info.orphans, info.orphan_bytes) == (1, len(b"named by nobody"))
    assert info.bytes > sum(f.stat().st_size for f in (store.root / "files").rglob("*") if f.is_file())
    assert store.check().notes == (
        "1 files (15 B) are named by no row: a write was interrupted, no harm done",
    )


def test_the_work_folder_is_beside(store):
    assert store.work == store.root / "work"
    assert store.work.is_dir()
    assert os.listdir(store.work) == []
