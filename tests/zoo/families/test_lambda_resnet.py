"""LambdaResNet against the paper's ablation, an independent implementation, and the layer's definition."""

import pytest
import torch

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo import ZooError
from zoo.families.lambda_resnet import NAMES, PUBLISHED, VARIANTS, LambdaLayer, LambdaResNetConfig

TINY = "lambdaresnet-depths1+1+1+1-lambdas0+0+1+1-keys4-scope3-gates0.25-deep_stem1-pixels64"


@pytest.mark.parametrize(
    "row", [r for r in PUBLISHED if r.parameters and not r.departs], ids=lambda r: r.model
)
def test_published_rows_are_met(row) -> None:
    assert departures(row) == {}


def test_three_rows_of_the_ablation_are_not_reached() -> None:
    """The repository that cites them counts 15.0, 14.5 and 14.9 million itself."""
    found = [(counted(r.model, 224)[0], departures(r).keys()) for r in PUBLISHED if r.departs]
    assert found == [
        (15_031_272, {"parameters"}),
        (14_483_352, {"parameters"}),
        (14_904_320, {"parameters"}),
    ]


def test_parameters_of_a_layer_in_closed_form() -> None:
    channels, keys, heads, intra, scope = 64, 5, 4, 3, 7
    layer = LambdaLayer(channels, keys=keys, heads=heads, intra=intra, scope=scope)
    values = channels // heads
    projections = channels * (keys * heads + keys * intra + values * intra)
    norms = 2 * (keys * heads + values * intra)
    position = keys * (intra * scope * scope + 1)
    assert sum(p.numel() for p in layer.parameters()) == projections + norms + position


def test_the_layer_applies_content_and_position_lambdas() -> None:
    """Brute force over pixels: softmax of keys over all pixels, positions over the neighbourhood."""
    torch.manual_seed(0)
    layer = LambdaLayer(8, keys=3, heads=2, intra=2, scope=3).eval()
    images = torch.randn(1, 8, 4, 5)
    with torch.no_grad():
        found = layer(images)
        queries = layer.norm_queries(layer.to_queries(images)).reshape(2, 3, 4, 5)
        keys = layer.to_keys(images).reshape(2, 3, 20).softmax(-1).reshape(2, 3, 4, 5)
        values = layer.norm_values(layer.to_values(images)).reshape(2, 4, 4, 5)
        weight, bias = layer.position.weight[:, :, 0], layer.position.bias
        content = sum(
            torch.outer(keys[u, :, y, x], values[u, :, y, x])
            for u in range(2)
            for y in range(4)
            for x in range(5)
        )
        for y, x in ((0, 0), (2, 3), (3, 4)):
            near = bias[:, None].expand(3, 4).clone()
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    if 0 <= y + dy < 4 and 0 <= x + dx < 5:
                        for u in range(2):
                            near += torch.outer(weight[:, u, dy + 1, dx + 1], values[u, :, y + dy, x + dx])
            wanted = torch.cat([queries[h, :, y, x] @ (content + near) for h in range(2)])
            torch.testing.assert_close(found[0, :, y, x], wanted, rtol=1e-4, atol=1e-5)


def test_bad_knobs_are_refused() -> None:
    with pytest.raises(ZooError, match="scope of LambdaResNet must be odd, got 8"):
        LambdaResNetConfig(scope=8)
    with pytest.raises(ZooError, match="heads of LambdaResNet must divide 64, 128, 256, 512, got 3"):
        LambdaResNetConfig(heads=3)
    with pytest.raises(ZooError, match="lambdas of a stage of LambdaResNet must be an integer from 0 to 1"):
        LambdaResNetConfig(lambdas=(0, 0, 2, 1))
    with pytest.raises(ZooError, match="at least 32 pixels a side, got 8"):
        zoo.build("lambdaresnet-50", resolution=8)


@pytest.mark.parametrize("name", [*VARIANTS, TINY, "lambdaresnet-keys8-heads2-intra4-scope7"])
def test_names_read_back(name) -> None:
    assert NAMES.format(NAMES.parse(name)) == name


def test_it_trains_answers_the_same_and_exports() -> None:
    check_trains(TINY, 64)
    check_deterministic(TINY, 64)
    check_exports(TINY, 64)
