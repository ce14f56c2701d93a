"""Formulas of backward operators by hand, with distinct primes so a swapped term shows."""

import pytest

from explorer.accounting.formulas import Work, backward, find_formula, registered


def work(record) -> Work:
    return find_formula(record.op)(record)


MASKS = [(a, b, c) for a in (True, False) for b in (True, False) for c in (True, False)]


@pytest.mark.parametrize("mask", MASKS)
def test_convolution_counts_the_gradients_asked_for(op, mask: tuple) -> None:
    # 2 examples, 3 -> 5 channels, 7 x 11 window, 13 x 17 outputs
    shapes = [(2, 5, 13, 17), (2, 3, 19, 27), (5, 3, 7, 11)]
    record = op("convolution_backward", shapes, shapes[1:], transposed=False, output_mask=mask)

    forward = 2 * 5 * 13 * 17 * 3 * 7 * 11
    assert work(record) == Work(macs=(mask[0] + mask[1]) * forward, elementwise_ops=mask[2] * 2 * 5 * 13 * 17)


def test_a_transposed_convolution_goes_by_its_inputs(op) -> None:
    shapes = [(2, 11, 10, 14), (2, 3, 5, 7), (3, 11, 4, 4)]
    record = op("convolution_backward", shapes, [], transposed=True, output_mask=(True, True, False))

    assert work(record) == Work(macs=2 * 2 * 3 * 5 * 7 * 11 * 4 * 4)


@pytest.mark.parametrize("mask", MASKS)
def test_linear_counts_the_gradients_asked_for(op, mask: tuple) -> None:
    record = op("linear_backward", [(2, 3, 5), (2, 3, 7), (7, 5)], [], output_mask=mask)

    assert work(record) == Work(macs=(mask[0] + mask[1]) * 2 * 3 * 5 * 7, elementwise_ops=mask[2] * 2 * 3 * 7)


def test_a_mask_that_does_not_follow_the_schema_is_no_guess(op) -> None:
    record = op("convolution_backward", [(2, 5, 3, 3), (2, 3, 3, 3), (5, 3, 1, 1)], [], output_mask=(True,))

    with pytest.raises(TypeError, match="convolution_backward: wanted an output_mask of 3"):
        work(record)


ATTENTION = [name for name in registered() if "dot_product" in name and name.endswith("_backward")]


@pytest.mark.parametrize("name", ATTENTION)
def test_every_fused_attention_by_hand(op, name: str) -> None:
    # 2 examples, 3 heads, 5 queries, 7 keys of width 11, values of width 13
    q, k, v, out = (2, 3, 5, 11), (2, 3, 7, 11), (2, 3, 7, 13), (2, 3, 5, 13)
    record = op(name, [out, q, k, v, out], [q, k, v], attn_mask=None, attn_bias=None)

    scores = 2 * 3 * 5 * 7
    assert work(record) == Work(
        macs=scores * (11 + 13 + 13 + 11 + 11), elementwise_ops=5 * scores + 2 * 2 * 3 * 5 * 13
    )


def test_a_mask_is_added_to_the_scores_once_more(op) -> None:
    q, k, out = (2, 3, 5, 11), (2, 3, 7, 11), (2, 3, 5, 11)
    record = op("scaled_dot_product_attention_backward", [out, q, k, k, out, (5, 7)], [q, k, k])

    assert work(record).elementwise_ops == 6 * 2 * 3 * 5 * 7 + 2 * 2 * 3 * 5 * 11


@pytest.mark.parametrize("name", [*backward.MASKED, *backward.DERIVED])
def test_activation_functions(op, name: str) -> None:
    # glu halves its axis: the gradient that leaves is twice that which arrives
    record = op(name, [(3, 5), (3, 10)], [(3, 10)])

    assert work(record) == Work(elementwise_ops=(1 if name in backward.MASKED else 2) * 30)


@pytest.mark.parametrize("name", backward.ADDING)
def test_scattered_sums_count_what_arrives(op, name: str) -> None:
    assert work(op(name, [(3, 5), (11,)], [(7, 11)])) == Work(elementwise_ops=15)


@pytest.mark.parametrize("name", backward.PLACING)
def test_placing_computes_nothing(op, name: str) -> None:
    assert work(op(name, [(3, 5)], [(7, 5)])) == Work()


@pytest.mark.parametrize(
    ("name", "attributes", "steps"),
    [
        ("native_batch_norm_backward", {"train": True, "output_mask": (True, True, True)}, 8),
        ("native_batch_norm_backward", {"train": False, "output_mask": (True, True, True)}, 5),
        ("native_batch_norm_backward", {"train": False, "output_mask": (True, False, False)}, 1),
        ("native_layer_norm_backward", {"output_mask": (True, True, True)}, 12),
        ("native_layer_norm_backward", {"output_mask": (True, False, False)}, 9),
        ("native_layer_norm_backward", {"output_mask": (True, False, False), "weight": None}, 8),
        ("native_group_norm_backward", {"output_mask": (True, True, True)}, 12),
        ("_fused_rms_norm_backward", {"output_mask": (True, True)}, 8),
        ("_fused_rms_norm_backward", {"output_mask": (True, False), "weight": None}, 5),
        ("_softmax_backward_data", {}, 4),
        ("_log_softmax_backward_data", {}, 4),
        ("_weight_norm_interface_backward", {}, 5),
    ],
)
def test_norms_and_softmax_an_element(op, name: str, attributes: dict, steps: int) -> None:
    record = op(name, [(2, 3, 5, 7)] * 2, [(2, 3, 5, 7)], **attributes)

    assert work(record) == Work(elementwise_ops=steps * 2 * 3 * 5 * 7)


def test_pooling_spreads_over_its_windows(op) -> None:
    small, large = (2, 3, 5, 7), (2, 3, 15, 14)

    assert work(op("avg_pool2d_backward", [small, large], [large], kernel_size=(3, 2))).elementwise_ops == (
        6 * 2 * 3 * 5 * 7
    )
    forward = work(op("_adaptive_avg_pool2d", [(2, 3, 13, 11)], [small]))
    assert work(op("_adaptive_avg_pool2d_backward", [small, (2, 3, 13, 11)], [(2, 3, 13, 11)])) == forward


@pytest.mark.parametrize(
    "name", ["upsample_bilinear2d", "upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"]
)
def test_interpolation_spreads_over_the_neighbours_it_weighed(op, name: str) -> None:
    small, large = (2, 3, 5, 7), (2, 3, 11, 13)

    forward = work(op(name, [small], [large], align_corners=False))

    assert work(op(f"{name}_backward", [large], [small], align_corners=False)) == forward
    assert forward.elementwise_ops > 0
