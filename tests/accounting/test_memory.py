"""The activation peak against pencil and paper, and against a brute force over random traces."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.accounting.memory import (
    activation_peak_bytes,
    eager_live_bytes,
    eager_peak_bytes,
    lifetimes,
    live_bytes,
)
from explorer.errors import UsageError
from explorer.record import OpRecord, TensorRecord, Trace


def call(inputs: list[TensorRecord], outputs: list[TensorRecord]) -> OpRecord:
    return OpRecord(op="any", module="", inputs=tuple(inputs), outputs=tuple(outputs))


def trace(*ops: OpRecord, results: tuple[int, ...] = ()) -> Trace:
    return Trace(
        ops=ops, input_shape=(1,), parameters=0, param_bytes=0, buffer_bytes=0, result_storages=results
    )


def test_a_chain_holds_two_neighbours(tensor) -> None:
    x = tensor(0, 100, persistent=True)
    a, b, c = tensor(1, 3), tensor(2, 5), tensor(3, 7)

    ops = trace(call([x], [a]), call([a], [b]), call([b], [c]), results=(3,))

    assert live_bytes(ops) == (4 * 3, 4 * (3 + 5), 4 * (5 + 7))
    assert activation_peak_bytes(ops) == 48


def test_a_residual_is_held_across_its_branch(tensor) -> None:
    x = tensor(0, 1, persistent=True)
    stem, branch, wide, out = tensor(1, 3), tensor(2, 5), tensor(3, 7), tensor(4, 3)

    ops = trace(
        call([x], [stem]),
        call([stem], [branch]),
        call([branch], [wide]),
        call([wide, stem], [out]),
        results=(4,),
    )

    assert live_bytes(ops) == (12, 4 * (3 + 5), 4 * (3 + 5 + 7), 4 * (3 + 7 + 3))


def test_in_place_work_allocates_nothing(tensor) -> None:
    a = tensor(1, 3)

    assert live_bytes(trace(call([], [a]), call([a], [a]), call([a], [a]))) == (12, 12, 12)


def test_a_view_keeps_its_whole_storage(tensor) -> None:
    whole, corner = tensor(1, 10), tensor(1, 2, storage_bytes=40)
    other, out = tensor(2, 7), tensor(3, 1)

    ops = trace(call([], [whole]), call([whole], [corner]), call([], [other]), call([corner, other], [out]))

    assert live_bytes(ops) == (40, 40, 40 + 28, 40 + 28 + 4)


def test_parameters_and_input_are_left_out(tensor) -> None:
    x, weight, out = tensor(0, 1000, persistent=True), tensor(1, 1000, persistent=True), tensor(2, 3)

    assert activation_peak_bytes(trace(call([x, weight], [out]))) == 12


def test_writing_into_the_input_is_no_activation(tensor) -> None:
    x = tensor(0, 1000, persistent=True)

    assert activation_peak_bytes(trace(call([x], [x]))) == 0


def test_a_by_product_that_nothing_reads_is_left_out(tensor) -> None:
    pooled, indices, out = tensor(1, 3), tensor(2, 11), tensor(3, 5)
    ops = (call([], [pooled, indices]), call([pooled], [out]))

    assert live_bytes(trace(*ops)) == (4 * 3, 4 * 8)
    assert live_bytes(trace(*ops, results=(2, 3))) == (4 * 14, 4 * 19)
    assert live_bytes(trace(*ops, call([indices], [out]))) == (4 * 14, 4 * 19, 4 * 16)


def test_a_result_that_nothing_reads_lives_for_its_operator(tensor) -> None:
    unused, out = tensor(1, 11), tensor(2, 5)

    assert live_bytes(trace(call([], [unused]), call([], [out]))) == (44, 20)


def test_results_live_to_the_end(tensor) -> None:
    """A feature pyramid returns early tensors: they are never read again and still held."""
    early, late, last = tensor(1, 3), tensor(2, 5), tensor(3, 7)
    ops = (call([], [early]), call([], [late]), call([late], [last]))

    assert live_bytes(trace(*ops)) == (12, 20, 48)
    assert live_bytes(trace(*ops, results=(1, 3))) == (12, 12 + 20, 12 + 48)


def test_a_storage_that_grows_counts_at_its_largest(tensor) -> None:
    ops = trace(call([], [tensor(1, 3)]), call([tensor(1, 3)], [tensor(1, 9)]))

    assert [life.storage_bytes for life in lifetimes(ops)] == [36]


def test_nothing_runs_in_no_memory() -> None:
    assert activation_peak_bytes(trace()) == 0


SIZES = (2, 3, 5, 7, 11, 13, 17)  # distinct primes: no two sets of storages weigh the same by chance
NUMBERS = st.lists(st.integers(0, len(SIZES) - 1), max_size=3)


@given(
    steps=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=10),
    persistent=st.sets(st.integers(0, len(SIZES) - 1)),
    results=st.sets(st.integers(0, len(SIZES) - 1)),
)
def test_equals_brute_force(tensor, steps: list, persistent: set[int], results: set[int]) -> None:
    def make(number: int) -> TensorRecord:
        return tensor(number, SIZES[number], persistent=number in persistent)

    ops = [call([*map(make, reads)], [*map(make, writes)]) for reads, writes in steps]
    touched = [{*reads, *writes} for reads, writes in steps]

    def live(now: int, number: int) -> bool:
        before = any(number in step for step in touched[: now + 1])
        after = any(number in step for step in touched[now:]) or number in results
        leads = any(number in reads or number in writes[:1] for reads, writes in steps)
        return before and after and number not in persistent and (leads or number in results)

    expected = [
        sum(4 * size for number, size in enumerate(SIZES) if live(now, number)) for now in range(len(steps))
    ]

    assert list(live_bytes(trace(*ops, results=tuple(results)))) == expected
    assert activation_peak_bytes(trace(*ops, results=tuple(results))) == max(expected, default=0)


def watched(*ops: OpRecord, freed: dict[int, int], results: tuple[int, ...] = ()) -> Trace:
    return replace(trace(*ops, results=results), freed=freed)


def test_eager_mode_holds_what_the_caller_still_names(tensor) -> None:
    """As ``x = stem(image); x = body(x)``: x is the caller's until body returns."""
    image = tensor(0, 100, persistent=True)
    x, a, b = tensor(1, 3), tensor(2, 5), tensor(3, 7)
    ops = (call([image], [x]), call([x], [a]), call([a], [b]))

    assert eager_live_bytes(watched(*ops, freed={1: 3, 2: 3}, results=(3,))) == (12, 12 + 20, 12 + 20 + 28)
    assert activation_peak_bytes(trace(*ops, results=(3,))) == 20 + 28


def test_eager_mode_holds_by_products(tensor) -> None:
    pooled, indices, out = tensor(1, 3), tensor(2, 11), tensor(3, 5)
    ops = (call([], [pooled, indices]), call([pooled], [out]))

    assert eager_live_bytes(watched(*ops, freed={1: 2, 2: 1}, results=(3,))) == (4 * 14, 4 * 8)


def test_a_cache_that_the_model_keeps_is_not_a_second_pass_allocation(tensor) -> None:
    cache, out = tensor(1, 1000), tensor(2, 3)

    assert eager_peak_bytes(watched(call([], [cache]), call([cache], [out]), freed={}, results=(2,))) == 12


def test_a_linear_layer_adds_its_bias_in_place(tensor) -> None:
    bias = tensor(0, 7, persistent=True)
    product, summed = tensor(1, 5, 7), tensor(2, 5, 7)
    ops = (
        replace(call([], [product]), op="mm"),
        replace(call([product], [product]), op="_unsafe_view"),
        replace(call([product, bias], [summed]), op="add"),
    )

    assert eager_live_bytes(watched(*ops, freed={1: 3}, results=(2,))) == (140, 140, 140)


def test_any_other_addition_is_out_of_place(tensor) -> None:
    other = tensor(0, 5, 7, persistent=True)
    product, summed = tensor(1, 5, 7), tensor(2, 5, 7)
    ops = (replace(call([], [product]), op="mm"), replace(call([product, other], [summed]), op="add"))

    assert eager_live_bytes(watched(*ops, freed={1: 2}, results=(2,))) == (140, 280)


def test_what_was_not_watched_has_no_eager_peak() -> None:
    with pytest.raises(UsageError, match="no lifetimes of storages"):
        eager_peak_bytes(trace())


@given(
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=8),
    held=st.lists(st.integers(0, 9), min_size=8, max_size=8),
)
def test_eager_is_never_below_ideal(tensor, sizes: list[int], held: list[int]) -> None:
    """A chain whose tensors are let go any time after their last use."""
    ops = [call([tensor(i, sizes[i - 1])] if i else [], [tensor(i + 1, n)]) for i, n in enumerate(sizes)]
    last = len(sizes)
    freed = {i + 1: min(i + 2 + held[i], last) for i in range(last - 1)}

    assert eager_peak_bytes(watched(*ops, freed=freed, results=(last,))) >= activation_peak_bytes(
        trace(*ops, results=(last,))
    )
