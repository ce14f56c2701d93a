"""Every formula against arithmetic written out by hand, with distinct primes so a swapped term shows."""

import pytest

from explorer.accounting.formulas import (
    Work,
    backward,
    contraction,
    find_formula,
    formula,
    movement,
    normalisation,
    ordering,
    pointwise,
    recurrent,
    reduction,
    registered,
    sampling,
)


def work(record) -> Work:
    return find_formula(record.op)(record)


# ---- the registry -------------------------------------------------------------------------------


def test_a_second_registration_raises_and_leaves_the_first() -> None:
    before = find_formula("addmm")

    with pytest.raises(ValueError, match=r"'addmm' already has the formula product_and_add"):
        formula("addmm")(lambda op: Work())

    assert find_formula("addmm") is before


def test_an_unknown_operator_has_no_formula() -> None:
    assert find_formula("stft") is None
    assert find_formula("mylib::add") is None


def test_an_in_place_operator_has_the_formula_of_its_twin() -> None:
    assert find_formula("relu_") is find_formula("relu")
    assert find_formula("nonsense_") is None


@pytest.mark.parametrize("name", ["_", "__", "__and__", "relu__"])
def test_odd_names_are_not_taken_for_in_place_operators(name: str) -> None:
    assert find_formula(name) is None


def test_the_registry_cannot_be_changed_from_outside() -> None:
    with pytest.raises(TypeError):
        registered()["add"] = None


def test_all_families_are_registered_and_no_operator_is_in_two() -> None:
    families = {contraction, movement, normalisation, pointwise, reduction}
    families |= {backward, ordering, recurrent, sampling}
    modules = {f.__module__ for f in registered().values()}

    assert modules == {m.__name__ for m in families}


# ---- contraction --------------------------------------------------------------------------------


def test_convolution_by_hand(op) -> None:
    # 2 examples, 3 -> 5 channels, 7 x 11 window, 13 x 17 outputs
    record = op("convolution", [(2, 3, 19, 27), (5, 3, 7, 11)], [(2, 5, 13, 17)], transposed=False)

    assert work(record) == Work(macs=2 * 5 * 13 * 17 * 3 * 7 * 11)


def test_convolution_bias_is_elementwise(op) -> None:
    record = op("convolution", [(2, 3, 19, 27), (5, 3, 7, 11), (5,)], [(2, 5, 13, 17)], transposed=False)

    assert work(record).elementwise_ops == 2 * 5 * 13 * 17
    assert work(record).macs == 2 * 5 * 13 * 17 * 3 * 7 * 11


def test_depthwise_convolution_reads_one_channel(op) -> None:
    record = op("convolution", [(2, 7, 13, 13), (7, 1, 3, 5)], [(2, 7, 11, 9)], transposed=False, groups=7)

    assert work(record).macs == 2 * 7 * 11 * 9 * 3 * 5


def test_transposed_convolution_scatters_its_inputs(op) -> None:
    record = op("convolution", [(2, 3, 5, 7), (3, 11, 4, 4)], [(2, 11, 10, 14)], transposed=True)

    assert work(record).macs == 2 * 3 * 5 * 7 * 11 * 4 * 4
    assert work(op("conv_transpose2d", [(2, 3, 5, 7), (3, 11, 4, 4)], [(2, 11, 10, 14)])) == work(record)


@pytest.mark.parametrize(
    ("name", "inputs", "output", "macs"),
    [
        ("mm", [(3, 5), (5, 7)], (3, 7), 3 * 5 * 7),
        ("bmm", [(2, 3, 5), (2, 5, 7)], (2, 3, 7), 2 * 3 * 5 * 7),
        ("mv", [(3, 5), (5,)], (3,), 3 * 5),
        ("dot", [(5,), (5,)], (), 5),
        ("matmul", [(2, 3, 5), (5, 7)], (2, 3, 7), 2 * 3 * 5 * 7),
        ("linear", [(2, 3, 5), (7, 5)], (2, 3, 7), 2 * 3 * 5 * 7),
    ],
)
def test_products_by_hand(op, name: str, inputs: list, output: tuple, macs: int) -> None:
    assert work(op(name, inputs, [output])) == Work(macs=macs)


@pytest.mark.parametrize(
    ("name", "inputs", "output", "macs"),
    [
        ("addmm", [(7,), (3, 5), (5, 7)], (3, 7), 3 * 5 * 7),
        ("baddbmm", [(2, 3, 7), (2, 3, 5), (2, 5, 7)], (2, 3, 7), 2 * 3 * 5 * 7),
        ("addmv", [(3,), (3, 5), (5,)], (3,), 3 * 5),
        ("addbmm", [(3, 7), (2, 3, 5), (2, 5, 7)], (3, 7), 2 * 3 * 5 * 7),
    ],
)
def test_products_with_an_addend_by_hand(op, name: str, inputs: list, output: tuple, macs: int) -> None:
    n = 1
    for side in output:
        n *= side

    assert work(op(name, inputs, [output], beta=1)) == Work(macs=macs, elementwise_ops=n)


def test_an_addend_times_zero_is_no_work(op) -> None:
    record = op("baddbmm", [(2, 3, 7), (2, 3, 5), (2, 5, 7)], [(2, 3, 7)], beta=0)

    assert work(record) == Work(macs=2 * 3 * 5 * 7)


FUSED = [name for name in registered() if "dot_product" in name and not name.endswith("_backward")]


@pytest.mark.parametrize("name", FUSED)
def test_every_fused_attention_by_hand(op, name: str) -> None:
    # 2 examples, 3 heads, 5 queries, 7 keys of width 11, values of width 13
    record = op(name, [(2, 3, 5, 11), (2, 3, 7, 11), (2, 3, 7, 13)], [(2, 3, 5, 13)])

    assert work(record) == Work(macs=2 * 3 * 5 * 7 * (11 + 13), elementwise_ops=4 * 2 * 3 * 5 * 7)


def test_an_attention_mask_is_one_addition_a_score(op) -> None:
    shapes = [(2, 3, 5, 11), (2, 3, 7, 11), (2, 3, 7, 13), (5, 7)]

    assert work(op("scaled_dot_product_attention", shapes, [(2, 3, 5, 13)])).elementwise_ops == 5 * 2 * 3 * 35


def test_grouped_keys_count_for_every_query_head(op) -> None:
    shapes = [(2, 6, 5, 11), (2, 3, 7, 11), (2, 3, 7, 13)]

    assert work(op("scaled_dot_product_attention", shapes, [(2, 6, 5, 13)])).macs == 2 * 6 * 5 * 7 * (11 + 13)


def test_one_query_shared_by_a_batch_counts_for_each(op) -> None:
    shapes = [(1, 3, 5, 11), (2, 3, 7, 11), (2, 3, 7, 13)]

    assert work(op("scaled_dot_product_attention", shapes, [(2, 3, 5, 13)])).macs == 2 * 3 * 5 * 7 * (11 + 13)


# ---- elementwise ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", pointwise.ONE_STEP)
def test_one_step_an_output_element(op, name: str) -> None:
    # the second input is broadcast: outputs count, not inputs
    assert work(op(name, [(3, 5, 7), (7,)], [(3, 5, 7)])) == Work(elementwise_ops=3 * 5 * 7)


@pytest.mark.parametrize(("name", "steps"), [*pointwise.STEPS.items()])
def test_several_steps_an_output_element(op, name: str, steps: int) -> None:
    assert work(op(name, [(3, 5)] * 3, [(3, 5)])) == Work(elementwise_ops=steps * 15)


@pytest.mark.parametrize(
    ("name", "inputs", "attributes", "steps"),
    [
        ("native_batch_norm", [(2, 3, 5, 7), (3,), (3,), (3,), (3,)], {"training": False}, 2),
        ("native_batch_norm", [(2, 3, 5, 7), (3,), (3,)], {"training": True}, 6),
        ("_native_batch_norm_legit_no_training", [(2, 3, 5, 7), (3,), (3,), (3,), (3,)], {}, 2),
        ("native_layer_norm", [(2, 3, 5, 7), (7,), (7,)], {}, 6),
        ("native_layer_norm", [(2, 3, 5, 7)], {}, 4),
        ("native_group_norm", [(2, 3, 5, 7), (3,), (3,)], {}, 6),
        ("_fused_rms_norm", [(2, 3, 5, 7), (7,)], {}, 3),
        ("_fused_rms_norm", [(2, 3, 5, 7)], {}, 2),
        ("_softmax", [(2, 3, 5, 7)], {}, 3),
        ("_log_softmax", [(2, 3, 5, 7)], {}, 3),
    ],
)
def test_norms_and_softmax_an_element(op, name: str, inputs: list, attributes: dict, steps: int) -> None:
    record = op(name, inputs, [(2, 3, 5, 7), (3,), (3,)], **attributes)

    assert work(record) == Work(elementwise_ops=steps * 2 * 3 * 5 * 7)


@pytest.mark.parametrize(
    ("name", "steps"),
    [("mean", 1), ("sum", 1), ("amax", 1), ("linalg_vector_norm", 2), ("var", 3), ("var_mean", 3)],
)
def test_reductions_touch_every_input(op, name: str, steps: int) -> None:
    assert work(op(name, [(2, 3, 5)], [(2,)])) == Work(elementwise_ops=steps * 2 * 3 * 5)


def test_maximum_of_two_tensors_counts_its_outputs(op) -> None:
    assert work(op("max", [(3, 5), (5,)], [(3, 5)])) == Work(elementwise_ops=15)


@pytest.mark.parametrize(
    ("name", "kernel", "window"),
    [
        ("max_pool2d_with_indices", (3, 2), 6),
        ("max_pool2d_with_indices", (3,), 9),
        ("avg_pool2d", (3, 2), 6),
        ("avg_pool3d", (2,), 8),
        ("avg_pool1d", (5,), 5),
    ],
)
def test_pooling_counts_its_windows(op, name: str, kernel: tuple, window: int) -> None:
    assert work(op(name, [(2, 3, 11, 11)], [(2, 3, 5, 7)], kernel_size=kernel)) == Work(
        elementwise_ops=2 * 3 * 5 * 7 * window
    )


@pytest.mark.parametrize(("n", "m"), [(7, 1), (7, 7), (12, 4), (7, 3), (5, 2), (3, 5), (13, 8)])
def test_adaptive_pooling_counts_its_windows(op, n: int, m: int) -> None:
    """Windows listed one by one, as the operator's reference defines them."""
    windows = [range(i * n // m, -(-((i + 1) * n) // m)) for i in range(m)]
    one_axis = sum(len(window) for window in windows)

    record = op("_adaptive_avg_pool2d", [(2, 3, n, 11)], [(2, 3, m, 1)])

    assert work(record).elementwise_ops == 2 * 3 * one_axis * 11


@pytest.mark.parametrize(("name", "taps"), [("upsample_bilinear2d", 4), ("upsample_bicubic2d", 16)])
def test_interpolation_weighs_neighbours(op, name: str, taps: int) -> None:
    assert work(op(name, [(2, 3, 5, 5)], [(2, 3, 7, 11)])) == Work(elementwise_ops=taps * 2 * 3 * 7 * 11)


@pytest.mark.parametrize(
    "name", [*movement.VIEWS, *movement.COPIES, *movement.LOOKUPS, *movement.ALLOCATIONS]
)
def test_movement_is_counted_as_nothing(op, name: str) -> None:
    assert work(op(name, [(3, 5)], [(5, 3)])) == Work()
