"""`explorer study`: what it lists, plans, reports and refuses."""

import json
import subprocess
import sys

import numpy as np
import pytest

from explorer.run.study import timing
from explorer.store import Store


def test_the_studies_are_listed(explorer_here) -> None:
    document = json.loads(explorer_here("study", "list", "--json").out)
    assert [one["name"] for one in document["studies"]] == [
        "digits-scaling",
        "fashion-mnist-scaling",
        "fashion-mnist-tenth",
        "fashion-mnist-fortieth",
        "cifar10-scaling",
    ]
    listed = explorer_here("study", "list").out.splitlines()
    assert [line.split()[0] for line in listed] == [one["name"] for one in document["studies"]]


def test_listing_needs_no_torch() -> None:
    program = (
        "import sys\nfrom explorer.cli import main\n"
        "try:\n    main(['study', 'list'])\nexcept SystemExit:\n    sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_a_study_is_shown_with_arms_and_published_figures(explorer_here) -> None:
    shown = explorer_here("study", "show", "fashion-mnist-scaling").out
    assert "distilled: wrn10-0.25, wrn10-0.5 from the mean of wrn10-1#0-4, seeds 0-2" in shown
    assert "snapshots: 4 of each run of wrn10-0.5, seeds 0-1" in shown
    assert "wrn10-0.5+mimo2" in shown
    document = json.loads(explorer_here("study", "show", "cifar10-scaling", "--json").out)
    assert {one["model"] for one in document["published"]} == {"wrn28-10"}
    assert all(one["source"] for one in document["published"])


def test_a_plan_trains_nothing(explorer_here, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(timing, "TIMING_S", 0.05)
    store = tmp_path / "store"

    done = explorer_here("study", "run", "digits-scaling", "--plan", "--store", store)

    assert done.code == 0, done.err
    lines = done.out.strip().splitlines()
    assert lines[0].split() == ["training", "arm", "an", "epoch", "in", "all", "plan"]
    assert len(lines) == 1 + 7 + 1
    assert lines[-1].startswith("digits-scaling: 0 of 7 trainings there; 7 fit; about ")
    planned = explorer_here("study", "run", "digits-scaling", "--plan", "--json", "--store", store)
    assert json.loads(planned.out)["store"] == f"sqlite:///{store / 'ledger.sqlite'}"
    assert not store.exists()
    Store.open(store).close()
    again = explorer_here("study", "run", "digits-scaling", "--plan", "--store", store)
    assert again.out.splitlines()[-1].startswith("digits-scaling: 0 of 7 trainings there; 7 fit; about ")
    empty = json.loads(explorer_here("study", "report", "digits-scaling", "--json", "--store", store).out)
    assert all(row["members"] == 0 and row["accuracy"]["mean"] is None for row in empty["rows"])
    assert [row["missing"] for row in empty["rows"]] == [[0, 1], [0, 1], [0, 1], [0]]


def test_the_report_says_what_the_members_say(explorer_here, tmp_path) -> None:
    """Trained by the plain command: a report needs no run of the study."""
    store = tmp_path / "store"
    options = ("--dataset", "digits", "--seeds", "0-2", "--epochs", "2", "--store", store, "--json")
    members = json.loads(explorer_here("train", "mlp16x1", *options).out)["members"]
    with Store.open(store, create=False) as opened:
        records = opened.predictions("digits", "report")
        labels = opened.labels("digits", "report", records[0].split_digest)
        accuracies = [float(np.mean(opened.probabilities(r).argmax(1) == labels)) for r in records]

    document = json.loads(
        explorer_here("study", "report", "digits-scaling", "--epochs", 2, "--json", "--store", store).out
    )

    row = document["rows"][0]
    assert (row["model"], row["seeds"], row["missing"]) == ("mlp16x1", [0, 1, 2], [])
    assert row["training_macs"] == sum(member["training_macs"] for member in members)
    assert row["wall_s"] == pytest.approx(sum(member["wall_s"] for member in members))
    assert row["accuracy"]["each"] == accuracies
    assert row["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert row["accuracy"]["spread"] == pytest.approx(np.std(accuracies, ddof=1))
    assert document["complete"] is False
    text = explorer_here("study", "report", "digits-scaling", "--epochs", 2, "--store", store).out
    assert text.strip().endswith("5 members missing")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("run", "digit"), "unknown study 'digit'"),
        (("report", "digit"), "unknown study 'digit'"),
        (("run", "digits-scaling", "--minutes", "0"), "more than 0 minutes"),
        (("run", "digits-scaling", "--carry-checkpoints"), "--bundles DIR"),
        (("run", "digits-scaling", "--stacked", "no"), "side by side"),
        (("run", "digits-scaling", "--device", "tpu"), "tpu"),
    ],
)
def test_what_is_refused(explorer_here, tmp_path, arguments, reason) -> None:
    done = explorer_here("study", *arguments, "--store", tmp_path / "store")
    assert done.code == 2
    assert reason in done.error_line


def test_a_folder_that_cannot_hold_bundles_is_refused_before_anything_is_timed(
    explorer_here, tmp_path
) -> None:
    (tmp_path / "file").write_text("taken")
    where = ("--store", tmp_path / "store", "--bundles", tmp_path / "file" / "bundles")

    done = explorer_here("study", "run", "digits-scaling", *where)

    assert done.code == 2
    assert done.error_line.startswith("explorer: cannot write bundles to")
    assert "timing" not in done.err
