"""Merging is idempotent, keeps what is known, and says what it replaced."""

import pytest

from explorer.errors import InputDataError
from explorer.store import Store
from explorer.store.bundle import ingest_bundle, write_bundle
from tests.store import bundles


@pytest.fixture
def other(tmp_path):
    with Store.open(tmp_path / "other") as opened:
        yield opened


def counts(result):
    return (result.added, result.there_already, len(result.superseded), len(result.outdated))


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_a_second_time_changes_nothing(store, conditions, other, tmp_path, name) -> None:
    bundles.fill(store, conditions, seeds=[0])
    write_bundle(store, tmp_path / name)
    first = ingest_bundle(other, tmp_path / name)
    before, stamp = bundles.rows_of(other), other.stamp()

    second = ingest_bundle(other, tmp_path / name)

    assert counts(second) == (0, first.added, 0, 0)
    assert (second.files_added, second.bytes_added) == (0, 0)
    assert (bundles.rows_of(other), other.stamp()) == (before, stamp)
    # Nor in the store it came from.
    before = bundles.rows_of(store)
    assert counts(ingest_bundle(store, tmp_path / name)) == (0, first.added, 0, 0)
    assert bundles.rows_of(store) == before


def test_bundles_with_common_members_make_one_store(store, other, tmp_path) -> None:
    for seed in range(4):
        bundles.commit(store, seed)
    members = [record.member for record in store.members()]
    write_bundle(store, tmp_path / "a", members=members[:3])
    write_bundle(store, tmp_path / "b.zip", members=members[2:])

    ingest_bundle(other, tmp_path / "a")
    result = ingest_bundle(other, tmp_path / "b.zip")

    assert counts(result) == (1 + 2, 1 + 2 + 2, 0, 0)  # one member is common, and so are both labels
    assert bundles.content(other) == bundles.content(store)
    assert other.check().problems == ()
    assert other.info().superseded == 0


def test_a_contradiction_supersedes_and_an_old_bundle_does_not_bring_it_back(store, other, tmp_path) -> None:
    bundles.commit(store, 0)
    store.put_cost(bundles.cost_record())
    write_bundle(store, tmp_path / "old")
    bundles.commit(store, 0, version=1)
    store.put_cost(bundles.cost_record(value=2000.0))
    write_bundle(store, tmp_path / "new")
    ingest_bundle(other, tmp_path / "old")

    result = ingest_bundle(other, tmp_path / "new")

    assert counts(result) == (0, 2, 4, 0)
    assert any("member wrn10-1@8~quick-0a1b2c3d#0 of digits" in text for text in result.superseded)
    assert "macs of wrn10-1@8" in result.superseded
    assert bundles.content(other) == bundles.content(store)
    before = bundles.rows_of(other)
    again = ingest_bundle(other, tmp_path / "old")
    assert counts(again) == (0, 2, 0, 4)
    assert again.files_added == 0
    assert bundles.rows_of(other) == before
    assert counts(ingest_bundle(other, tmp_path / "new")) == (0, 6, 0, 0)
    assert bundles.rows_of(other) == before
    assert other.check().problems == ()


def test_predictions_of_weights_that_were_replaced_do_not_hide_the_newer_ones(store, other, tmp_path) -> None:
    """The old bundle has a split that the store saw predicted by the newer weights only."""
    record = bundles.member_record(0)
    for target, version, splits in ((other, 0, ["select"]), (store, 0, ["select", "report"])):
        target.commit_member(
            record,
            b"weights %d" % version,
            {split: bundles.probabilities(version, split) for split in splits},
            labels={"select": bundles.LABELS, "report": bundles.LABELS},
            class_names=bundles.NAMES,
        )
    write_bundle(store, tmp_path / "old")
    other.commit_member(record, b"newer", {s: bundles.probabilities(9, s) for s in ("select", "report")})
    before = bundles.content(other)

    result = ingest_bundle(other, tmp_path / "old")

    assert len(result.outdated) == 3
    assert bundles.content(other) == before
    assert other.info().orphans == 0


def test_predictions_that_came_before_their_member(store, other, tmp_path) -> None:
    """Such a row names no weights: it belongs to the first ones, here and after the journey."""
    record = bundles.member_record(0)
    store.put_labels("digits", "select", bundles.SPLIT, bundles.LABELS, bundles.NAMES)
    store.put_predictions(record.member, "digits", "select", bundles.SPLIT, bundles.probabilities(0))
    store.commit_member(record, b"weights", {})
    write_bundle(store, tmp_path / "bundle")

    before = bundles.rows_of(store)
    assert counts(ingest_bundle(store, tmp_path / "bundle")) == (0, 3, 0, 0)
    assert bundles.rows_of(store) == before
    ingest_bundle(other, tmp_path / "bundle")
    assert other.predictions("digits", "select") == store.predictions("digits", "select")
    other.commit_member(record, b"newer", {})
    assert other.predictions("digits", "select") == ()


def test_rows_of_an_older_program_are_recognised(store, other, tmp_path) -> None:
    """A field that training records got later changes their hash, not what they say."""
    bundles.commit(store, 0)
    with store._engine.connect() as connection, connection.begin():
        connection.exec_driver_sql(
            "UPDATE members SET content = 'of before', training = json_remove(training, '$.stacked')"
        )
    write_bundle(store, tmp_path / "bundle")
    before = bundles.rows_of(store)

    assert counts(ingest_bundle(store, tmp_path / "bundle")) == (0, 5, 0, 0)
    assert bundles.rows_of(store) == before


def test_a_file_that_was_lost_or_damaged_comes_back(store, other, tmp_path) -> None:
    bundles.commit(store, 0)
    bundles.commit(store, 1)
    write_bundle(store, tmp_path / "bundle")
    ingest_bundle(other, tmp_path / "bundle")
    stored = sorted(path for path in (other.root / "files").rglob("*.npy"))
    stored[0].unlink()
    stored[1].chmod(0o644)
    stored[1].write_bytes(b"rubbish")
    assert len(other.check().problems) == 2

    result = ingest_bundle(other, tmp_path / "bundle")

    assert (result.added, result.files_added) == (0, 2)
    assert other.check().problems == ()


def test_labels_of_another_number_of_examples_are_refused(store, other, tmp_path) -> None:
    bundles.commit(store, 0)
    write_bundle(store, tmp_path / "bundle")
    other.put_labels("digits", "report", bundles.SPLIT, bundles.LABELS[:-1], bundles.NAMES)
    before, files = bundles.rows_of(other), bundles.tree(other.root)

    with pytest.raises(
        InputDataError, match=r"labels of digits report .*7 examples of 3 classes, the store 6"
    ):
        ingest_bundle(other, tmp_path / "bundle")

    assert bundles.rows_of(other) == before
    assert bundles.tree(other.root).keys() == files.keys()


def test_predictions_that_do_not_fit_the_stores_labels_are_refused(store, other, tmp_path) -> None:
    """A bundle of predictions without their labels."""
    store.put_predictions(
        bundles.member_record(0).member, "digits", "report", bundles.SPLIT, bundles.probabilities(0)
    )
    write_bundle(store, tmp_path / "bundle")
    other.put_labels("digits", "report", bundles.SPLIT, bundles.LABELS[:-1], bundles.NAMES)

    with pytest.raises(InputDataError, match=r"have shape \[7, 3\]; the labels want \[6, 3\]"):
        ingest_bundle(other, tmp_path / "bundle")
    assert other.predictions("digits", "report") == ()
    assert other.info().orphans == 0


def test_other_labels_of_the_same_examples_supersede_and_say_so(store, other, tmp_path) -> None:
    bundles.commit(store, 0)
    write_bundle(store, tmp_path / "bundle")
    other.put_labels("digits", "report", bundles.SPLIT, (bundles.LABELS + 1) % 3, bundles.NAMES)

    result = ingest_bundle(other, tmp_path / "bundle")

    assert result.superseded == ("labels of digits report",)
    assert other.labels("digits", "report", bundles.SPLIT).tolist() == bundles.LABELS.tolist()


def test_progress_goes_from_nothing_to_everything(store, other, tmp_path) -> None:
    bundles.commit(store, 0)
    write_bundle(store, tmp_path / "bundle")
    shares = []

    ingest_bundle(other, tmp_path / "bundle", progress=lambda share, text: shares.append(share))

    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.5
    assert shares[-1] == 1.0
