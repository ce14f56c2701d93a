"""What crosses between torch and JAX is plain values that come back the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import InputDataError
from explorer.tpu.program import Operation, Program, Value, read_program

values = st.builds(
    Value,
    name=st.text(min_size=1, max_size=8),
    shape=st.lists(st.integers(0, 9), max_size=4).map(tuple),
    dtype=st.sampled_from(["float32", "bfloat16", "int64", "bool"]),
)
attributes = st.dictionaries(
    st.text(max_size=6),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.lists(st.integers())),
    max_size=4,
)
programs = st.builds(
    Program,
    weights=st.lists(values, max_size=3).map(tuple),
    input=values,
    operations=st.lists(
        st.builds(
            Operation,
            op=st.sampled_from(["add.Tensor", "mm.default"]),
            attributes=attributes,
            result=st.lists(values, min_size=1, max_size=2).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    output=st.text(max_size=5),
)


@given(programs)
def test_a_program_survives_being_written_down(program: Program) -> None:
    again = read_program(json.loads(json.dumps(program.document())))

    assert again == program
    assert again.digest() == program.digest()


def test_bytes_are_the_devices() -> None:
    """64-bit numbers are held in 32 bits there."""
    assert Value(name="w", shape=(3, 5), dtype="bfloat16").bytes == 30
    assert Value(name="i", shape=(7,), dtype="int64").bytes == 28
    assert Value(name="s", shape=(), dtype="float32").bytes == 4
    with pytest.raises(InputDataError, match="complex64"):
        _ = Value(name="c", shape=(2,), dtype="complex64").bytes


@pytest.mark.parametrize("document", [{}, {"schema": 99}, {"schema": 1}, {"schema": 1, "weights": [3]}])
def test_what_is_not_a_program_is_refused(document: dict) -> None:
    with pytest.raises(InputDataError, match="program"):
        read_program(document)
