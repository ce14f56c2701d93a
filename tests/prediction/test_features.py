"""What a kernel moves and how it is described, by hand and for any size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.accounting.kernels import KERNEL, KINDS
from explorer.prediction.features import WORK, describe, work


def test_work_of_one_example_in_a_call(made) -> None:
    conv = made.kernel("conv", macs=700, read=60, written=40, weights=24)

    assert work(conv, 1).tolist() == [[700, 60 + 40 + 24, 1]]
    assert work(conv, 8).tolist() == [[700, 60 + 40 + 3, 1 / 8]]
    assert len(WORK) == 3


def test_work_that_is_done_once_a_call(made) -> None:
    cast = made.kernel("weight_cast", per_example=False, macs=80, read=16, written=8, weights=32)

    assert work(cast, 8).tolist() == [[10, (16 + 8 + 32) / 8, 1 / 8]]


@given(batch=st.integers(1, 4096), seed=st.integers(0, 99))
def test_a_call_moves_its_examples_and_its_weights_once(made, batch, seed) -> None:
    table = made.drawn(np.random.default_rng(seed), ("conv", "elementwise", "weight_work"))
    table["per_example"] = table["kind"] != KINDS.index("weight_work")
    times = np.where(table["per_example"], batch, 1)

    macs, moved, launches = (work(table, batch) * batch).T
    np.testing.assert_allclose(macs, table["macs"] * times)
    np.testing.assert_allclose(moved, (table["read"] + table["written"]) * times + table["weights"])
    np.testing.assert_allclose(launches, 1)


def test_a_description_begins_with_the_kind(made) -> None:
    table = np.concatenate([made.kernel(kind) for kind in KINDS])
    seen = describe(table, 2)

    assert seen.dtype == np.float32
    assert (seen[:, : len(KINDS)] == np.eye(len(KINDS))).all()
    assert (seen[:, len(KINDS) :] == seen[0, len(KINDS) :]).sum(axis=1).min() > 10, "only groups may differ"


sizes = st.floats(0, 1e13)


@given(
    kind=st.sampled_from(KINDS),
    batch=st.integers(1, 4096),
    macs=sizes,
    read=sizes,
    written=sizes,
    weights=sizes,
    steps=sizes,
    rows=sizes,
    columns=sizes,
    depth=sizes,
    item=st.sampled_from([1, 2, 4, 8]),
)
def test_a_description_is_finite_and_of_one_length(made, kind, batch, **fields) -> None:
    table = made.kernel(kind, exponentials=fields["steps"], operands=0, **fields)
    if fields["written"] < 1:
        table["written"] = 0

    seen = describe(table, batch)

    assert seen.shape == describe(made.kernel("conv"), 1).shape
    assert np.isfinite(seen).all()
    assert np.abs(seen).max() < 100


def test_kernels_are_described_each_for_itself(made) -> None:
    table = made.drawn(np.random.default_rng(0), KINDS, 40)

    together = describe(table, 16)
    assert (together == np.concatenate([describe(table[n : n + 1], 16) for n in range(40)])).all()


def test_what_is_once_a_call_looks_the_same_in_any_call(made) -> None:
    cast = made.kernel("weight_cast", per_example=False, read=1e6, written=5e5, weights=3e5, rows=77)

    assert (describe(cast, 1) == describe(cast, 512)).all()


@pytest.mark.parametrize("kind", ["batched_product", "attention"])
def test_more_examples_are_more_products_not_larger_ones(made, kind) -> None:
    one = made.kernel(
        kind, rows=77, columns=64, depth=32, groups=12, macs=1e6, read=1e6, written=1e6, steps=3e5
    )
    eight = one.copy()
    for name in ("groups", "macs", "read", "written", "steps"):
        eight[name] *= 8

    np.testing.assert_allclose(describe(one, 8), describe(eight, 1), atol=1e-4)


def test_more_examples_are_more_rows_of_a_layer(made) -> None:
    one = made.kernel("product", rows=77, columns=64, depth=32, macs=1e6, read=1e6, written=1e6, steps=3e5)
    eight = one.copy()
    for name in ("rows", "macs", "read", "written", "steps"):
        eight[name] *= 8

    np.testing.assert_allclose(describe(one, 8), describe(eight, 1), atol=1e-4)


def test_whole_tiles_waste_nothing_and_one_more_column_a_tile(made) -> None:
    def wasted(**fields) -> np.ndarray:
        fields = {"rows": 256, "columns": 128, "depth": 64, **fields}
        return describe(made.kernel("product", **fields), 1)[0, -7:-4]

    assert (wasted() == 0).all()
    assert wasted(columns=65)[0] == pytest.approx(np.log(128 / 65))
    assert wasted(depth=33)[1] == pytest.approx(np.log(64 / 33))
    assert wasted(rows=1)[2] == pytest.approx(np.log(128))
    plain = describe(made.kernel("elementwise", rows=1, columns=65, depth=33), 1)[0, -7:-4]
    assert (plain == 0).all(), "only products are tiled"


def test_steps_at_the_caches_rise_with_the_bytes(made) -> None:
    sizes = np.array([1e5, 1e7, 3e7, 1e8, 1e9, 1e10])
    seen = describe(np.concatenate([made.kernel("copy", read=size, written=0) for size in sizes]), 1)[:, -4:]

    assert (np.diff(seen, axis=0) >= 0).all()
    assert (seen[0] < 0.01).all()
    assert (seen[-1] > 0.99).all()
    assert describe(made.kernel("copy", read=16e6, written=0), 1)[0, -4] == pytest.approx(0.5, abs=1e-3)


def test_every_field_is_seen_or_worked_with(made) -> None:
    """A field of a kernel that changes neither its work nor its description is of no use."""
    before = made.kernel("conv", macs=1e6, rows=5, columns=6, depth=7, groups=3, weights=11, steps=3)
    for name in KERNEL.names:
        if name in ("count", "kind"):
            continue
        after = before.copy()
        after[name] = {"item": 2, "item_in": 2, "per_example": False}.get(name, before[name] * 3 + 1)
        same = (work(after, 4) == work(before, 4)).all() and (describe(after, 4) == describe(before, 4)).all()
        assert not same, name
