import dataclasses
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import zoo
from zoo.arrays import data_fingerprint
from zoo.determinism import stream_seed

RECIPE = dataclasses.replace(zoo.recipe("standard"), epochs=3, batch_size=32, crop_padding=1, cutout=1)
JOB = zoo.TrainJob(name="wrn10-0.25", classes=3, recipe=RECIPE, seed=5)

Arrays = tuple[np.ndarray, np.ndarray]


def same(first: zoo.Trained, second: zoo.Trained) -> bool:
    assert first.state.keys() == second.state.keys()
    return all(torch.equal(first.state[key], second.state[key]) for key in first.state)


def without_clock(trained: zoo.Trained) -> list[dict[str, float]]:
    return [{k: v for k, v in entry.items() if k != "wall_s"} for entry in trained.curve]


@pytest.mark.parametrize("name", ["wrn10-0.25", "mlp13x2", "mobile-x0.25"])
def test_same_job_same_bits_and_another_seed_other_bits(stripes: Arrays, name: str) -> None:
    job = dataclasses.replace(JOB, name=name)
    first, second = (zoo.train(job, *stripes) for _ in range(2))
    assert same(first, second)
    assert without_clock(first) == without_clock(second)
    assert not same(first, zoo.train(dataclasses.replace(job, seed=6), *stripes))


def test_it_learns_and_predicts(stripes: Arrays) -> None:
    images, labels = stripes
    job = dataclasses.replace(
        JOB, recipe=dataclasses.replace(zoo.recipe("quick"), batch_size=16, crop_padding=0)
    )
    trained = zoo.train(job, images[:61], labels[:61])
    model = zoo.build_classifier(job.name, channels=2, classes=3, native=8)
    model.load_state_dict(trained.state)
    probabilities = zoo.predict(model, images[61:], batch_size=7)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (40, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1.0, atol=1e-6)
    assert (probabilities.argmax(1) == labels[61:]).mean() > 0.9
    assert trained.curve[-1]["loss"] < 0.5 * trained.curve[0]["loss"]


def test_the_record_of_a_training(stripes: Arrays) -> None:
    trained = zoo.train(JOB, *stripes)
    assert [entry["epoch"] for entry in trained.curve] == [1, 2, 3]
    assert trained.examples_seen == 3 * 101
    assert trained.wall_s == pytest.approx(sum(entry["wall_s"] for entry in trained.curve))
    assert (trained.epochs, trained.device, trained.resolution) == (3, "cpu", 8)
    assert all(value.is_contiguous() for value in trained.state.values())
    expected = stripes[0].astype(np.float64).mean((0, 1, 2)) / 255
    np.testing.assert_allclose(trained.state["preprocess.mean"].numpy(), expected, rtol=1e-6)


def test_global_state_is_left_alone(stripes: Arrays) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    torch.set_num_threads(2)
    before = torch.are_deterministic_algorithms_enabled()
    zoo.train(JOB, *stripes)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == 2
    assert torch.are_deterministic_algorithms_enabled() == before

    def stop(_progress: zoo.Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        zoo.train(JOB, *stripes, progress=stop)
    assert torch.get_num_threads() == 2
    assert torch.are_deterministic_algorithms_enabled() == before


def test_weights_do_not_depend_on_the_callers_random_state_or_threads(stripes: Arrays) -> None:
    torch.manual_seed(1)
    first = zoo.train(JOB, *stripes)
    torch.manual_seed(2)
    torch.set_num_threads(2)
    assert same(first, zoo.train(JOB, *stripes))


def test_dropout_is_repeatable_and_resumable(
    stripes: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Dropout draws from torch's global generator, which must be seeded anew each epoch for a resume.
    def with_dropout(name: str, **arguments: Any) -> zoo.Classifier:
        plain = zoo.build_classifier(name, **arguments)
        return zoo.Classifier(plain.preprocess, nn.Sequential(nn.Dropout(0.5), plain.net))

    monkeypatch.setattr(importlib.import_module("zoo.training_nets"), "build_classifier", with_dropout)
    whole = zoo.train(JOB, *stripes)
    assert same(whole, zoo.train(JOB, *stripes))

    def stop(progress: zoo.Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        zoo.train(JOB, *stripes, checkpoint=tmp_path / "member.pt", progress=stop)
    torch.rand(7)
    assert same(whole, zoo.train(JOB, *stripes, checkpoint=tmp_path / "member.pt"))


def test_progress_ends_every_epoch_and_counts_down(stripes: Arrays) -> None:
    seen: list[zoo.Progress] = []
    trained = zoo.train(JOB, *stripes, progress=seen.append)
    ends = [p for p in seen if p.step == p.steps]
    assert [p.epoch for p in ends] == [1, 2, 3]
    assert all((p.epochs, p.steps, p.note) == (3, 4, "") for p in ends)
    assert ends[0].eta_s > ends[1].eta_s > ends[2].eta_s == 0.0
    assert [p.loss for p in ends] == [entry["loss"] for entry in trained.curve]


def test_seeds_and_purposes_have_streams_of_their_own() -> None:
    seeds = {stream_seed(s, p, e) for s in range(9) for p in ("init", "order", "augment") for e in range(9)}
    assert len(seeds) == 9 * 3 * 9
    assert all(0 <= s < 2**63 for s in seeds)


def test_fingerprint_sees_every_pixel_label_and_shape(stripes: Arrays) -> None:
    images, labels = stripes
    base = data_fingerprint(images, labels)
    assert data_fingerprint(images.copy(), labels.astype(np.int32)) == base
    other, moved = images.copy(), labels.copy()
    other[100, 7, 7, 1] ^= 1
    moved[0] = (moved[0] + 1) % 3
    found = {base, data_fingerprint(other, labels), data_fingerprint(images, moved)}
    assert len(found | {data_fingerprint(images.reshape(101, 16, 4, 2), labels)}) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((3, 8, 8), np.uint8)}, r"images must be .* got uint8 \[3, 8, 8\]"),
        ({"images": np.zeros((3, 8, 8, 1), np.float32)}, r"got float32 \[3, 8, 8, 1\]"),
        ({"images": np.zeros((3, 8, 9, 1), np.uint8)}, r"height = width; got uint8 \[3, 8, 9, 1\]"),
        ({"images": np.zeros((0, 8, 8, 1), np.uint8)}, "non-empty"),
        (
            {"labels": np.zeros(2, np.int64)},
            r"labels must be integers \[example\] for 3 images, got int64 \[2\]",
        ),
        ({"labels": np.zeros(3)}, r"got float64 \[3\]"),
        ({"labels": np.array([0, 1, 3])}, "labels must be from 0 to 2, got 0 to 3"),
        ({"labels": np.array([0, -1, 1])}, "labels must be from 0 to 2, got -1 to 1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    arrays = {"images": np.zeros((3, 8, 8, 1), np.uint8), "labels": np.array([0, 1, 2])} | change
    with pytest.raises(zoo.ZooError, match=message):
        zoo.train(JOB, arrays["images"], arrays["labels"])


def test_one_image_is_too_few() -> None:
    with pytest.raises(zoo.ZooError, match="needs at least 2 training images, got 1"):
        zoo.train(JOB, np.zeros((1, 8, 8, 1), np.uint8), np.zeros(1, np.int64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 1}, "classes of a training of wrn10-0.25 must be at least 2, got 1"),
        ({"seed": -1}, "seed of a training"),
        ({"threads": 0}, "threads of a training"),
        ({"name": "wrn11-1"}, "must be 6n"),
    ],
)
def test_impossible_jobs_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(zoo.ZooError, match=message):
        dataclasses.replace(JOB, **change)


def test_a_job_keeps_the_canonical_name() -> None:
    assert dataclasses.replace(JOB, name="WRN-10-1.0").name == "wrn10-1"


def test_divergence_is_an_error_not_a_member(stripes: Arrays) -> None:
    wild = dataclasses.replace(RECIPE, learning_rate=1e30)
    with pytest.raises(zoo.ZooError, match=r"training of wrn10-0\.25 with seed 5 diverged in epoch 1: loss"):
        zoo.train(dataclasses.replace(JOB, recipe=wild), *stripes)


@pytest.mark.parametrize("device", ["warp", "cuda:99"])
def test_a_device_that_is_not_here_is_refused(stripes: Arrays, device: str) -> None:
    with pytest.raises(zoo.ZooError, match=f"device '{device}' cannot be used here: "):
        zoo.train(JOB, *stripes, device=device)


def test_predict_keeps_the_mode_and_needs_uint8(stripes: Arrays) -> None:
    model = zoo.build_classifier("wrn10-0.25", channels=2, classes=3, native=8).train()
    running = model.net.norm.running_mean.clone()
    whole, parts = (zoo.predict(model, stripes[0], batch_size=size) for size in (256, 13))
    assert model.training
    assert torch.equal(model.net.norm.running_mean, running)
    np.testing.assert_allclose(whole, parts, atol=1e-6)
    with pytest.raises(zoo.ZooError, match="images must be"):
        zoo.predict(model, stripes[0].astype(np.float32))
    with pytest.raises(zoo.ZooError, match="batch_size must be at least 1, got 0"):
        zoo.predict(model, stripes[0], batch_size=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_is_repeatable(stripes: Arrays) -> None:
    assert same(*(zoo.train(JOB, *stripes, device="cuda") for _ in range(2)))
