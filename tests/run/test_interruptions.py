"""kill -9 on the real command, whole and in part: nothing acknowledged is lost, the next run continues."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from explorer.store import Store

TRAIN = ("train", "wrn10-0.5", "--dataset", "digits", "--seeds", "0-1", "--epochs", "12", "--workers", "2")


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start the command in a process group of its own, so that its workers can be killed with it."""
    return subprocess.Popen(
        [sys.executable, "-m", "explorer.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(*arguments: object) -> str:
    process = start(*arguments)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def kill_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def wait_for(condition, timeout: float = 120) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def weights(store: Path) -> dict[str, str]:
    with Store.open(store, create=False) as opened:
        return {str(record.member): record.weights_digest for record in opened.members()}


def killed_while_committing(command: tuple[object, ...], store: Path, pause_s: float) -> set[str]:
    """Start, wait until one more member is committed, wait a little more, kill; return what was there."""
    before = len(weights(store)) if store.exists() else 0
    process = start(*command)
    wait_for(
        lambda: (
            process.poll() is not None
            or ((store / "ledger.sqlite").exists() and len(weights(store)) > before)
        )
    )
    time.sleep(pause_s)
    there = set(weights(store))
    kill_group(process)
    return there


@pytest.fixture(scope="module")
def untouched(tmp_path_factory) -> dict[str, str]:
    """Weights of the same training, never interrupted."""
    store = tmp_path_factory.mktemp("untouched") / "store"
    finish(*TRAIN, "--store", store)
    return weights(store)


def clean(store: Path) -> dict[str, object]:
    document = json.loads(finish("db", "info", "--json", "--store", store))
    assert document["clean"], document
    return document


def test_a_killed_training_continues_to_the_same_bits(tmp_path, untouched) -> None:
    store = tmp_path / "store"
    process = start(*TRAIN, "--store", store)
    wait_for(lambda: list((store / "work").glob("*.pt")) or process.poll() is not None)
    kill_group(process)
    if (store / "ledger.sqlite").exists():
        assert clean(store)["counts"]["members"] < 2, "it had finished before it was killed: train longer"

    finish(*TRAIN, "--store", store)

    assert weights(store) == untouched
    clean(store)
    assert not list((store / "work").glob("*.pt"))


def test_workers_end_with_their_killed_parent(tmp_path) -> None:
    store = tmp_path / "store"
    process = start(*TRAIN[:-4], "--epochs", "500", "--workers", "2", "--store", store)
    wait_for(lambda: list((store / "work").glob("*.pt")) or process.poll() is not None)
    process.kill()
    process.wait()

    def alone() -> bool:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    try:
        wait_for(alone, timeout=30)
    finally:
        kill_group(process)


def test_ctrl_c_says_how_to_go_on(tmp_path) -> None:
    store = tmp_path / "store"
    process = start(*TRAIN[:-4], "--epochs", "500", "--workers", "2", "--store", store)
    wait_for(lambda: list((store / "work").glob("*.pt")) or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert "the same command continues" in err.strip().splitlines()[-1]
    clean(store)


def test_kills_at_random_moments_lose_nothing_that_was_acknowledged(tmp_path) -> None:
    """Many short trainings, so that many kills fall into commits; each acknowledged member stays."""
    store, rng = tmp_path / "store", random.Random(20200509)
    command = ("train", "mlp4x1", "--dataset", "digits", "--seeds", "0-39", "--epochs", "1", "--store", store)
    acknowledged: set[str] = set()
    for _ in range(4):
        acknowledged |= killed_while_committing(command, store, rng.uniform(0, 0.3))
        clean(store)
        assert acknowledged <= set(weights(store))

    finish(*command)

    assert len(weights(store)) == 40
    clean(store)
