import logging
import warnings

import numpy as np
import onnxruntime
import pytest
import torch

from explorer.build import onnx_export
from explorer.build.onnx_export import export_member
from explorer.errors import UsageError
from zoo import build_classifier


def logits_of(exported, images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(exported.SerializeToString(), options)
    return session.run(["logits"], {"images": images.numpy()})[0]


@pytest.mark.parametrize(
    ("name", "resolution"), [("wrn10-0.25", 8), ("wrn10-0.25", 5), ("mlp8x1", 11), ("mobile-x0.5", 6)]
)
def test_second_member_of_an_architecture_has_its_own_numbers(make_network, name, resolution):
    images = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    key = ("test", name, resolution)

    for seed in (0, 1):
        model = make_network(name, resolution, seed)
        exported = export_member(model, (1, 8, 8), architecture=key)
        with torch.no_grad():
            wanted = model(images).numpy()

        np.testing.assert_allclose(logits_of(exported, images), wanted, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(logits_of(exported, images[:1]), wanted[:1], rtol=1e-4, atol=1e-4)
    assert wanted.std() > 0.1  # the networks do answer differently


def test_one_architecture_is_traced_once(make_network, monkeypatch):
    traced = []
    original = torch.onnx.export
    monkeypatch.setattr(torch.onnx, "export", lambda *a, **k: traced.append(1) or original(*a, **k))

    for seed in range(3):
        export_member(make_network("mlp8x1", 8, seed), (1, 8, 8), architecture="traced once")
    export_member(make_network("mlp8x1", 8, 0), (1, 8, 8))

    assert len(traced) == 2


def test_templates_do_not_pile_up(make_network, monkeypatch):
    monkeypatch.setattr(onnx_export, "_templates", {})
    monkeypatch.setattr(onnx_export, "_MAX_TEMPLATES", 1)

    for number in range(2):
        export_member(make_network("mlp8x1", 8, 0), (1, 8, 8), architecture=number)

    assert len(onnx_export._templates) == 1


def test_export_is_quiet_and_leaves_no_trace(make_network, capfd):
    model = make_network("mlp8x1", 8, 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    levels = [logging.getLogger(name).level for name in ("torch", "onnxscript", "onnx_ir")]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exported = export_member(model, (1, 8, 8))

    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    assert [logging.getLogger(name).level for name in ("torch", "onnxscript", "onnx_ir")] == levels
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert b".py" not in exported.SerializeToString()  # no source lines of the machine that built it


def test_exporting_twice_gives_the_same_bytes(make_network):
    model = make_network("mlp8x1", 8, 0)

    first, second = (export_member(model, (1, 8, 8)).SerializeToString(deterministic=True) for _ in range(2))

    assert first == second


def test_numbers_of_another_shape_are_refused(make_network):
    export_member(make_network("mlp8x1", 8, 0), (1, 8, 8), architecture="shape")

    with pytest.raises(UsageError, match=r"has shape \[9, 64\], its architecture has \[8, 64\]"):
        export_member(make_network("mlp9x1", 8, 0), (1, 8, 8), architecture="shape")


def test_a_network_that_branches_on_its_data_is_refused():
    class Branching(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            flat = images.flatten(1)
            return flat if flat.sum() > 0 else -flat

    with pytest.raises(UsageError, match=r"Branching cannot be written as ONNX: .+"):
        export_member(Branching(), (1, 2, 2))


def test_bridged_networks_export_too():
    torch.manual_seed(0)
    model = build_classifier("timm:test_vit", channels=3, classes=5, native=32, resolution=160).eval()
    images = torch.rand(3, 3, 32, 32)

    exported = export_member(model, (3, 32, 32))

    with torch.no_grad():
        np.testing.assert_allclose(logits_of(exported, images), model(images).numpy(), atol=1e-4)
