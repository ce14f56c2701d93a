"""A bundle that is damaged, foreign, newer or hostile is refused in one line, and nothing is changed."""

import json
import os
import re
import shutil
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.errors import InputDataError
from explorer.store import Store
from explorer.store.bundle import ingest_bundle, open_bundle, write_bundle
from explorer.store.bundle_form import manifest_bytes, parse_manifest
from explorer.store.database import canonical_json
from explorer.store.files import digest_of
from tests.store import bundles


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder bundle and the same as a zip; nobody changes them."""
    root = tmp_path_factory.mktemp("bundles")
    with Store.open(root / "store") as store:
        bundles.commit(store, 0)
        store.put_cost(bundles.cost_record())
        write_bundle(store, root / "bundle")
        write_bundle(store, root / "bundle.zip")
    return root


@pytest.fixture
def bundle(source, tmp_path):
    return bundles.copied(source / "bundle", tmp_path / "bundle")


@pytest.fixture
def refused(tmp_path):
    """Ingest into a store with a member in it; assert a refusal in one line that leaves no trace."""
    with Store.open(tmp_path / "other") as other:
        bundles.commit(other, 5)

        def run(path):
            rows, files = bundles.rows_of(other), bundles.tree(other.root / "files")
            with pytest.raises(InputDataError) as caught:
                ingest_bundle(other, path)
            assert bundles.rows_of(other) == rows
            assert bundles.tree(other.root / "files") == files
            message = str(caught.value)
            assert "\n" not in message
            assert path.name in message
            return message

        yield run


def edited(bundle, change, *, sealed=True):
    """Change the manifest's document in place, with the right hash of its content unless told otherwise."""
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    if sealed:
        document.pop("content", None)
        document["content"] = digest_of(canonical_json(document).encode())
    path.write_text(json.dumps(document))


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_flipped_byte_of_a_folder_goes_unseen(source, tmp_path, data) -> None:
    names = sorted(bundles.tree(source / "bundle"))
    name = data.draw(st.sampled_from(["manifest.json", *names]))
    content = (source / "bundle" / name).read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = data.draw(st.integers(1, 255))
    changed = bytearray(content)
    changed[place] ^= flipped
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    bundles.copied(source / "bundle", copy)
    (copy / name).write_bytes(changed)
    blank = name == "manifest.json" and {content[place], changed[place]} <= set(b" \t\r\n")

    if blank:  # JSON says the same
        open_bundle(copy).source.close()
    else:
        with pytest.raises(InputDataError):
            open_bundle(copy)


@given(place=st.integers(0, 10**9), flipped=st.integers(1, 255))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_byte_of_a_zip_is_seen_or_means_nothing(source, tmp_path, place, flipped) -> None:
    """A zip says some things twice or to nobody (dates, systems): whatever opens says what was written."""
    content = bytearray((source / "bundle.zip").read_bytes())
    content[place % len(content)] ^= flipped
    (tmp_path / "copy.zip").write_bytes(content)
    with open_bundle(source / "bundle.zip") as wanted:
        sha256, rows = wanted.sha256, wanted.manifest.rows

    try:
        opened = open_bundle(tmp_path / "copy.zip")
    except InputDataError:
        return
    with opened:
        assert opened.sha256 == sha256
        assert opened.manifest.rows == rows


@given(length=st.floats(0, 1, exclude_max=True))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_zip_is_refused(source, tmp_path, length) -> None:
    content = (source / "bundle.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: int(length * len(content))])
    with pytest.raises(InputDataError, match=r"cut\.zip"):
        open_bundle(tmp_path / "cut.zip")


@pytest.mark.parametrize("name", ["manifest.json", ".npy", ".safetensors"])
def test_a_truncated_file(bundle, refused, name) -> None:
    path = next(path for path in sorted(bundle.rglob("*")) if path.name.endswith(name))
    path.write_bytes(path.read_bytes()[:-3])
    assert "is damaged" in refused(bundle)


def test_a_changed_row_with_the_old_hash(bundle, refused) -> None:
    edited(bundle, lambda d: d["rows"]["costs"][0].update(value=1.0, low=1.0), sealed=False)
    assert "manifest.json is damaged: its content has SHA-256" in refused(bundle)


def test_a_missing_file(bundle, refused) -> None:
    path = next(bundle.rglob("*.npy"))
    path.unlink()
    assert f"files/{path.name} is missing" in refused(bundle)


@pytest.mark.parametrize("name", ["notes.txt", "files/notes.txt", f"files/{'0' * 64}.npy", "more/deep"])
def test_a_file_too_many(bundle, refused, name) -> None:
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_bytes(b"x")
    assert repr(name.split("/deep")[0]) in refused(bundle)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_a_link_is_no_file_of_a_bundle(bundle, refused, tmp_path) -> None:
    path = next(bundle.rglob("*.npy"))
    path.rename(tmp_path / "elsewhere.npy")
    path.symlink_to(tmp_path / "elsewhere.npy")
    assert "which no bundle does" in refused(bundle)


@pytest.mark.parametrize(
    "name", ["../x", "files/../../x", "/etc/x", "files/x", "C:\\x", f"files/../files/{'0' * 64}.npy", "a/"]
)
def test_names_that_lead_out_of_a_zip(bundle, refused, tmp_path, name) -> None:
    path = bundles.zipped(bundle, tmp_path / "bad.zip")
    with zipfile.ZipFile(path, "a") as made:
        made.writestr(name, b"x")
    assert "which no bundle does" in refused(path)
    assert not (tmp_path.parent / "x").exists()
    assert not (tmp_path / "x").exists()


def test_a_name_in_the_manifest_that_leads_out(bundle, refused) -> None:
    edited(bundle, lambda d: d["files"][0].update(name=f"files/../{d['files'][0]['sha256']}.npy"))
    assert "wanted files/<sha256>.<suffix>" in refused(bundle)


def test_a_file_twice_in_a_zip(bundle, refused, tmp_path) -> None:
    path = bundles.zipped(bundle, tmp_path / "twice.zip")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as made:
        made.writestr("manifest.json", b"{}")
    assert "'manifest.json' twice" in refused(path)


def test_a_zip_that_swells_is_not_unpacked(bundle, refused, tmp_path) -> None:
    """The file is named and sized as the manifest wants, but says another size than it has."""
    path = bundle / "files" / next(bundle.rglob("*.npy")).name
    path.write_bytes(bytes(50 << 20))
    bad = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as made:
        for found in sorted(bundle.rglob("*")):
            if found.is_file():
                made.write(found, found.relative_to(bundle).as_posix())
    assert "bytes, wanted" in refused(bad)


def test_a_folder_in_a_zip_that_was_made_by_hand_is_no_harm(source, tmp_path) -> None:
    path = bundles.zipped(source / "bundle", tmp_path / "hand.zip")
    with zipfile.ZipFile(path, "a") as made:
        made.writestr("files/", b"")
    open_bundle(path).source.close()


def test_what_is_no_bundle(refused, source, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.zip").write_bytes(b"")
    (tmp_path / "text").write_text("hello")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as made:
        made.writestr("readme.txt", b"x")
    with zipfile.ZipFile(tmp_path / "none.zip", "w"):
        pass
    assert "it has no manifest.json" in refused(tmp_path / "empty")
    assert "no zip file" in refused(tmp_path / "empty.zip")
    assert "no zip file" in refused(tmp_path / "text")
    assert "which no bundle does" in refused(tmp_path / "other.zip")
    assert "it has no manifest.json" in refused(tmp_path / "none.zip")
    assert "there is no such file or folder" in refused(tmp_path / "nowhere")
    assert "is a store, not a bundle: `explorer db export`" in refused(source / "store")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(format="explorer-backup"), "format 'explorer-backup', wanted 'explorer-bundle'"),
        (lambda d: d.pop("format"), "format None, wanted"),
        (lambda d: d.update(version=2, product="9.9"), "by a newer version .*9.9.*up to 1; upgrade"),
        (lambda d: d.update(version=0), "not a version of a bundle: 0"),
        (lambda d: d.update(version=True), "not a version of a bundle: True"),
        (lambda d: d.update(version="1"), "not a version of a bundle: '1'"),
        (lambda d: d.update(more=1), "wanted"),
        (lambda d: d.update(rows=[]), "wanted rows of members, predictions"),
        (lambda d: d["rows"].pop("labels"), "wanted rows of members, predictions"),
        (lambda d: d["rows"].update(labels={}), "rows of labels must be a list"),
        (lambda d: d["rows"]["members"][0].pop("seed", None) or d["rows"]["members"][0].update(x=1), "holds"),
        (lambda d: d["rows"]["members"][0].update(member="nonsense"), "not a member: 'nonsense'"),
        (lambda d: d["rows"]["members"][0].update(member="wrn10-1@8#0"), "names no recipe"),
        (lambda d: d["rows"]["members"][0].update(weights_digest="../x"), "must be a SHA-256"),
        (lambda d: d["rows"]["members"][0].update(classes=-1), "must be a count"),
        (lambda d: d["rows"]["members"][0].update(classes=2**63), "must be a count"),
        (lambda d: d["rows"]["members"][0].update(classes=True), "must be a count"),
        (lambda d: d["rows"]["members"][0].update(created_at="now"), "must be a time"),
        (lambda d: d["rows"]["members"][0]["training"].update(surprise=1), "surprise"),
        (lambda d: d["rows"]["members"][0]["training"].update(wall_s="long"), "wall_s must be a number"),
        (lambda d: d["rows"]["members"][0]["training"].update(curve=[1]), "curve must be a list"),
        (lambda d: d["rows"]["members"][0].update(weights=False), "no row names its file"),
        (lambda d: d["rows"]["members"].append(d["rows"]["members"][0]), "two rows of members for"),
        (lambda d: d["rows"]["labels"].append(d["rows"]["labels"][0]), "two rows of labels for"),
        (lambda d: d["rows"]["predictions"].append(d["rows"]["predictions"][0]), "two rows of predictions"),
        (lambda d: d["rows"]["predictions"][0].update(split="train"), "unknown split 'train'"),
        (lambda d: d["rows"]["predictions"][0].update(digest="0" * 64), "which is not in the bundle"),
        (lambda d: d["rows"]["predictions"][0].update(weights_digest=None), "are of other weights"),
        (lambda d: d["rows"]["predictions"][0].update(examples=8), r"are \[8, 3\], the labels want \[7, 3\]"),
        (lambda d: d["rows"]["labels"][0].update(class_names=["a", 2]), "must be a list of texts"),
        (lambda d: d["rows"]["costs"][0].update(kind="speed"), "unknown cost kind 'speed'"),
        (lambda d: d["rows"]["costs"][0].update(low=2000.0), "wanted 0 <= low <= value"),
        (lambda d: d["rows"]["costs"][0].update(conditions={"gravity": 1}), "gravity"),
        (lambda d: d["files"].append(d["files"][0]), "lists a file twice"),
        (lambda d: d["files"][0].update(bytes=-1), "cannot have -1 bytes"),
        (lambda d: d["files"].append(1), "lists None"),
        (lambda d: d.update(files={}), "files must be a list"),
    ],
)  # fmt: skip
def test_a_manifest_that_says_what_it_may_not(bundle, change, said) -> None:
    edited(bundle, change)
    with pytest.raises(InputDataError, match=said) as caught:
        open_bundle(bundle)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"format": NaN}', b"1e999",
     b'{"format": "explorer-bundle", "version": 1, "x": 1e999}',
     b'{"format": "explorer-bundle", "version": 1, "x": "\\ud800"}',
     b'{"format": "explorer-bundle", "version": ' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_a_manifest_that_is_none(bundle, refused, text) -> None:
    (bundle / "manifest.json").write_bytes(text)
    refused(bundle)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((7, 3), 0.5, np.float16), "add up to 1.5"),
        (np.full((7, 3), np.nan, np.float16), "NaN"),
        (np.eye(7, 3, dtype=np.float32), r"holds float32 \[7, 3\], the manifest says float16"),
        (np.eye(6, 3, dtype=np.float16), r"holds float16 \[6, 3\], the manifest says float16 \[7, 3\]"),
    ],
)
def test_an_array_that_is_no_probabilities_though_its_hash_is_right(bundle, refused, array, said) -> None:
    """What somebody else's program may hand over."""
    replaced(bundle, "predictions", lambda path: np.save(path, array))
    assert re.search(said, refused(bundle))


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x05\x00{'a':", b"text"])
def test_a_file_that_is_no_array_though_its_hash_is_right(bundle, refused, data) -> None:
    replaced(bundle, "predictions", lambda path: path.write_bytes(data))
    assert "is no .npy array" in refused(bundle)


def test_labels_without_a_class(bundle, refused) -> None:
    replaced(bundle, "labels", lambda path: np.save(path, np.full(7, 3)))
    assert "wanted 0 to 2" in refused(bundle)


def replaced(bundle, table, write):
    """Write another file in the place of the first of ``table``, the manifest saying so."""
    document = json.loads((bundle / "manifest.json").read_text())
    old = document["rows"][table][0]["digest"]
    new = bundle / "files" / "new.npy"
    write(new)
    data = new.read_bytes()
    new.rename(bundle / "files" / f"{digest_of(data)}.npy")
    (bundle / "files" / f"{old}.npy").unlink()

    def change(document):
        for row in (*document["rows"]["predictions"], *document["rows"]["labels"]):
            row["digest"] = digest_of(data) if row["digest"] == old else row["digest"]
        for entry in document["files"]:
            if entry["sha256"] == old:
                entry.update(name=f"files/{digest_of(data)}.npy", bytes=len(data), sha256=digest_of(data))

    edited(bundle, change)


def test_what_is_written_is_what_is_read(source) -> None:
    """The manifest made again of its own rows is the same, byte for byte."""
    data = (source / "bundle" / "manifest.json").read_bytes()
    document = json.loads(data)
    manifest = parse_manifest(data, "x")
    assert manifest_bytes(document["rows"], manifest.files) == data
