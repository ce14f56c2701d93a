"""The networks that only claims speak of: published counts, shapes, and that they run."""

import pytest
import torch

from explorer.errors import UsageError
from explorer.run.claims.blocks import BLOCKS, ArchCraft, NestedU, U2Net
from explorer.run.claims.counted import Counts, buildable
from explorer.run.claims.steps import TrainingStep
from explorer.run.claims.transformers import Decoder, MultiHead2d


@pytest.mark.parametrize(
    ("name", "side", "parameters"),
    [
        ("u2net", 64, 44_009_869),  # xuebinqin/U-2-Net: 176.3 MB with norms' statistics
        ("u2netp", 64, 1_131_181),
        ("vdsr", 16, 9 * 64 * (1 + 18 * 64 + 1)),
        ("xlsr", 16, 21_947),
        ("alexac-a", 32, 6_277_100),  # byyx666/ArchCraft: about 6.28 M
        ("resac-a", 32, 8_675_092),  # about 8.63 M without the classifier
        ("mqa-512", 12, 2 * 512 * 512 + 2 * 512 * 64),
        ("mha-512", 12, 4 * 512 * 512),
    ],
)
def test_parameters(name: str, side: int, parameters: int) -> None:
    with Counts() as counts:
        assert counts.cost(f"block:{name}@{side}").parameters == parameters


def test_every_block_is_built_with_the_channels_it_says() -> None:
    sides = {"faster-rcnn-region": 14, "decoder": 1, "decoder-half-attention": 1}
    for name in BLOCKS.keys() - {name for name in BLOCKS if "step" in name}:
        side = sides.get(name, 32)
        subject = buildable(f"block:{name}@{side}")
        with torch.device("meta"):
            assert len(subject.network(torch.empty(subject.input_shape()))) == 1


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown block 'u2nett'; did you mean u2net"):
        buildable("block:u2nett@32")
    with pytest.raises(UsageError, match="needs a resolution"):
        buildable("block:u2net")


def test_a_u_of_us_keeps_the_size() -> None:
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        for block in (NestedU(5, 3, 4, 6), NestedU(4, 3, 4, 6, flat=True)):
            assert block.eval()(images).shape == (2, 6, 64, 64)
        small = U2Net((4,) * 6, (8,) * 6, (4,) * 5, (8,) * 5).eval()
        saliency = small(images)
    assert saliency.shape == (2, 1, 64, 64)
    assert 0 <= saliency.min() <= saliency.max() <= 1


def test_crafted_networks_answer_every_task() -> None:
    with torch.no_grad():
        images = torch.rand(2, 3, 32, 32)
        assert ArchCraft(2, 4, (0, 1), (1,), 3, 5).eval()(images).shape == (2, 3, 5)
        assert ArchCraft(2, 4, (0, 1), (1,), 1, 7).eval()(images).shape == (2, 1, 7)


def test_attention_is_that_of_torch() -> None:
    ours = MultiHead2d(8, 2, 4).eval()
    theirs = torch.nn.MultiheadAttention(8, 2, bias=False, batch_first=True).eval()
    with torch.no_grad():
        assert theirs.in_proj_weight is not None
        theirs.in_proj_weight.copy_(ours.inside.weight[:, :, 0, 0])
        theirs.out_proj.weight.copy_(ours.outside.weight[:, :, 0, 0])
        images = torch.rand(1, 8, 3, 3)
        rows = images.flatten(2).transpose(1, 2)
        wanted, _weights = theirs(rows, rows, rows)
        torch.testing.assert_close(ours(images).flatten(2).transpose(1, 2), wanted)


def test_a_token_passes_all_layers() -> None:
    with torch.no_grad():
        assert Decoder(2, attending=1)(torch.rand(3, 1024, 1, 1)).shape == (3, 1024)
    with Counts() as counts:
        whole, half = (counts.cost(f"block:{name}@1") for name in ("decoder", "decoder-half-attention"))
    features, inside, key = 1024, 3584, 128
    # queries and output, shared keys and values, products with 2,049 tokens; norms are no matrix products
    attention = 2 * features**2 + 2 * features * key + 2 * 2049 * features
    assert whole.macs == 8 * (attention + 3 * features * inside)
    assert whole.macs - half.macs == 4 * attention


def tiny() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))


@pytest.mark.parametrize("attack", ["", "full", "inputs"])
def test_a_training_step_leaves_gradients(attack: str) -> None:
    torch.manual_seed(0)
    step = TrainingStep(tiny, attack)
    with torch.inference_mode():
        images = torch.rand(4, 3, 2, 2)
        loss = step(images)
    gradients = [parameter.grad for parameter in step.network.parameters()]
    assert loss.shape == (1,)
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)
    plain = TrainingStep(lambda: step.network)(images)
    assert loss == plain if not attack else loss > plain
