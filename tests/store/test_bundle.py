"""A bundle carries everything that is current, nothing else, and is the same bytes whenever it is made."""

import hashlib
import json
import zipfile

import pytest

from explorer.errors import StoreError, UsageError
from explorer.spec import parse_member
from explorer.store import Store
from explorer.store.bundle import ingest_bundle, open_bundle, write_bundle
from tests.store import bundles


@pytest.fixture
def filled(store, conditions):
    bundles.fill(store, conditions)
    return store


def manifest(path):
    return json.loads((path / "manifest.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_a_round_trip_keeps_every_row_and_every_file(filled, tmp_path, name) -> None:
    info = write_bundle(filled, tmp_path / name)

    with Store.open(tmp_path / "other") as other:
        result = ingest_bundle(other, tmp_path / name)

        assert bundles.content(other) == bundles.content(filled)
        # Also when each row was written first: a measurement does not become younger by travelling.
        dates = "SELECT created_at, content FROM {} ORDER BY content"
        for table in ("members", "predictions", "labels", "costs", "evaluations"):
            with other._engine.connect() as new, filled._engine.connect() as old:
                found = new.exec_driver_sql(dates.format(table)).fetchall()
                assert found == old.exec_driver_sql(dates.format(table)).fetchall(), table
        assert other.check().problems == ()
        assert other.info().orphans == 0
    assert (result.members, result.added) == (9, 9 + 19 + 4 + 4 + 2)
    assert (result.there_already, result.superseded, result.outdated, result.weights_added) == (0, (), (), 0)
    assert (info.members, info.predictions, info.without_weights) == (9, 19, 0)
    assert info.files == result.files_added
    with open_bundle(tmp_path / name) as bundle:
        assert bundle.sha256 == info.sha256 == result.sha256


def test_names_sizes_and_hashes_are_those_of_the_files(filled, tmp_path) -> None:
    info = write_bundle(filled, tmp_path / "bundle")

    listed = manifest(tmp_path / "bundle")["files"]
    there = [path for path in (tmp_path / "bundle").rglob("*") if path.is_file()]
    assert info.bytes == sum(path.stat().st_size for path in there)
    assert {entry["name"] for entry in listed} | {"manifest.json"} == {
        path.relative_to(tmp_path / "bundle").as_posix() for path in there
    }
    for entry in listed:
        data = (tmp_path / "bundle" / entry["name"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
        assert entry["name"].startswith(f"files/{entry['sha256']}.")


def test_equal_content_gives_equal_bytes(filled, tmp_path) -> None:
    first = write_bundle(filled, tmp_path / "a")
    again = write_bundle(filled, tmp_path / "b")
    zips = [write_bundle(filled, tmp_path / f"{name}.zip") for name in "cd"]
    with Store.open(tmp_path / "other") as other:
        ingest_bundle(other, tmp_path / "a")
        elsewhere = write_bundle(other, tmp_path / "e")

    assert bundles.tree(tmp_path / "a") == bundles.tree(tmp_path / "b") == bundles.tree(tmp_path / "e")
    assert (tmp_path / "c.zip").read_bytes() == (tmp_path / "d.zip").read_bytes()
    assert {info.sha256 for info in (first, again, *zips, elsewhere)} == {first.sha256}


def test_superseded_rows_and_predictions_of_old_weights_stay_behind(filled, tmp_path, conditions) -> None:
    bundles.commit(filled, 0, version=1)
    filled.put_cost(bundles.cost_record(value=2000.0))
    old = hashlib.sha256(b"digits wrn10-1@8~quick-0a1b2c3d#0 0").hexdigest()

    write_bundle(filled, tmp_path / "bundle")

    text = (tmp_path / "bundle" / "manifest.json").read_text()
    assert old not in text
    assert [row["value"] for row in manifest(tmp_path / "bundle")["rows"]["costs"]].count(1009.0) == 0
    with Store.open(tmp_path / "other") as other:
        ingest_bundle(other, tmp_path / "bundle")
        assert bundles.content(other) == bundles.content(filled)
        assert other.info().superseded == 0


def test_a_choice_takes_what_goes_with_it(filled, tmp_path) -> None:
    digits = write_bundle(filled, tmp_path / "digits", dataset="digits")
    long = write_bundle(filled, tmp_path / "long", recipe="long-00000000", costs=False)
    assert write_bundle(filled, tmp_path / "named", recipe="long", costs=False).sha256 == long.sha256
    chosen = [parse_member(f"wrn10-2@8~{bundles.RECIPE}#{seed}") for seed in (0, 2)]
    two = write_bundle(filled, tmp_path / "two", members=chosen)
    faces = write_bundle(filled, tmp_path / "faces", dataset="faces")

    rows = {name: manifest(tmp_path / name)["rows"] for name in ("digits", "long", "two", "faces")}
    assert (digits.members, digits.predictions) == (6, 12)
    assert {row["name"] for row in rows["digits"]["costs"]} == {"wrn10-1", "wrn10-2"}
    assert len(rows["digits"]["evaluations"]) == 2
    assert (long.members, rows["long"]["costs"], rows["long"]["evaluations"]) == (3, [], [])
    assert {row["dataset"] for row in rows["long"]["labels"]} == {"fashion-mnist"}
    assert [row["member"] for row in rows["two"]["members"]] == list(map(str, chosen))
    assert {row["name"] for row in rows["two"]["costs"]} == {"wrn10-2"}
    assert (two.predictions, rows["two"]["evaluations"]) == (4, [])
    assert (faces.members, faces.predictions) == (0, 1)


def test_members_without_weights_keep_their_row_and_say_how_to_get_them(filled, tmp_path) -> None:
    light = write_bundle(filled, tmp_path / "light", dataset="digits", weights="none")
    kept = [parse_member(f"wrn10-1@8~{bundles.RECIPE}#1")]
    some = write_bundle(filled, tmp_path / "some", dataset="digits", weights=kept)

    assert (light.without_weights, some.without_weights) == (6, 5)
    with Store.open(tmp_path / "other") as other:
        ingest_bundle(other, tmp_path / "light")
        assert [r.weights_digest for r in other.members()] == [
            r.weights_digest for r in filled.members("digits")
        ]
        assert not any(map(other.has_weights, other.members()))
        assert other.check().problems == ()
        assert other.info().without_weights == 6
        record = other.find_member("digits", kept[0])
        with pytest.raises(StoreError) as caught:
            other.weights(record.weights_digest)
        assert str(kept[0]) in str(caught.value)
        assert "explorer db ingest" in str(caught.value)
        assert "explorer train wrn10-1@8 --dataset digits --seeds 1" in str(caught.value)

        came = ingest_bundle(other, tmp_path / "some")
        assert came.weights_added == came.added == 1
        assert other.weights(record.weights_digest) == filled.weights(record.weights_digest)
        assert other.info().without_weights == 5
        # What is there is not lost to a bundle that does not have it.
        again = ingest_bundle(other, tmp_path / "light")
        assert (again.added, again.superseded, again.outdated, again.files_added) == (0, (), (), 0)
        assert other.has_weights(record)
        with pytest.raises(StoreError, match="not in this store, so no bundle can carry them"):
            write_bundle(other, tmp_path / "no", weights=[r.member for r in other.members()])
        assert write_bundle(other, tmp_path / "all").without_weights == 5


def test_a_member_trained_again_gets_its_weights(filled, tmp_path) -> None:
    write_bundle(filled, tmp_path / "light", weights="none")
    with Store.open(tmp_path / "other") as other:
        ingest_bundle(other, tmp_path / "light")
        bundles.commit(other, 0)
        (record,) = [r for r in other.members("digits") if r.member.seed == 0 and r.member.name == "wrn10-1"]
        assert other.weights(record.weights_digest) == b"digits wrn10-1@8~quick-0a1b2c3d#0 0"
        assert other.info().without_weights == 8


def test_lost_weights_are_damage_not_absence(filled, tmp_path) -> None:
    digest = filled.members()[0].weights_digest
    (filled.root / "files" / digest[:2] / f"{digest}.safetensors").unlink()

    with pytest.raises(StoreError, match="missing, but the ledger names it"):
        filled.weights(digest)
    assert len(filled.check().problems) == 1
    with pytest.raises(StoreError, match="missing, but the ledger names them"):
        write_bundle(filled, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_damaged_stored_file_is_not_exported(filled, tmp_path) -> None:
    record = filled.predictions("digits", "select")[0]
    path = filled.root / "files" / record.digest[:2] / f"{record.digest}.npy"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    for name in ("bundle", "bundle.zip"):
        with pytest.raises(StoreError, match="is damaged"):
            write_bundle(filled, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_nothing_or_what_is_not_there_is_refused(filled, tmp_path) -> None:
    with Store.open(tmp_path / "empty") as empty, pytest.raises(UsageError, match="holds nothing"):
        write_bundle(empty, tmp_path / "bundle")
    with pytest.raises(UsageError, match="unknown data set 'digit'; did you mean digits"):
        write_bundle(filled, tmp_path / "bundle", dataset="digit")
    with pytest.raises(UsageError, match="unknown recipe 'lang'"):
        write_bundle(filled, tmp_path / "bundle", recipe="lang")
    with pytest.raises(UsageError, match="unknown member"):
        write_bundle(filled, tmp_path / "bundle", members=[parse_member("wrn10-1@8~x#0")])
    with pytest.raises(UsageError, match="whose weights are wanted"):
        write_bundle(filled, tmp_path / "bundle", weights=[parse_member("wrn10-1@8~x#0")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "store"]


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_only_a_bundle_is_overwritten_and_only_when_asked(filled, tmp_path, name) -> None:
    target = tmp_path / name
    write_bundle(filled, target, dataset="digits")
    with pytest.raises(UsageError, match="is there already"):
        write_bundle(filled, target)
    whole = write_bundle(filled, target, overwrite=True)
    with open_bundle(target) as bundle:
        assert bundle.sha256 == whole.sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "store"]

    other = tmp_path / f"other-{name}"
    if target.is_dir():
        other.mkdir()
        (other / "thesis.txt").write_text("mine")
    else:
        other.write_text("mine")
    before = bundles.tree(tmp_path)
    with pytest.raises(UsageError, match="is not overwritten"):
        write_bundle(filled, other, overwrite=True)
    assert bundles.tree(tmp_path) == before


def test_a_zip_says_nothing_of_when_it_was_made(filled, tmp_path) -> None:
    write_bundle(filled, tmp_path / "bundle.zip")

    with zipfile.ZipFile(tmp_path / "bundle.zip") as made:
        assert {info.date_time for info in made.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        names = made.namelist()
    assert names == ["manifest.json", *sorted(names[1:])]


def test_a_place_that_cannot_be_written_is_refused(filled, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write the bundle"):
        write_bundle(filled, tmp_path / "file" / "bundle")
