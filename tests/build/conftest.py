import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper

from explorer.build.artefact import DESIGN_FILE, MODEL_FILE
from explorer.data import ImageSet, load_images
from explorer.record import MemberRecord, TrainingRecord
from explorer.spec import Member
from explorer.store import Store
from zoo import build_classifier, predict

RECIPE = "none-00000000"
MODELS = (
    ("wrn10-0.25", 8, (0, 1)),
    ("wrn10-0.25", 5, (0, 1)),
    ("mlp8x1", 8, (0, 1, 2)),
    ("mobile-x0.5", 6, (0,)),
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> ImageSet:
    return load_images("digits")


def network(name: str, resolution: int, seed: int) -> torch.nn.Module:
    """An untrained network with running statistics of its own and answers that are not all alike."""
    generator = torch.Generator().manual_seed(seed)
    model = build_classifier(
        name, channels=1, classes=10, native=8, resolution=resolution, mean=[0.3], std=[0.4]
    )
    with torch.no_grad():
        # every number from our own generator: biases are random by default, and tests must repeat
        for tensor in model.parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(
                noise / tensor[0].numel() ** 0.5 if tensor.ndim > 1 else tensor.round() + 0.1 * noise
            )
        model.train()
        for _ in range(15):
            model(torch.rand(32, 1, 8, 8, generator=generator))
        last = [p for p in model.parameters() if p.ndim == 2][-1]
        last *= 6
    return model.eval()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, digits: ImageSet) -> Iterator[Store]:
    """A few seeds of four small networks, untrained, with their predictions on digits."""
    with Store.open(tmp_path_factory.mktemp("store")) as opened:
        for name, resolution, seeds in MODELS:
            for seed in seeds:
                commit(
                    opened, digits, Member(name, resolution, seed, RECIPE), network(name, resolution, seed)
                )
        yield opened


def commit(store: Store, images: ImageSet, member: Member, model: torch.nn.Module) -> None:
    training = TrainingRecord(
        recipe_id=member.recipe,
        recipe={},
        epochs=0,
        examples_seen=0,
        wall_s=0.0,
        device="cpu",
        macs=0,
        curve=(),
        versions={},
    )
    record = MemberRecord(
        member=member,
        dataset=images.name,
        split_digest=images.split_digest,
        channels=1,
        classes=10,
        training=training,
        weights_digest="",
    )
    splits = {"select": images.select, "report": images.report}
    store.commit_member(
        record,
        safetensors.torch.save({name: value.contiguous() for name, value in model.state_dict().items()}),
        {name: predict(model, split.images) for name, split in splits.items()},
        labels={name: split.labels for name, split in splits.items()},
        class_names=images.classes,
    )


@pytest.fixture(scope="session")
def make_network() -> Callable[[str, int, int], torch.nn.Module]:
    return network


@pytest.fixture(scope="session")
def commit_member() -> Callable[[Store, ImageSet, Member, torch.nn.Module], None]:
    return commit


@pytest.fixture(scope="session")
def sliced_members() -> Callable[[Sequence[Member], int], dict[Member, onnx.ModelProto]]:
    """Members whose logits are written in the image: `[member x class, 1, 1]`, one slice each."""

    def make(members: Sequence[Member], classes: int) -> dict[Member, onnx.ModelProto]:
        return {member: _slice(row, len(members), classes) for row, member in enumerate(members)}

    return make


def _slice(row: int, members: int, classes: int) -> onnx.ModelProto:
    constants = {
        "start": np.array([row * classes], np.int64),
        "end": np.array([(row + 1) * classes], np.int64),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Slice", ["images", "start", "end", "axis"], ["part"]),
        helper.make_node("Flatten", ["part"], ["logits"], axis=1),
    ]
    made = helper.make_graph(
        nodes,
        "slice",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", members * classes, 1, 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", classes])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture(scope="session")
def replace_model() -> Callable[[Path, onnx.ModelProto], None]:
    """Put another model into an artefact and adjust the digests, as a wrong builder would."""

    def replace(directory: Path, model: onnx.ModelProto) -> None:
        content = model.SerializeToString()
        (directory / MODEL_FILE).write_bytes(content)
        document = json.loads((directory / DESIGN_FILE).read_text())
        document["files"][MODEL_FILE] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        (directory / DESIGN_FILE).write_text(json.dumps(document))

    return replace
