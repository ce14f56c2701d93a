"""Bytes moved against pencil and paper, unfused and under the stated fusion rule."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.accounting.traffic import (
    Traffic,
    arithmetic_intensity,
    fused_traffic,
    joins,
    operator_traffic,
    unfused_traffic,
)
from explorer.record import OpRecord, TensorRecord, Trace

F32 = 4


def call(op: str, inputs: list[TensorRecord], outputs: list[TensorRecord], **attributes) -> OpRecord:
    return OpRecord(op=op, module="", inputs=tuple(inputs), outputs=tuple(outputs), attributes=attributes)


def trace(*ops: OpRecord, results: tuple[int, ...] = ()) -> Trace:
    return Trace(
        ops=ops, input_shape=(1,), parameters=0, param_bytes=0, buffer_bytes=0, result_storages=results
    )


@pytest.fixture
def block(tensor):
    """Convolution, norm, in-place ReLU, addition of the input: a residual block in small."""
    x = tensor(0, 2, 3, 5, 7, persistent=True)
    weight = tensor(1, 3, 3, 1, 1, persistent=True)
    scale = [tensor(number, 3, persistent=True) for number in (2, 3, 4, 5)]
    convolved, normed, summed = (tensor(number, 2, 3, 5, 7) for number in (6, 7, 8))
    return (
        call("convolution", [x, weight], [convolved]),
        call("native_batch_norm", [convolved, *scale], [normed, tensor(9, 0), tensor(10, 0)], training=False),
        call("relu_", [normed], [normed]),
        call("add", [normed, x], [summed]),
    )


IMAGE = F32 * 2 * 3 * 5 * 7


def test_unfused_every_operator_reads_and_writes(block) -> None:
    weights = F32 * (9 + 4 * 3)

    assert unfused_traffic(trace(*block, results=(8,))) == Traffic(
        read=IMAGE * (1 + 1 + 1 + 2) + weights, written=4 * IMAGE
    )


def test_fused_a_chain_reads_its_ends(block) -> None:
    weights = F32 * (9 + 4 * 3)
    chain = trace(*block, results=(8,))

    assert joins(chain) == {1: 0, 2: 1, 3: 2}
    assert fused_traffic(chain) == Traffic(read=2 * IMAGE + weights, written=IMAGE)


def test_what_the_caller_gets_is_written(block) -> None:
    chain = trace(*block, results=(6, 8))  # the convolution's own result is returned as well

    assert joins(chain) == {2: 1, 3: 2}
    assert fused_traffic(chain).written == 2 * IMAGE


def test_a_second_reader_ends_the_chain(tensor) -> None:
    a, b, c, d = (tensor(number, 11) for number in range(1, 5))
    ops = (call("relu", [a], [b]), call("exp", [b], [c]), call("mul", [b, c], [d]))

    assert joins(trace(*ops, results=(4,))) == {2: 1}


def test_a_residual_is_read_from_memory_by_the_later_branch(tensor) -> None:
    x, weight = tensor(0, 1, 3, 5, 5, persistent=True), tensor(9, 3, 3, 1, 1, persistent=True)
    short, long, out = (tensor(number, 1, 3, 5, 5) for number in (1, 2, 3))
    ops = (
        call("convolution", [x, weight], [short]),
        call("convolution", [x, weight], [long]),
        call("add", [short, long], [out]),
    )
    whole = F32 * 75

    assert joins(trace(*ops, results=(3,))) == {2: 1}
    assert fused_traffic(trace(*ops, results=(3,))) == Traffic(
        read=2 * (whole + F32 * 9) + whole, written=whole + whole
    )


def test_views_pass_a_chain_on_and_move_nothing(tensor) -> None:
    x, weight, out = tensor(0, 6, 5, persistent=True), tensor(1, 5, 7, persistent=True), tensor(2, 6, 7)
    seen, active = tensor(2, 2, 3, 7), tensor(3, 2, 3, 7)
    ops = (call("mm", [x, weight], [out]), call("view", [out], [seen]), call("gelu", [seen], [active]))

    assert joins(trace(*ops, results=(3,))) == {2: 0}
    assert operator_traffic(ops[1]) == Traffic()
    assert fused_traffic(trace(*ops, results=(3,))) == Traffic(read=F32 * (30 + 35), written=F32 * 42)


@pytest.mark.parametrize(
    ("consumer", "attributes"),
    [("mm", {}), ("_softmax", {}), ("mean", {}), ("cat", {}), ("native_batch_norm", {"training": True})],
)
def test_others_do_not_join(tensor, consumer: str, attributes: dict) -> None:
    a, b, c = tensor(1, 5, 5), tensor(2, 5, 5), tensor(3, 5, 5)

    assert joins(trace(call("relu", [a], [b]), call(consumer, [b, a], [c], **attributes))) == {}


def test_another_number_of_elements_does_not_join(tensor) -> None:
    column, wide, out = tensor(1, 5, 1), tensor(2, 5, 7, persistent=True), tensor(3, 5, 7)
    made = call("sigmoid", [tensor(4, 5, 1)], [column])

    assert joins(trace(made, call("mul", [wide, column], [out]))) == {}


def test_a_part_written_in_place_does_not_stand_for_the_whole(tensor) -> None:
    left, right = tensor(1, 2, 3, storage_bytes=48), tensor(1, 2, 3, storage_bytes=48)

    assert joins(trace(call("relu_", [left], [left]), call("exp_", [right], [right]))) == {}


def test_memory_is_read_once_an_operator(tensor) -> None:
    x, out = tensor(1, 13), tensor(2, 13)

    assert operator_traffic(call("mul", [x, x], [out])) == Traffic(read=F32 * 13, written=F32 * 13)


def test_slices_of_one_storage_are_read_each(tensor) -> None:
    q, k, v = (tensor(1, 2, 5, storage_bytes=F32 * 30) for _ in range(3))
    attention = call("scaled_dot_product_attention", [q, k, v], [tensor(2, 2, 5)])

    assert operator_traffic(attention) == Traffic(read=F32 * 30, written=F32 * 10)


def test_a_broadcast_operand_counts_as_stored(tensor) -> None:
    expanded = tensor(1, 7, 11, storage_bytes=F32 * 11)

    assert operator_traffic(call("exp", [expanded], [tensor(2, 7, 11)])).read == F32 * 11


def test_a_lookup_reads_what_it_takes(tensor) -> None:
    table, places, out = tensor(1, 1009, 5, persistent=True), tensor(2, 7), tensor(3, 7, 5)

    assert operator_traffic(call("embedding", [table, places], [out])) == Traffic(
        read=F32 * (35 + 7), written=F32 * 35
    )


def test_in_place(tensor) -> None:
    a, b = tensor(1, 17), tensor(2, 17)

    assert operator_traffic(call("add_", [a, b], [a])) == Traffic(read=2 * F32 * 17, written=F32 * 17)
    assert operator_traffic(call("copy_", [a, b], [a])) == Traffic(read=F32 * 17, written=F32 * 17)
    assert operator_traffic(call("fill_", [a], [a])) == Traffic(read=0, written=F32 * 17)


def test_reserving_is_free_and_filling_is_not(tensor) -> None:
    assert operator_traffic(call("empty", [], [tensor(1, 19)])) == Traffic()
    assert operator_traffic(call("zeros", [], [tensor(1, 19)])) == Traffic(written=F32 * 19)


@given(m=st.integers(1, 97), k=st.integers(1, 97), n=st.integers(1, 97), itemsize=st.sampled_from([2, 4, 8]))
def test_intensity_of_a_product_is_its_closed_form(op, m: int, k: int, n: int, itemsize: int) -> None:
    record = op("mm", [(m, k), (k, n)], [(m, n)])

    def sized(tensor: TensorRecord) -> TensorRecord:
        amount = tensor.shape[0] * tensor.shape[1] * itemsize
        return replace(tensor, itemsize=itemsize, storage_bytes=amount)

    product = trace(
        replace(record, inputs=tuple(map(sized, record.inputs)), outputs=tuple(map(sized, record.outputs)))
    )
    expected = m * k * n / (itemsize * (m * k + k * n + m * n))

    assert arithmetic_intensity(product) == pytest.approx(expected)
    assert arithmetic_intensity(product, fused=True) == pytest.approx(expected)


def test_nothing_moved_has_no_intensity() -> None:
    assert arithmetic_intensity(trace()) == 0


NAMES = st.sampled_from(["relu", "add", "mm", "native_layer_norm", "view", "cat", "relu_", "copy_"])


@given(
    steps=st.lists(st.tuples(NAMES, st.lists(st.integers(0, 5), min_size=1, max_size=2), st.integers(0, 5))),
    results=st.sets(st.integers(0, 5)),
)
def test_fusion_never_moves_more(tensor, steps: list, results: set[int]) -> None:
    ops = []
    for name, reads, writes in steps:
        target = reads[0] if name in ("view", "relu_", "copy_") else writes
        ops.append(call(name, [tensor(number, 5, 7) for number in reads], [tensor(target, 5, 7)]))
    chain = trace(*ops, results=tuple(results))
    unfused, fused = unfused_traffic(chain), fused_traffic(chain)

    assert fused.read <= unfused.read
    assert fused.written <= unfused.written
    # Each join saves one write and, as operands are whole storages here, one read of it.
    saved = 35 * F32 * len(joins(chain))
    assert unfused.written - fused.written == saved
    assert unfused.read - fused.read == saved
