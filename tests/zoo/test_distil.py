"""Training on a teacher's probabilities instead of labels."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import zoo
from zoo.determinism import stream_seed

BASE = dataclasses.replace(
    zoo.recipe("quick"), epochs=2, batch_size=32, crop_padding=1, flip=True, momentum=0.0, nesterov=False
)
DESIGN = "ensemble(wrn10-1#0@quick-1, wrn10-1#1@quick-1)"
JOB = zoo.TrainJob(name="wrn10-0.25", classes=3, recipe=BASE.distilled(DESIGN), seed=5)

Arrays = tuple[np.ndarray, np.ndarray]


def by_brightness(images: torch.Tensor) -> torch.Tensor:
    """A teacher that knows how the stripes are made: the brightest pair of columns, softly."""
    columns = images.mean(dim=(1, 2))
    return torch.softmax(9.0 * torch.stack([columns[:, i : i + 2].mean(1) for i in (0, 2, 4)], dim=1), dim=1)


def test_the_student_learns_from_the_teacher_alone(stripes: Arrays) -> None:
    images, labels = stripes
    recipe = dataclasses.replace(zoo.recipe("quick"), epochs=12, batch_size=16, crop_padding=0).distilled(
        DESIGN
    )
    # Labels that say nothing: whatever the student knows comes from the teacher.
    nothing = np.zeros_like(labels)
    job = dataclasses.replace(JOB, recipe=recipe)
    trained = zoo.train(job, images[:61], nothing[:61], teacher=by_brightness)
    model = zoo.build_classifier(job.name, channels=2, classes=3, native=8)
    model.load_state_dict(trained.state)
    assert (zoo.predict(model, images[61:]).argmax(1) == labels[61:]).mean() > 0.9


def test_one_step_by_hand(stripes: Arrays) -> None:
    """The loss is the mean of -sum p log q over the batch, and the head moves against its gradient."""
    images, labels = stripes[0][:20], stripes[1][:20]
    recipe = dataclasses.replace(BASE, epochs=1, crop_padding=0, flip=False, weight_decay=0.0)
    job = dataclasses.replace(JOB, recipe=recipe.distilled(DESIGN))
    seen: list[torch.Tensor] = []

    def teacher(batch: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        seen.append(batch.clone())
        return by_brightness(batch)

    trained = zoo.train(job, images, labels, teacher=teacher)
    (batch,) = seen
    ordered = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    assert sorted(batch.flatten(1).sum(1).tolist()) == sorted(ordered.flatten(1).sum(1).tolist())

    torch.manual_seed(stream_seed(5, "init"))
    model = zoo.build_classifier(
        job.name,
        channels=2,
        classes=3,
        native=8,
        mean=trained.state["preprocess.mean"],
        std=trained.state["preprocess.std"],
    ).train()
    logits = model(batch)
    loss = -(by_brightness(batch) * F.log_softmax(logits, dim=1)).sum(1).mean()
    assert trained.curve[0]["loss"] == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    rate = zoo.recipes.learning_rate(job.recipe, 0.5)
    expected = model.net.head.bias.detach() - rate * model.net.head.bias.grad
    torch.testing.assert_close(trained.state["net.head.bias"], expected, rtol=1e-4, atol=1e-6)


def test_distilling_is_repeatable_and_resumable(stripes: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "student.pt"
    whole = zoo.train(JOB, *stripes, teacher=by_brightness)
    with pytest.raises(zoo.TrainingStopped):
        zoo.train(JOB, *stripes, teacher=by_brightness, checkpoint=path, stop=lambda: True)
    again = zoo.train(JOB, *stripes, teacher=by_brightness, checkpoint=path)
    assert all(torch.equal(whole.state[key], again.state[key]) for key in whole.state)
    other = dataclasses.replace(JOB, recipe=BASE.distilled("wrn10-2#0@quick-1"))
    with pytest.raises(zoo.ZooError, match=f"recipe: {JOB.recipe.id} there, {other.recipe.id} wanted"):
        zoo.train(other, *stripes, teacher=by_brightness, checkpoint=path)


def test_a_teacher_needs_a_recipe_and_the_reverse(stripes: Arrays) -> None:
    with pytest.raises(zoo.ZooError, match=r"'distilled' learns from ensemble\(.*\): give its answers as"):
        zoo.train(JOB, *stripes)
    plain = dataclasses.replace(JOB, recipe=BASE)
    with pytest.raises(zoo.ZooError, match="recipe 'quick' has no teacher"):
        zoo.train(plain, *stripes, teacher=by_brightness)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda images: by_brightness(images)[:, :2], r"with probabilities \[26, 3\] .* got \[26, 2\]"),
        (lambda images: by_brightness(images)[1:], r"got \[25, 3\]"),
        (lambda images: by_brightness(images).log(), "none below 0, sum 1 for each example"),
        (lambda images: by_brightness(images) * 0.9, "a sum 0.1 away from 1"),
        (lambda images: by_brightness(images) * float("nan"), "none below 0, sum 1"),
    ],
)
def test_a_teacher_that_does_not_answer_with_probabilities_is_refused(
    stripes: Arrays, answer: object, message: str
) -> None:
    with pytest.raises(zoo.ZooError, match=message):
        zoo.train(JOB, *stripes, teacher=answer)
