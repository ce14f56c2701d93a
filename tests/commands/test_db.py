"""`explorer db export` and `ingest`, and the study that ships, as a person uses them."""

import json
import multiprocessing
import os

import numpy as np
import pytest

from explorer.store import Store, reference
from explorer.store.bundle import write_bundle

DIGITS = ("--dataset", "digits")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with a cache of its own."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("EXPLORER_STORE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def shipped(here, trained_store, tmp_path, monkeypatch):
    with Store.open(trained_store, create=False) as store:
        write_bundle(store, tmp_path / "reference", weights="none")
    monkeypatch.setattr(reference, "SHIPPED", tmp_path / "reference")
    return tmp_path / "reference"


def test_export_and_ingest_move_results(explorer_here, trained_store, here) -> None:
    exported = explorer_here("db", "export", "out.zip", "--store", trained_store)
    assert exported.code == 0, exported.err
    assert exported.out.startswith("out.zip: 6 members, 12 predictions, ")
    same = explorer_here("db", "export", "out", "--store", trained_store, "--json")
    document = json.loads(same.out)
    assert document["sha256"][:12] in exported.out

    first = json.loads(explorer_here("db", "ingest", "out.zip", "--store", "mine", "--json").out)
    again = explorer_here("db", "ingest", "out.zip", "out", "--store", "mine")

    (one,) = first["bundles"]
    assert one["sha256"] == document["sha256"]
    assert (one["members"], one["there_already"], one["superseded"]) == (6, 0, [])
    assert again.out.splitlines() == [
        f"{name}: 6 members; 0 rows added, {one['added']} there already; 0 files, 0.0 MB"
        for name in ("out.zip", "out")
    ]
    assert explorer_here("db", "check", "--store", "mine").out == "clean\n"
    fronts = [
        explorer_here("front", *DIGITS, "--store", url, "--json").out for url in ("mine", trained_store)
    ]
    assert json.loads(fronts[0])["points"] == json.loads(fronts[1])["points"]


def test_weights_go_along_by_model(explorer_here, trained_store, here) -> None:
    def export(*options):
        return explorer_here("db", "export", "out", "--overwrite", "--store", trained_store, *options)

    assert "(3 without weights)" in export("--weights", "wrn10-0.25*").out
    assert "(4 without weights)" in export("--weights", "*#0").out
    assert "(2 without weights)" in export("--weights", "*#0", "--weights", "wrn10-0.5@8").out
    assert "(6 without weights)" in export("--weights", "none").out
    unknown = export("--weights", "resnet*")
    assert unknown.code == 2
    assert unknown.error_line.endswith(
        "--weights resnet*: no member's model is like that; known: wrn10-0.25@8, wrn10-0.5@8"
    )
    assert export("--weights", "all", "--weights", "wrn*").code == 2
    assert json.loads(export("--no-costs", "--json").out)["without_weights"] == 0


def test_a_member_without_weights_is_not_built(explorer_here, trained_store, here) -> None:
    explorer_here("db", "export", "out", "--weights", "none", "--store", trained_store)
    explorer_here("db", "ingest", "out", "--store", "mine")

    assert "no weights     6 members" in explorer_here("db", "info", "--store", "mine").out
    built = explorer_here("build", "wrn10-0.25@8#1", "--out", "artefact", "--store", "mine")

    assert built.code == 2
    assert "the weights of wrn10-0.25@8~" in built.error_line
    assert "explorer db ingest" in built.error_line


def test_one_bad_bundle_stops_all_before_anything_is_made(
    explorer_here, trained_store, here, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(reference, "SHIPPED", tmp_path / "none")
    explorer_here("db", "export", "out", "--store", trained_store)
    (here / "bad.zip").write_bytes(b"PK")

    result = explorer_here("db", "ingest", "out", "bad.zip", "--store", "mine")

    assert result.code == 2
    assert "bad.zip" in result.error_line
    assert not (here / "mine").exists()
    assert explorer_here("db", "export", "out", "--store", trained_store).code == 2
    assert explorer_here("db", "ingest", "reference", "--store", "mine").error_line.endswith(
        "this build of scale-or-ensemble ships no reference study"
    )


@pytest.mark.parametrize("there", [True, False])
def test_bundles_that_contradict_each_other_stop_all(explorer_here, here, there) -> None:
    for name, labels in (("a", [0, 1, 2]), ("b", [0, 2, 1])):
        with Store.open(here / f"from-{name}") as store:
            store.put_labels("faces", "report", "5" * 64, np.array(labels), ["x", "y", "z"])
            write_bundle(store, here / name)
    if there:
        Store.open(here / "mine").close()

    result = explorer_here("db", "ingest", "a", "b", "--store", "mine")

    assert result.code == 2
    assert "b: labels of faces report (split 555555555555): the bundle has other labels" in result.error_line
    assert result.error_line.endswith("(as the store would be with a)")
    assert (here / "mine").exists() == there
    if there:
        with Store.open(here / "mine") as store:
            assert store.info().files == 0
            assert store.info().counts["labels"] == 0
    assert explorer_here("db", "ingest", "a", "--store", "mine").code == 0


def test_what_is_superseded_is_said(explorer_here, trained_store, here) -> None:
    explorer_here("db", "export", "out", "--store", trained_store)
    document = json.loads((here / "out" / "manifest.json").read_text())
    row = document["rows"]["costs"][0]
    from explorer.store.bundle_form import manifest_bytes, parse_manifest

    listed = parse_manifest((here / "out" / "manifest.json").read_bytes(), "out").files
    explorer_here("db", "ingest", "out", "--store", "mine")
    row["high"] += 1.0
    (here / "out" / "manifest.json").write_bytes(manifest_bytes(document["rows"], listed))

    result = explorer_here("db", "ingest", "out", "--store", "mine")

    assert "1 superseded older ones" in result.out
    assert result.err.splitlines()[-1].startswith(f"note: out: superseded: {row['kind']} of {row['name']}@8")


READERS = [
    ("front", *DIGITS),
    ("advise", *DIGITS, "--budget", "macs<=300k"),
    ("compare", "wrn10-0.5@8#0", "wrn10-0.5@8#1", *DIGITS),
    ("report", *DIGITS, "--out", "report.html"),
    ("db", "info"),
    ("db", "check"),
    ("db", "export", "out"),
]


@pytest.mark.parametrize("arguments", READERS, ids=lambda words: " ".join(words[:2]))
def test_readers_take_the_study_where_there_is_no_store(explorer_here, shipped, here, arguments) -> None:
    result = explorer_here(*arguments)

    assert result.code == 0, result.err
    assert result.err.splitlines()[0] == (
        "no store in this folder: reading the reference study that ships (6 members of digits)"
    )
    assert not (here / "explorer-store").exists()
    named = explorer_here(
        *arguments, "--store", "reference", *(["--overwrite"] if "out" in arguments else [])
    )
    assert named.code == 0
    assert "no store in this folder" not in named.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "wrn10-0.25", *DIGITS, "--epochs", "1"),
        ("profile", "wrn10-0.25@8", "--plan"),
        ("profile", *DIGITS, "--plan"),
        ("db", "migrate"),
        ("db", "ingest", "reference"),
        ("quickstart",),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_writers_never_do(explorer_here, shipped, here, monkeypatch, arguments) -> None:
    result = explorer_here(*arguments, "--store", "reference")
    assert result.code == 2
    assert "explorer db ingest reference --store explorer-store" in result.error_line
    monkeypatch.setenv("EXPLORER_STORE", "reference")
    assert "is only read" in explorer_here(*arguments).err
    assert not (here / "reference").exists()


def test_a_writer_that_makes_no_store_says_that_there_is_none(explorer_here, shipped, here) -> None:
    result = explorer_here("profile", *DIGITS)
    assert result.code == 2
    assert "no store at" in result.error_line
    assert explorer_here("db", "migrate").code == 2


def test_the_study_copied_is_a_store_like_any_other(explorer_here, shipped, here) -> None:
    done = explorer_here("db", "ingest", "reference")
    assert done.code == 0
    assert ": 6 members; " in done.out
    assert explorer_here("front", *DIGITS).err == ""


def test_without_a_study_the_message_is_as_ever(explorer_here, here, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(reference, "SHIPPED", tmp_path / "none")
    assert "no store at" in explorer_here("front", *DIGITS).error_line
    assert "ships no reference study" in explorer_here("front", *DIGITS, "--store", "reference").error_line


def test_a_cache_that_cannot_be_written(explorer_here, shipped, here, monkeypatch) -> None:
    (here / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "file"))
    result = explorer_here("front", *DIGITS)
    assert result.code == 2
    assert "cannot keep the reference study in" in result.error_line


def test_the_app_is_told_which_store_it_reads(explorer_here, shipped, here, monkeypatch) -> None:
    seen = {}
    monkeypatch.setattr("subprocess.call", lambda arguments, env: seen.update(env) or 0)
    result = explorer_here("app", "--headless")
    assert "reading the reference study that ships" in result.err
    assert seen["EXPLORER_STORE"] == "reference"
    explorer_here("app", "--headless", "--store", "mine")
    assert seen["EXPLORER_STORE"] == "mine"


def test_the_page_reads_the_study_too(shipped) -> None:
    from explorer.ui import queries

    assert queries.store_argument([]) == "reference"
    assert queries.store_argument(["--store", "mine"]) == "mine"


def _front(codes):
    from explorer.cli import main

    try:
        main(["front", *DIGITS, "--store", "reference"])
    except SystemExit as ended:
        codes.put(ended.code)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_commands_that_are_the_first_to_read_the_study(shipped) -> None:
    fork = multiprocessing.get_context("fork")
    codes = fork.Queue()
    processes = [fork.Process(target=_front, args=(codes,)) for _ in range(2)]
    for process in processes:
        process.start()
    assert [codes.get(timeout=120) for _ in processes] == [0, 0]
    for process in processes:
        process.join(60)
