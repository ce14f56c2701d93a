"""`explorer import predictions` as a person types it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
LABELS = np.arange(40) % 4
PROBS = np.full((2, 40, 4), 0.1, dtype=np.float32)
PROBS[0, np.arange(40), LABELS] = 0.7
PROBS[1, np.arange(40), (LABELS + (np.arange(40) % 3 == 0)) % 4] = 0.7


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.savez(tmp_path / "a.npz", probs=PROBS, labels=LABELS, cost_per_10k=[15.0, 5.0])
    return tmp_path / "a.npz"


def test_from_file_to_answer(explorer_here, file, tmp_path) -> None:
    store = tmp_path / "store"
    done = explorer_here(
        "import", "predictions", file, "--dataset", "toy", "--names", "big,small", "--store", store
    )
    assert done.code == 0
    assert "toy: 2 members from probabilities, 20 select, 20 report examples, 4 classes" in done.out
    assert re.search(r"big~imported#0 +100\.00%  price 1,500 USD", done.out)
    assert "note: a.npz: probabilities of 2 members" in done.err

    front = json.loads(
        explorer_here("front", "--dataset", "toy", "--cost", "price", "--json", "--store", store).out
    )
    assert front["pool"]["members"] == ["big#0", "small#0"]
    assert [point["cost"]["value"] for point in front["points_by_kind"]["single"]] == [500.0, 1500.0]
    advice = explorer_here("advise", "--dataset", "toy", "--budget", "price<=1500", "--store", store)
    assert "per million calls" in advice.out
    compared = explorer_here(
        "compare", "big#0", "small#0", "--dataset", "toy", "--cost", "price", "--store", store
    )
    assert compared.code == 0
    for ending in ("html", "md", "json"):
        out = tmp_path / f"r.{ending}"
        written = explorer_here(
            "report", "--dataset", "toy", "--cost", "price", "--out", out, "--store", store
        )
        assert written.code == 0, written.err
        assert "big" in out.read_text()
    assert explorer_here("db", "check", "--store", store).out == "clean\n"


def test_the_document_is_documented(explorer_here, file, tmp_path) -> None:
    done = explorer_here(
        "import", "predictions", file, "--dataset", "toy", "--names", "big,small",
        "--macs", "1M,2M", "--cost", "latency@cpu=2ms", "--json", "--store", tmp_path / "store",
    )  # fmt: skip
    document = json.loads(done.out)
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| `import predictions` |"))

    assert document["members"][1]["costs"] == {"price": 500.0, "macs": 2e6, "latency@cpu": 0.002}
    keys = set(document) | {key for member in document["members"] for key in member}
    assert keys - {"schema_version"} <= set(re.findall(r"`(\w+)`", row))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--names", "big"), "a.npz has 2 members, names are given for 1"),
        (("--name", "a", "--names", "a,b"), "give --name for one member or --names for several"),
        (("--names", "a,b", "--price", "1", "--price-key", "cost_per_10k"), "give --price or --price-key"),
        (("--names", "a,b", "--price", "cheap"), "a price must be a number of dollars, got 'cheap'"),
        (("--names", "a,b", "--price", "1,nan", "--per", "10"), "a price must be a number of dollars"),
        (("--names", "a,b", "--price", "1", "--per", "-3"), "--per must be a number of calls above 0"),
        (("--names", "a,b", "--cost", "latency@cpu"), "not a cost: 'latency@cpu'"),
        (("--names", "a,b", "--cost", "latency=1s"), "needs a device"),
        (("--names", "a,b", "--labels", "other.npy"), "no such file: other.npy"),
        (("--names", "a,b", "--key", "prob"), "did you mean probs?"),
        (("--names", "a,b", "--class-names", "a,b,"), "--class-names wants two or more different names"),
        (("--names", "a,b", "--class-names", "a,b,a"), "got 'a,b,a'"),
        (("--names", "a,b", "--class-names", "a,b"), "the predictions: 4, the class names: 2"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_no_store(explorer_here, file, tmp_path, arguments, message) -> None:
    store = tmp_path / "store"
    done = explorer_here("import", "predictions", file, "--dataset", "toy", "--store", store, *arguments)

    assert done.code == 2
    assert message in done.error_line
    assert not store.exists()


def test_rounded_probabilities_are_taken(explorer_here, tmp_path) -> None:
    """Their rows are off by just under 0.01; as float16 they are off by more than a store takes."""
    row = np.array([0.39, 0.13, 0.04, 0.0, 0.05, 0.1, 0.23, 0.05])
    np.savez(tmp_path / "a.npz", probs=np.tile(row, (40, 1)), labels=np.arange(40) % 8)
    store = tmp_path / "store"
    done = explorer_here(
        "import", "predictions", tmp_path / "a.npz", "--dataset", "toy", "--name", "a", "--store", store
    )
    assert done.code == 0, done.err
    assert "40 rows add up to 1 within 0.02 only and were divided by their sum" in done.err


def test_rows_of_several_services_leave_no_store(explorer_here, tmp_path) -> None:
    rows = [f"{api},{'ab'[row % 2]},a,0.9" for row in range(6) for api in "xyz"]
    (tmp_path / "t.csv").write_text("\n".join(["api,label,pred,conf", *rows]))
    done = explorer_here(
        "import",
        "predictions",
        tmp_path / "t.csv",
        "--dataset",
        "toy",
        "--name",
        "x",
        "--store",
        tmp_path / "s",
    )
    assert (done.code, (tmp_path / "s").exists()) == (2, False)
    assert "t.csv has rows of 3 members (column api: x, y, z)" in done.error_line


def test_class_names_may_be_said(explorer_here, tmp_path) -> None:
    (tmp_path / "t.csv").write_text("label,pred\n" + "b,b\nd,b\n" * 4)
    done = explorer_here(
        "import", "predictions", tmp_path / "t.csv", "--dataset", "toy", "--name", "x",
        "--class-names", "d, b,unknown", "--json", "--store", tmp_path / "s",
    )  # fmt: skip
    assert json.loads(done.out)["classes"] == 3


def test_imported_members_cannot_be_built(explorer_here, file, tmp_path) -> None:
    from explorer.build.artefact import build_artefact
    from explorer.errors import UsageError
    from explorer.spec import parse_design
    from explorer.store import Store

    store = tmp_path / "store"
    explorer_here("import", "predictions", file, "--dataset", "toy", "--names", "a,b", "--store", store)
    done = explorer_here("build", "a#0", "--dataset", "toy", "--out", tmp_path / "out", "--store", store)
    assert done.code == 2
    with Store.open(store) as opened, pytest.raises(UsageError, match="a~imported#0 was imported"):
        build_artefact(opened, "toy", parse_design("a#0"), tmp_path / "out")
