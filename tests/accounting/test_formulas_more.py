"""Fourier transforms, sorting, antialiased resizing, bilinear forms: against what really runs."""

from math import ceil, log2

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.accounting.formulas import Work, find_formula


def work(record) -> Work:
    return find_formula(record.op)(record)


# ---- Fourier transforms ---------------------------------------------------------------------------


def radix_two(n: int) -> int:
    """Real operations of the radix-2 recursion: n / 2 butterflies of a complex product and two sums."""
    return 2 * radix_two(n // 2) + n // 2 * (6 + 2 + 2) if n > 1 else 0


@pytest.mark.parametrize("power", range(8))
def test_complex_transforms_of_a_power_of_two(op, power: int) -> None:
    n = 2**power
    record = op("_fft_c2c", [(3, n)], [(3, n)], dim=(1,))

    assert work(record) == Work(elementwise_ops=3 * radix_two(n))


@pytest.mark.parametrize("name", ["_fft_r2c", "_fft_c2r"])
def test_real_transforms_take_half(op, name: str) -> None:
    real, half = (3, 5, 8, 16), (3, 5, 8, 9)
    record = op(name, *([[real], [half]] if name == "_fft_r2c" else [[half], [real]]), dim=(2, 3))

    assert work(record) == Work(elementwise_ops=3 * 5 * radix_two(8 * 16) // 2)


@given(st.integers(1, 9), st.integers(1, 60))
def test_transforms_are_linear_in_the_batch(op, batch: int, n: int) -> None:
    one = work(op("_fft_c2c", [(1, n)], [(1, n)], dim=(-1,))).elementwise_ops

    assert one == ceil(5 * n * log2(n))
    assert work(op("_fft_c2c", [(batch, n)], [(batch, n)], dim=(-1,))).elementwise_ops == batch * one


# ---- order ----------------------------------------------------------------------------------------


def test_merge_sort_never_compares_more(op) -> None:
    """The bound counts comparisons of a merge sort written out, on orders drawn at random."""
    torch.manual_seed(0)
    for n in (1, 2, 3, 7, 8, 9, 31, 64, 100):
        bound = work(op("sort", [(3, n)], [(3, n), (3, n)], dim=1)).elementwise_ops // 3
        taken = [0]

        def merge_sort(values: list[float], taken=taken) -> list[float]:
            if len(values) < 2:
                return values
            middle = len(values) // 2
            left, right = merge_sort(values[:middle]), merge_sort(values[middle:])
            merged = []
            while left and right:
                taken[0] += 1
                merged.append((left if left[0] <= right[0] else right).pop(0))
            return merged + left + right

        values = torch.rand(n).tolist()
        assert merge_sort(values) == sorted(values)
        assert taken[0] <= bound <= 2 * taken[0] + n


@pytest.mark.parametrize(("n", "axis", "levels"), [(7, 0, 3), (8, -1, 3), (9, 1, 4), (1, 0, 0)])
def test_sorting_goes_by_the_axis(op, n: int, axis: int, levels: int) -> None:
    shape = (n, 5) if axis == 0 else (5, n)

    assert work(op("sort", [shape], [shape, shape], dim=axis)).elementwise_ops == 5 * n * levels
    assert work(op("argsort", [shape], [shape], dim=axis)).elementwise_ops == 5 * n * levels


@pytest.mark.parametrize(("k", "steps"), [(1, 1), (2, 2), (5, 4), (8, 4)])
def test_the_largest_k(op, k: int, steps: int) -> None:
    assert work(op("topk", [(3, 11)], [(3, k), (3, k)], k=k)).elementwise_ops == 33 * steps


def test_binary_search(op) -> None:
    assert work(op("searchsorted", [(7,), (3, 5)], [(3, 5)])).elementwise_ops == 15 * 3
    assert work(op("bucketize", [(3, 5), (8,)], [(3, 5)])).elementwise_ops == 15 * 4


# ---- resizing -------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 23), st.integers(1, 23), st.sampled_from(["bilinear", "bicubic"]), st.booleans())
def test_antialiased_taps_are_those_that_have_weight(
    op, n: int, m: int, mode: str, align_corners: bool
) -> None:
    """Every input pixel that moves an output pixel is a tap; at a window's edge a tap may weigh 0."""
    line = torch.eye(n, dtype=torch.float64)[:, None, None, :]
    options = {"mode": mode, "antialias": True, "align_corners": align_corners}
    weights = F.interpolate(line, size=(1, m), **options)[:, 0, 0]
    moved = int((weights.abs() > 1e-12).sum()) if n != m else 0

    record = op(
        f"_upsample_{mode}2d_aa", [(1, 1, 1, n)], [(1, 1, 1, m)], align_corners=align_corners, scales_w=None
    )

    assert moved <= work(record).elementwise_ops <= moved + 2 * m


def test_antialiased_resizing_goes_across_then_down(op) -> None:
    def taps(small: tuple, large: tuple) -> int:
        record = op("_upsample_bilinear2d_aa", [(2, 3, *small)], [(2, 3, *large)], align_corners=False)
        return work(record).elementwise_ops

    across, down = taps((1, 20), (1, 7)), taps((14, 1), (5, 1))

    assert taps((14, 20), (5, 7)) == 14 * across + 7 * down
    assert taps((14, 20), (14, 20)) == 0


@pytest.mark.parametrize(("mode", "neighbours"), [(0, 4), (1, 1), (2, 16)])
def test_sampling_at_points(op, mode: int, neighbours: int) -> None:
    shapes = [(2, 3, 5, 7), (2, 11, 13, 2)]
    out = (2, 3, 11, 13)

    forward = op("grid_sampler_2d", shapes, [out], interpolation_mode=mode)
    back = op("grid_sampler_2d_backward", [out, *shapes], shapes, interpolation_mode=mode)

    assert work(forward).elementwise_ops == neighbours * 2 * 3 * 11 * 13
    assert work(back).elementwise_ops == 2 * work(forward).elementwise_ops


# ---- others ---------------------------------------------------------------------------------------


def test_a_bilinear_form_is_two_products(op) -> None:
    # nn.Bilinear: x1 [n, i], weight [o, i, j], x2 [n, j], axes n, o, i, j
    n, o, i, j = 2, 3, 5, 7
    record = op(
        "_trilinear", [(n, i), (o, i, j), (n, j)], [(n, o)],
        expand1=(1, 3), expand2=(0,), expand3=(1, 2), sumdim=(2, 3),
    )  # fmt: skip

    assert work(record) == Work(macs=n * o * i * j + n * o * j)


def test_outer_products(op) -> None:
    assert work(op("outer", [(3,), (5,)], [(3, 5)])) == Work(macs=15)
    assert work(op("addr", [(3, 5), (3,), (5,)], [(3, 5)])) == Work(macs=15, elementwise_ops=15)


@pytest.mark.parametrize("name", ["index_add", "scatter_add", "scatter_reduce"])
def test_scattered_sums_count_what_is_added(op, name: str) -> None:
    assert work(op(name, [(11, 5), (3,), (3, 5)], [(11, 5)])) == Work(elementwise_ops=15)


def test_index_put_counts_only_where_it_adds(op) -> None:
    shapes = [(11, 5), (3,), (3, 5)]

    assert work(op("index_put_", shapes, [(11, 5)], accumulate=True)) == Work(elementwise_ops=15)
    assert work(op("index_put_", shapes, [(11, 5)], accumulate=False)) == Work()


def test_folding_adds_every_patch(op) -> None:
    assert work(op("col2im", [(2, 3 * 9, 25)], [(2, 3, 7, 7)])).elementwise_ops == 2 * 27 * 25
    assert work(op("im2col", [(2, 3, 7, 7)], [(2, 27, 25)])) == Work()


def test_distances_of_all_pairs(op) -> None:
    assert work(op("_cdist_forward", [(2, 3, 7), (2, 5, 7)], [(2, 3, 5)])).elementwise_ops == 3 * 2 * 15 * 7
