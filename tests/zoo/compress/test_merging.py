"""Soups and Re-Basin: renaming changes no answer, matching undoes a renaming, averages are averages."""

import dataclasses

import numpy as np
import pytest
import torch

import zoo
from zoo.compress import merging

NAME = "wrn16-0.5"
Arrays = tuple[np.ndarray, np.ndarray]


def network(seed: int, name: str = NAME) -> zoo.Classifier:
    torch.manual_seed(seed)
    model = zoo.build_classifier(name, channels=2, classes=3, native=8)
    with torch.no_grad():  # norms that differ from one another, so that a wrong renaming shows
        for key, value in model.state_dict().items():
            if "norm" in key and value.is_floating_point():
                value.add_(0.5 * torch.rand_like(value))
    return model.eval()


def shuffled(state: dict[str, torch.Tensor], axes: merging.Axes, seed: int) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    keys = {key: state[n].shape[a] for n, along in axes.items() for a, key in enumerate(along) if key}
    return merging.renamed(state, axes, {key: rng.permutation(size) for key, size in keys.items()})


@pytest.mark.parametrize("name", ["wrn16-0.5", "wrn10-1", "wrn16-1"])
def test_renaming_channels_changes_no_answer(name: str) -> None:
    model, images = network(1, name), torch.rand(5, 2, 8, 8)
    axes = merging.channel_axes(model)
    other = network(2, name)
    state = shuffled(model.state_dict(), axes, 7)
    other.load_state_dict(state)
    assert not torch.equal(state["net.stem.weight"], model.state_dict()["net.stem.weight"])
    torch.testing.assert_close(other(images), model(images), rtol=1e-4, atol=1e-5)
    left = {k for k, v in model.state_dict().items() if k not in axes and v.ndim}
    assert left == {"preprocess.mean", "preprocess.std", "net.head.bias"}, (
        "all else runs over hidden channels"
    )


def test_matching_undoes_a_renaming() -> None:
    model = network(1)
    axes = merging.channel_axes(model)
    state = model.state_dict()
    found = merging.matched([state, shuffled(state, axes, 7), shuffled(state, axes, 8)], axes)
    assert found.before < 0.5
    assert found.after == pytest.approx(1.0)
    for one in found.states[1:]:
        assert all(torch.equal(one[key], value) for key, value in state.items())


def test_networks_apart_become_more_alike_and_compute_the_same() -> None:
    models = [network(seed) for seed in (1, 2)]
    axes, images = merging.channel_axes(models[0]), torch.rand(5, 2, 8, 8)
    found = merging.matched([model.state_dict() for model in models], axes)
    assert found.after > found.before + 0.02
    again = merging.matched([model.state_dict() for model in models], axes)
    assert all(torch.equal(again.states[1][key], value) for key, value in found.states[1].items())
    moved = network(3)
    moved.load_state_dict(found.states[1])
    torch.testing.assert_close(moved(images), models[1](images), rtol=1e-4, atol=1e-5)


def test_an_average_is_one() -> None:
    states = [
        {"a": torch.tensor([1.0, 5.0]), "n": torch.tensor(7)},
        {"a": torch.tensor([3.0, 6.0]), "n": torch.tensor(9)},
    ]
    found = merging.averaged(states)
    assert found["a"].tolist() == [2.0, 5.5]
    assert found["n"].item() == 7
    model = network(1)
    same = merging.averaged([model.state_dict()] * 3)
    assert all(torch.equal(same[key], value) for key, value in model.state_dict().items())


def test_what_cannot_be_merged() -> None:
    state = network(1).state_dict()
    with pytest.raises(zoo.ZooError, match="merging needs at least 2 networks, got 1"):
        merging.averaged([state])
    with pytest.raises(zoo.ZooError, match="merging needs at least 2 networks, got 1"):
        merging.matched([state], {})
    with pytest.raises(zoo.ZooError, match="only networks of one shape can be merged"):
        merging.averaged([state, network(1, "wrn10-1").state_dict()])
    with pytest.raises(zoo.ZooError, match=r"wide ResNets \(wrnDEPTH-WIDTH\), not of a Mlp|not of a"):
        merging.channel_axes(zoo.build_classifier("mlp8x1", channels=2, classes=3, native=8))


def test_norms_measured_anew_are_the_means_over_batches(stripes: Arrays) -> None:
    images, _ = stripes
    model = network(1)
    shares: list[float] = []
    assert merging.measure_norms(model, images, batch_size=50, told=shares.append)
    assert shares == pytest.approx([50 / 101, 100 / 101, 1.0])
    assert not model.training
    assert {norm.momentum for norm in model.modules() if isinstance(norm, torch.nn.BatchNorm2d)} == {0.1}
    with torch.no_grad():
        prepared = model.preprocess(torch.from_numpy(images[:100]).permute(0, 3, 1, 2) / 255.0)
        features = model.net.stem(prepared)
    first = model.net.groups[0][0].norm1
    # The last, of one image, is left out: a batch norm has no variance of one in deeper layers of one pixel.
    torch.testing.assert_close(first.running_mean, features.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_a_soup_of_one_run_is_as_good_as_its_members(stripes: Arrays) -> None:
    """Snapshots of one run share their basin; networks of two seeds do not."""
    recipe = dataclasses.replace(zoo.recipe("quick"), epochs=10, batch_size=16, crop_padding=0)
    start = zoo.train(zoo.TrainJob(name=NAME, classes=3, recipe=recipe, seed=1), *stripes)
    states = []
    for seed in (1, 2):
        more = recipe.started("finetuned", f"wrn16-0.5@8~quick-1#{seed}", epochs=2, learning_rate=0.01)
        task = zoo.TrainJob(name=NAME, classes=3, recipe=more, seed=seed, initial=start.state)
        states.append(zoo.train(task, *stripes).state)
    model = zoo.build_classifier(NAME, channels=2, classes=3, native=8)
    model.load_state_dict(merging.averaged(states))
    merging.measure_norms(model, stripes[0])
    assert (zoo.predict(model, stripes[0]).argmax(1) == stripes[1]).mean() > 0.9
