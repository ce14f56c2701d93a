"""Interrupted trainings end in the same bits: by exception at every report, and by a real kill -9."""

import dataclasses
import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo

RECIPE = dataclasses.replace(zoo.recipe("standard"), epochs=4, batch_size=32, crop_padding=1, cutout=1)
JOB = zoo.TrainJob(name="wrn10-0.25", classes=3, recipe=RECIPE, seed=5)

Arrays = tuple[np.ndarray, np.ndarray]


def same(first: zoo.Trained, second: zoo.Trained) -> bool:
    curves = [[(e["epoch"], e["loss"], e["accuracy"]) for e in t.curve] for t in (first, second)]
    return curves[0] == curves[1] and all(torch.equal(first.state[k], second.state[k]) for k in first.state)


class StopError(Exception):
    """What the tests interrupt with."""


@pytest.mark.parametrize("finished", [0, 1, 3])
def test_stopped_inside_an_epoch_and_resumed_is_bit_identical(
    stripes: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: int
) -> None:
    monkeypatch.setattr(importlib.import_module("zoo.training_loop"), "REPORT_EVERY_S", 0.0)

    def stop(progress: zoo.Progress) -> None:
        if progress.epoch == finished and progress.step == 2:
            raise StopError

    path = tmp_path / "member.pt"
    with pytest.raises(StopError):
        zoo.train(JOB, *stripes, checkpoint=path, progress=stop)
    assert path.exists() == (finished > 0)
    seen: list[zoo.Progress] = []
    resumed = zoo.train(JOB, *stripes, checkpoint=path, progress=seen.append)
    assert same(resumed, zoo.train(JOB, *stripes))
    if finished:
        assert seen[0].note == f"resumed wrn10-0.25 seed 5 after epoch {finished} of 4"
        assert seen[0].epoch == finished
    assert min(p.epoch for p in seen) == finished


PROGRAM = """
import dataclasses, pathlib, sys
import numpy as np
import zoo

arrays = np.load(sys.argv[1])
recipe = dataclasses.replace(
    zoo.recipe("standard"), epochs=int(sys.argv[3]), batch_size=32, crop_padding=1, cutout=1
)
job = zoo.TrainJob(name="wrn10-0.25", classes=3, recipe=recipe, seed=5)
def tell(p):
    print(p.epoch, p.note, flush=True)
zoo.train(job, arrays["images"], arrays["labels"], checkpoint=pathlib.Path(sys.argv[2]), progress=tell)
print("whole")
"""


def test_killed_and_resumed_is_bit_identical(stripes: Arrays, tmp_path: Path) -> None:
    images, labels = stripes
    np.savez(tmp_path / "arrays.npz", images=images, labels=labels)
    path, epochs = tmp_path / "member.pt", 16
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "arrays.npz"), str(path), str(epochs)]
    reached = 0
    for target in (2, 7):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                reached = int(line.split()[0])
                if reached >= target:
                    os.kill(process.pid, signal.SIGKILL)
                    break
        assert process.returncode == -signal.SIGKILL, "it was killed on its way, not finished"
        assert path.exists()
    notes: list[str] = []
    job = dataclasses.replace(JOB, recipe=RECIPE.with_epochs(epochs))
    resumed = zoo.train(
        job, images, labels, checkpoint=path, progress=lambda p: notes.append(p.note) if p.note else None
    )
    assert len(notes) == 1
    # The kill may come after the report of an epoch and before or after its checkpoint.
    assert int(notes[0].split("after epoch ")[1].split()[0]) >= reached - 1
    assert same(resumed, zoo.train(job, images, labels))


def test_a_finished_checkpoint_answers_without_training(stripes: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "member.pt"
    first = zoo.train(JOB, *stripes, checkpoint=path)
    seen: list[zoo.Progress] = []
    second = zoo.train(JOB, *stripes, checkpoint=path, progress=seen.append)
    assert same(first, second)
    assert second.wall_s == first.wall_s
    assert [p.note for p in seen] == ["resumed wrn10-0.25 seed 5 after epoch 4 of 4"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 6}, "seed: 5 there, 6 wanted"),
        ({"name": "wrn10-0.5"}, "model: wrn10-0.25 there, wrn10-0.5 wanted"),
        ({"recipe": RECIPE.with_epochs(5)}, f"recipe: {RECIPE.id} there, standard-"),
        ({"resolution": 10}, "resolution: 8 there, 10 wanted"),
        ({"classes": 4}, "classes: 3 there, 4 wanted"),
        ({"threads": 2}, "threads: 1 there, 2 wanted"),
    ],
)
def test_a_foreign_checkpoint_is_refused_and_left_as_it_is(
    stripes: Arrays, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "member.pt"
    zoo.train(dataclasses.replace(JOB, recipe=RECIPE), *stripes, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(zoo.ZooError, match=message):
        zoo.train(dataclasses.replace(JOB, **change), *stripes, checkpoint=path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("what", ["torch", "device_name"])
def test_a_checkpoint_of_another_machine_is_refused(
    stripes: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Another torch or another processor rounds differently: going on would give bits that neither makes."""
    path = tmp_path / "member.pt"
    zoo.train(JOB, *stripes, checkpoint=path)
    loop = importlib.import_module("zoo.training_loop")
    here = loop.machine("cpu")
    monkeypatch.setattr(loop, "machine", lambda device: {**here, what: "another"})
    with pytest.raises(zoo.ZooError, match=rf"{what}: .* there, another wanted"):
        zoo.train(JOB, *stripes, checkpoint=path)


def test_a_checkpoint_on_other_data_is_refused(stripes: Arrays, tmp_path: Path) -> None:
    images, labels = stripes
    path = tmp_path / "member.pt"
    zoo.train(JOB, images, labels, checkpoint=path)
    other = images.copy()
    other[0, 0, 0, 0] ^= 1
    with pytest.raises(
        zoo.ZooError, match=r"of another training \(data: [0-9a-f]{16} there, [0-9a-f]{16} wanted\)"
    ):
        zoo.train(JOB, other, labels, checkpoint=path)


def test_a_truncated_checkpoint_is_reported_and_training_starts_again(
    stripes: Arrays, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "member.pt"
    first = zoo.train(JOB, *stripes, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-100])
    seen: list[zoo.Progress] = []
    again = zoo.train(JOB, *stripes, checkpoint=path, progress=seen.append)
    assert same(first, again)
    assert (seen[0].epoch, seen[0].step) == (0, 0)
    assert "is cut off or altered" in seen[0].note
    assert seen[0].note.endswith("training wrn10-0.25 seed 5 from the start")
    assert seen[0].note in caplog.text
