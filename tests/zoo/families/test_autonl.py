"""AutoNL and its non-local blocks: published costs, both orders of multiplication, the plain block."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from explorer.accounting import count
from explorer.measure.trace import build_on_meta, trace_model
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo import ZooError
from zoo.families import autonl
from zoo.families.autonl import NAMES, PUBLISHED, AutoNLConfig, nonlocal_block
from zoo.families.autonl_blocks import light_product_macs

TINY = "autonl-width0.25"


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda r: r.model)
def test_published_rows_are_met(row) -> None:
    assert departures(row) == {}


def test_both_networks_have_these_costs() -> None:
    assert counted("autonl-s", 224) == (4_389_350, 266_242_176)
    assert counted("autonl-l", 224) == (5_580_336, 352_108_448)


def _block_macs(channels: int, side: int, **knobs) -> int:
    model, _note = build_on_meta(lambda: nonlocal_block(channels, **knobs))
    return count(trace_model(model, (1, channels, side, side))).macs


@pytest.mark.parametrize(
    ("channels", "side", "share", "stride"), [(24, 14, 0.25, 1), (40, 4, 0.5, 2), (64, 3, 1.0, 1)]
)
def test_the_light_blocks_cost_is_the_cheaper_order_and_the_depthwise_filter(
    channels, side, share, stride
) -> None:
    kept = (-(-side // stride)) ** 2
    products = light_product_macs(side**2, kept, channels, int(share * channels))
    wanted = min(products) + 9 * channels * side**2
    assert _block_macs(channels, side, share=share, stride=stride) == wanted


def test_the_plain_blocks_cost_in_closed_form() -> None:
    channels, side = 26, 7
    pixels, inside = side**2, channels // 2
    wanted = 4 * pixels * channels * inside + 2 * pixels**2 * inside
    assert _block_macs(channels, side, kind="plain") == wanted


def test_how_much_cheaper_the_light_block_is_depends_on_the_features() -> None:
    """The paper says 400 times; that needs many pixels and few channels."""
    ratios = {
        (channels, side): _block_macs(channels, side, kind="plain") / _block_macs(channels, side)
        for channels, side in ((32, 112), (24, 56), (80, 14), (512, 14))
    }
    assert ratios == {
        (32, 112): pytest.approx(504.3, abs=0.1),
        (24, 56): pytest.approx(151.6, abs=0.1),
        (80, 14): pytest.approx(7.27, abs=0.01),
        (512, 14): pytest.approx(4.80, abs=0.01),
    }


@pytest.mark.parametrize(("side", "stride"), [(3, 1), (12, 1), (12, 2)])
def test_both_orders_give_the_sum_over_pixels(side, stride) -> None:
    torch.manual_seed(0)
    block = nonlocal_block(8, share=0.5, stride=stride).eval()
    images = torch.randn(2, 8, side, side)
    sparse = images[:, :, ::stride, ::stride].flatten(2)
    queries = images.flatten(2)[:, :4]
    seen = torch.einsum("ncp,nkp,nkq->ncq", sparse, sparse[:, :4], queries) / side**2
    with torch.no_grad():
        wanted = images + block.norm(block.filter(seen.reshape(images.shape)))
        torch.testing.assert_close(block(images), wanted, rtol=1e-4, atol=1e-5)


def test_bad_knobs_are_refused() -> None:
    with pytest.raises(ZooError, match="one of light, plain, got 'gaussian'"):
        nonlocal_block(8, kind="gaussian")
    with pytest.raises(ZooError, match="share of a non-local block must be a number from 0 to 1, got 2"):
        nonlocal_block(8, share=2)
    with pytest.raises(ZooError, match="architecture of AutoNL must be one of s, l, got 'm'"):
        AutoNLConfig(architecture="m")
    with pytest.raises(ZooError, match="nonlocal_kind of AutoNL must be one of light, plain, none"):
        AutoNLConfig(nonlocal_kind="heavy")


@given(st.sampled_from("sl"), st.sampled_from(["light", "plain", "none"]), st.floats(0.1, 10))
def test_names_read_back(architecture, kind, width) -> None:
    config = AutoNLConfig(architecture=architecture, nonlocal_kind=kind, width=width)
    assert NAMES.parse(NAMES.format(config)) == config


@pytest.mark.parametrize("kind", ["light", "plain"])
def test_it_trains_and_answers_the_same(kind) -> None:
    name = f"{TINY}-nonlocal_kind_{kind}"
    check_trains(name, 32, rate=0.01)
    check_deterministic(name, 32)


def test_it_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = autonl.ARCHITECTURES["s"]
    monkeypatch.setattr(
        autonl, "ARCHITECTURES", {"s": (rows[0], rows[4], rows[6])}
    )  # each kind of block once
    check_exports(TINY, 32)
