"""Merging is idempotent, keeps what is known, and says what it replaced."""

import pytest

from explorer.errors import InputDataError
from explorer.store import Store
from explorer.store.bundle import (
    ingest_bundle,
    ingest_open,
    open_bundle,
    require_together,
    write_bundle,
)
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


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ((bundles.LABELS + 1) % 3, bundles.NAMES, "the bundle has other labels"),
        (bundles.LABELS, ("b", "a", "c"), "class 0 is 'a' in the bundle and 'b' in the store"),
        (bundles.LABELS, ("a", "b", "x"), "class 2 is 'c' in the bundle and 'x' in the store"),
    ],
)
def test_other_labels_of_the_same_examples_are_refused(
    store, other, tmp_path, labels, names, message
) -> None:
    bundles.commit(store, 0)
    write_bundle(store, tmp_path / "bundle")
    other.put_labels("digits", "report", bundles.SPLIT, labels, names)
    before, files = bundles.rows_of(other), bundles.tree(other.root)

    with pytest.raises(InputDataError, match=rf"labels of digits report \(split 5+\): {message}") as caught:
        ingest_bundle(other, tmp_path / "bundle")

    assert "\n" not in str(caught.value)
    assert bundles.rows_of(other) == before
    assert bundles.tree(other.root) == files


@pytest.mark.parametrize("numbers_here", [True, False])
def test_names_of_classes_go_before_bare_numbers(store, other, tmp_path, numbers_here) -> None:
    names = [bundles.NAMES, ("0", "1", "2")]
    for target, said in zip((other, store), names[::-1] if numbers_here else names, strict=True):
        target.put_labels("digits", "report", bundles.SPLIT, bundles.LABELS, said)
    write_bundle(store, tmp_path / "bundle")

    result = ingest_bundle(other, tmp_path / "bundle")

    assert other.class_names("digits") == bundles.NAMES
    assert counts(result) == ((0, 0, 1, 0) if numbers_here else (0, 1, 0, 0))
    before = bundles.rows_of(other)
    assert counts(ingest_bundle(other, tmp_path / "bundle")) == (0, 1, 0, 0)
    assert bundles.rows_of(other) == before


def contradicting(tmp_path):
    """Bundles of a member each, of which the second has other labels of the same examples."""
    paths = []
    for name, labels in (("a", bundles.LABELS), ("b", (bundles.LABELS + 1) % 3)):
        with Store.open(tmp_path / f"from-{name}") as made:
            bundles.commit(made, ord(name), name=f"wrn10-{ord(name)}", dataset="faces")
            made.put_labels("digits", "report", bundles.SPLIT, labels, bundles.NAMES)
            write_bundle(made, tmp_path / name)
        paths.append(tmp_path / name)
    return paths


def test_several_bundles_are_merged_or_none_is(other, tmp_path) -> None:
    first, second = contradicting(tmp_path)
    before, files = bundles.rows_of(other), bundles.tree(other.root)

    with open_bundle(first) as one, open_bundle(second) as two:
        with pytest.raises(InputDataError, match="other labels") as caught:
            ingest_open(other, [one, two])
        assert str(caught.value).startswith(f"{second}: ")
        assert str(caught.value).endswith(f"(as the store would be with {first})")
        assert bundles.rows_of(other) == before
        assert bundles.tree(other.root) == files
        with pytest.raises(InputDataError, match="other labels"):
            require_together([two, one])
        require_together([one])
        assert [counts(result) for result in ingest_open(other, [one, one])] == [(6, 0, 0, 0), (0, 6, 0, 0)]


def test_several_bundles_of_which_one_brings_the_weights(store, other, tmp_path) -> None:
    bundles.commit(store, 0)
    write_bundle(store, tmp_path / "bare", weights="none")
    write_bundle(store, tmp_path / "whole")

    with open_bundle(tmp_path / "bare") as bare, open_bundle(tmp_path / "whole") as whole:
        ingest_open(other, [bare, whole])

    assert bundles.content(other) == bundles.content(store)
    assert other.check().problems == ()


def test_progress_of_several_bundles(store, other, tmp_path) -> None:
    bundles.commit(store, 0)
    write_bundle(store, tmp_path / "a")
    bundles.commit(store, 1)
    write_bundle(store, tmp_path / "b")
    shares = []
    with open_bundle(tmp_path / "a") as one, open_bundle(tmp_path / "b") as two:
        ingest_open(other, [one, two], progress=lambda share, text: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_progress_goes_from_nothing_to_everything(store, other, tmp_path) -> None:
    bundles.commit(store, 0)
    write_bundle(store, tmp_path / "bundle")
    shares = []

    ingest_bundle(other, tmp_path / "bundle", progress=lambda share, text: shares.append(share))

    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.5
    assert shares[-1] == 1.0
