"""Draws, precision, compilation and the inputs of members inside one network."""

import dataclasses
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import zoo
from zoo import augment, checkpoint
from zoo.determinism import generator
from zoo.training_nets import OneNet, in_precision, initial_models
from zoo.training_step import Run, batches, new_run, step

RECIPE = dataclasses.replace(
    zoo.recipe("standard"), epochs=2, batch_size=34, crop_padding=1, cutout=3, warmup_epochs=0.0
)
JOB = zoo.TrainJob(name="wrn10-0.25", classes=3, recipe=RECIPE, seed=5)

Arrays = tuple[np.ndarray, np.ndarray]


def started(job: zoo.TrainJob, arrays: Arrays) -> Run:
    (model,) = initial_models([job], arrays[0], "cpu")
    return new_run([job], OneNet(model, job), *arrays, device="cpu")


def test_an_epochs_draws_are_those_of_step_by_step_drawing(stripes: Arrays) -> None:
    """The stream that stored members were made with: order, then flips, shifts, holes of each step."""
    run = started(JOB, stripes)
    order = torch.randperm(101, generator=generator(5, "order", 3))
    stream = generator(5, "augment", 3)
    for batch, chosen in zip(batches(run, 3), torch.tensor_split(order, 3), strict=True):
        mirrored = torch.rand(len(chosen), 1, generator=stream) < 0.5
        shift = torch.randint(0, 3, (2, len(chosen), 1), generator=stream)
        centre = torch.randint(0, 8, (2, len(chosen), 1), generator=stream)
        assert torch.equal(batch.chosen, chosen)
        expected = augment.Draws(
            mirrored=mirrored[:, 0],
            down=shift[0, :, 0],
            right=shift[1, :, 0],
            hole_row=centre[0, :, 0],
            hole_column=centre[1, :, 0],
        )
        for field in dataclasses.fields(augment.Draws):
            assert torch.equal(getattr(batch.draws, field.name), getattr(expected, field.name))
        assert batch.orders is None


def test_members_with_inputs_of_their_own_are_asked_for_their_own_labels(stripes: Arrays) -> None:
    run = started(dataclasses.replace(JOB, name="wrn10-0.25+mimo3"), stripes)
    assert (run.nets.members, run.nets.independent_inputs) == (3, True)
    batch = next(batches(run, 0))
    size = len(batch.chosen)
    assert batch.orders is not None
    assert batch.orders.shape == (1, 3, size)
    assert torch.equal(batch.orders[0].sort(dim=1).values, torch.arange(size).expand(3, size))
    assert not torch.equal(batch.orders[0, 0], batch.orders[0, 1])

    images = augment.apply(run.images, batch.chosen, batch.draws, RECIPE)
    (model,) = initial_models(run.jobs, stripes[0], "cpu")
    logits = model.train().member_logits(images, batch.orders[0])
    labels = run.labels[batch.chosen]
    by_member = [F.cross_entropy(logits[m], labels[batch.orders[0, m]]) for m in range(3)]
    right = [(logits[m].argmax(1) == labels[batch.orders[0, m]]).sum() for m in range(3)]
    loss, correct = step(run, batch, 0.1)
    assert float(loss) == pytest.approx(float(sum(by_member)) / 3, rel=1e-5)
    assert float(correct) == pytest.approx(float(sum(right)) / 3)


@pytest.mark.parametrize("name", ["wrn10-0.25+mimo2", "wrn10-0.25+batch2", "wrn10-0.25+packed2"])
def test_networks_with_members_inside_train_repeatably(stripes: Arrays, name: str) -> None:
    job = dataclasses.replace(JOB, name=name)
    first, second = (zoo.train(job, *stripes) for _ in range(2))
    assert all(torch.equal(first.state[key], second.state[key]) for key in first.state)
    assert 0.0 <= first.curve[0]["accuracy"] <= 1.0


def test_a_plain_network_has_one_member_and_takes_no_orders() -> None:
    model = zoo.build_classifier("wrn10-0.25", channels=2, classes=3, native=8).eval()
    images = torch.rand(4, 2, 8, 8)
    assert (model.members, model.independent_inputs) == (1, False)
    assert torch.equal(model.member_logits(images), model(images)[None])
    with pytest.raises(zoo.ZooError, match="orders are for networks whose members see images of their own"):
        model.member_logits(images, torch.arange(4)[None])


def test_bfloat16_is_the_forward_passes_only(stripes: Arrays) -> None:
    half = dataclasses.replace(RECIPE, precision="bfloat16", learning_rate=0.01)
    seen: list[torch.dtype] = []

    def forward() -> torch.Tensor:
        product = torch.ones(2, 2) @ torch.ones(2, 2)
        seen.append(product.dtype)
        return product

    assert in_precision(half, torch.device("cpu"), forward).dtype == torch.float32
    assert in_precision(RECIPE, torch.device("cpu"), forward).dtype == torch.float32
    assert seen == [torch.bfloat16, torch.float32]

    first, second = (zoo.train(dataclasses.replace(JOB, recipe=half), *stripes) for _ in range(2))
    assert all(torch.equal(first.state[key], second.state[key]) for key in first.state)
    whole = zoo.train(
        dataclasses.replace(JOB, recipe=dataclasses.replace(half, precision="float32")), *stripes
    )
    assert {v.dtype for v in first.state.values()} == {v.dtype for v in whole.state.values()}
    losses = ([entry["loss"] for entry in trained.curve] for trained in (first, whole))
    ours, theirs = losses
    assert ours != theirs
    assert ours == pytest.approx(theirs, rel=0.02)


def test_a_compiled_training_has_a_checkpoint_of_its_own(stripes: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "member.pt"
    zoo.train(JOB, *stripes, checkpoint=path)
    with pytest.raises(zoo.ZooError, match="compiled: absent there, True wanted"):
        zoo.train(dataclasses.replace(JOB, compiled=True), *stripes, checkpoint=path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs a C++ compiler")
def test_a_compiled_training_is_the_same_but_for_rounding(
    stripes: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    # All images in one step: one shape to compile.
    recipe = dataclasses.replace(RECIPE, batch_size=128)
    job = dataclasses.replace(JOB, name="mlp13x2", recipe=recipe)
    plain = zoo.train(job, *stripes)
    compiled = zoo.train(dataclasses.replace(job, compiled=True), *stripes)
    for key, value in plain.state.items():
        torch.testing.assert_close(compiled.state[key], value, rtol=1e-4, atol=1e-4)


def test_a_checkpoint_from_before_stacked_trainings_is_resumed(stripes: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "member.pt"
    with pytest.raises(zoo.TrainingStopped):
        zoo.train(JOB, *stripes, checkpoint=path, stop=lambda: True)
    body = path.read_bytes().split(b"\n", 2)[2]
    document = torch.load(io.BytesIO(body), weights_only=True)
    payload = document["payload"]
    old = {"model": payload["model"], "optimizer": payload["optimizer"], "curve": payload["curves"][0]}
    checkpoint.save(path, document["identity"], old)
    resumed, whole = zoo.train(JOB, *stripes, checkpoint=path), zoo.train(JOB, *stripes)
    assert all(torch.equal(resumed.state[key], whole.state[key]) for key in whole.state)
    assert [entry["loss"] for entry in resumed.curve] == [entry["loss"] for entry in whole.curve]
