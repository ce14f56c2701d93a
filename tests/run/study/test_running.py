"""Real studies of digits: killed and continued, cut short by the clock, carried by bundles."""

import contextlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from explorer.store import Store

TRAININGS = 7
"""Of digits-scaling: three scales with two seeds, and a student."""


def weights(store: Path) -> dict[str, str]:
    if not (store / "ledger.sqlite").exists():
        return {}
    with Store.open(store, create=False) as opened:
        return {str(record.member): record.weights_digest for record in opened.members()}


def killed(process, when) -> None:
    """Kill the command and its workers as soon as ``when()`` holds."""
    end = time.monotonic() + 120
    while not when() and process.poll() is None:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory, run_study_command) -> Path:
    """The store of a study that nothing disturbed."""
    store = tmp_path_factory.mktemp("untouched") / "store"
    code, out, err = run_study_command(store, "--epochs", 2)
    assert code == 0, err
    assert "digits-scaling: complete; 7 members made" in out
    return store


def test_the_student_knows_its_teacher_and_its_cost(untouched) -> None:
    with Store.open(untouched, create=False) as store:
        records = {record.member: record for record in store.members("digits")}
    assert len(records) == TRAININGS
    (student,) = (record for member, record in records.items() if member.distilled)
    teachers = [member for member in records if member.name == "wrn10-0.25"]
    assert student.training.teacher == f"mean({teachers[0]}, {teachers[1]})"
    assert student.training.recipe["base"] == teachers[0].recipe
    # Each step costs the student's own, and a forward pass, a third of a step, of each teacher.
    (own,) = (r for m, r in records.items() if m.name == "wrn10-0.125" and m.seed == 0 and not m.distilled)
    of_teachers = sum(records[member].training.macs for member in teachers) // 3
    assert student.training.macs == own.training.macs + of_teachers
    assert student.training.device_name


def test_a_killed_study_continues_to_the_same_bits(
    tmp_path, start_study, run_study_command, untouched
) -> None:
    store = tmp_path / "store"
    wanted = weights(untouched)
    killed(start_study(store, "--epochs", 2), lambda: len(weights(store)) >= 2)
    before = weights(store)
    assert before.items() <= wanted.items()

    code, _, err = run_study_command(store, "--epochs", 2)

    assert code == 0, err
    assert weights(store) == wanted
    assert not list((store / "work").glob("*.pt"))


def test_running_a_complete_study_again_trains_nothing(run_study_command, untouched) -> None:
    code, out, err = run_study_command(untouched, "--epochs", 2, "--json")

    assert code == 0, err
    document = json.loads(out)
    assert document["complete"] is True
    assert document["made"] == []
    assert {row["state"] for row in document["trainings"]} == {"there"}


@pytest.mark.slow
def test_the_clock_cuts_a_study_at_an_epochs_end(tmp_path, run_study_command) -> None:
    """Far too long for the time: something is begun, stops, and keeps what it has."""
    store, bundles = tmp_path / "store", tmp_path / "bundles"
    minutes = 0.5
    begin = time.monotonic()

    code, out, err = run_study_command(
        store, "--epochs", 2000, "--minutes", minutes, "--json", "--bundles", bundles, "--carry-checkpoints"
    )

    assert code == 4, err
    assert time.monotonic() - begin < 60 * minutes + 30
    document = json.loads(out)
    assert document["complete"] is False
    states = [row["state"] for row in document["trainings"]]
    if "stopped" not in states:
        pytest.skip("this machine is so busy that the timings alone took the time")
    kept = list((bundles / "checkpoints").glob("*.pt"))
    assert len(kept) == states.count("stopped")

    # On another machine's empty store: what was begun goes on from the checkpoint.
    code, out, err = run_study_command(
        tmp_path / "other", "--epochs", 2000, "--json", "--bundles", bundles, "--carry-checkpoints", "--plan"
    )
    assert code == 0, err
    for row, before in zip(json.loads(out)["trainings"], document["trainings"], strict=True):
        if before["state"] == "stopped":
            assert row["seconds"] < 2000 * row["epoch_s"]


def test_ctrl_c_says_how_to_go_on(tmp_path, start_study) -> None:
    store = tmp_path / "store"
    process = start_study(store, "--epochs", 2000)
    end = time.monotonic() + 120
    while not list((store / "work").glob("*.pt")) and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert "the same command continues" in err.strip().splitlines()[-1]


@pytest.mark.slow
def test_bundles_carry_a_study_and_only_what_is_lost_is_trained(
    tmp_path, run_study_command, untouched
) -> None:
    bundles, first = tmp_path / "bundles", tmp_path / "first"
    shutil.copytree(untouched, first)
    code, _, err = run_study_command(first, "--epochs", 2, "--bundles", bundles)
    assert code == 0, err
    assert len(list(bundles.glob("digits-scaling-*.zip"))) == TRAININGS
    lost = next(bundles.glob("*mlp16x1*seed1.zip"))
    lost.unlink()

    code, out, err = run_study_command(tmp_path / "second", "--epochs", 2, "--bundles", bundles, "--json")

    assert code == 0, err
    assert [made["member"].split("@")[0] for made in json.loads(out)["made"]] == ["mlp16x1"]
    assert lost.is_file()
    assert weights(tmp_path / "second") == weights(untouched)
