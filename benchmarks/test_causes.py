# ruff: noqa: D103 - a test's name is its docstring
"""Differences between counters are split into terms that add up, with the names one would give by hand."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from benchmarks import sample
from benchmarks.causes import Piece, explain
from benchmarks.reading import Part, Reading


def piece(
    path: str, *, layer: str = "", operator: str = "mm", macs: int, bias: int = 0, **more: object
) -> Piece:
    """Return one of our counts, of the torch class itself unless told otherwise."""
    module = {"convolution": "Conv2d", "linear": "Linear", "recurrent": "LSTM"}.get(layer, "Attention")
    known: dict[str, Any] = {"module": module, "exact": True, "layer_bias": bias} | more
    return Piece(path=path, layer=layer, operator=operator, macs=macs, bias=bias, **known)


def by_module(**macs: int) -> Reading:
    """Return what a counter says that names modules."""
    parts = tuple(Part(path=path, operator="", macs=n) for path, n in macs.items())
    return Reading(macs=sum(macs.values()), parts=parts)


def by_operator(**macs: int) -> Reading:
    """Return what a counter says that names operators."""
    parts = tuple(Part(path="", operator=name, macs=n) for name, n in macs.items())
    return Reading(macs=sum(macs.values()), parts=parts)


def causes(ours: list[Piece], theirs: Reading, **classes: str) -> dict[str, int]:
    """Return the terms as a mapping."""
    return {term.cause: term.macs for term in explain(ours, theirs, classes)}


def test_equal_counts_need_no_cause() -> None:
    ours = [piece("stem", layer="convolution", operator="convolution", macs=1009)]
    assert causes(ours, by_module(stem=1009)) == {}
    assert causes(ours, by_operator(conv=1009)) == {}


def test_attention_missed_and_norms_added_do_not_cancel() -> None:
    ours = [
        piece("attn", operator="_scaled_dot_product_attention", macs=997),
        piece("head", layer="linear", macs=503),
    ]
    found = causes(ours, by_operator(linear=503, layer_norm=997))
    assert found == {"fused attention not counted": -997, "counts normalisation": 997}


def test_attention_taken_apart_is_not_attention_missed() -> None:
    ours = [
        piece("attn", operator="_scaled_dot_product_attention", macs=997),
        piece("head", layer="linear", macs=503),
    ]
    assert causes(ours, by_operator(mm=503, bmm=997)) == {}


def test_biases_are_told_from_attention_taken_apart() -> None:
    ours = [
        piece("attn", operator="_scaled_dot_product_attention", macs=997),
        piece("head", layer="linear", operator="addmm", macs=503, bias=7),
    ]
    theirs = Reading(macs=510, parts=(Part(path="", operator="aten.addmm", macs=510),), biases=True)
    assert causes(ours, theirs) == {"counts the biases": 7, "fused attention not counted": -997}


def test_a_subclass_without_a_rule_is_named() -> None:
    ours = [
        piece(
            "stem",
            layer="convolution",
            operator="convolution",
            macs=1009,
            module="ScaledStdConv2d",
            exact=False,
        )
    ]
    assert causes(ours, by_module(), stem="ScaledStdConv2d") == {
        "convolution subclass without a rule (ScaledStdConv2d)": -1009
    }


def test_a_linear_layer_counted_for_one_token() -> None:
    ours = [piece("mlp", layer="linear", operator="addmm", macs=197 * 31 * 37, bias=197 * 37)]
    found = causes(ours, by_module(mlp=31 * 37 + 37), mlp="Linear")
    assert found == {
        "linear layer on [batch, token, channel] counted for one token": 31 * 37 + 37 - 197 * 31 * 37
    }


def test_one_rule_for_a_block_is_compared_as_a_whole() -> None:
    ours = [
        piece("attn", operator="_scaled_dot_product_attention", macs=997),
        piece("attn.qkv", layer="linear", macs=503),
        piece("head", layer="linear", macs=101),
    ]
    parts = (Part(path="attn", operator="", macs=1200), Part(path="head", operator="", macs=101))
    theirs = Reading(macs=1301, parts=parts, replaced=frozenset({"attn"}))
    assert causes(ours, theirs, attn="Attention", head="Linear") == {
        "one rule for all of Attention drops the linear layers inside it": -300
    }


def test_a_module_used_twice_and_counted_twice_is_named() -> None:
    ours = [piece("a", layer="convolution", operator="convolution", macs=2018)]
    theirs = by_module(a=2018, b=2018)
    terms = explain(ours, theirs, {"a": "Conv2d", "b": "Conv2d"}, {"a", "b"})
    assert {term.cause: term.macs for term in terms} == {
        "modules used in several places counted once for each": 2018
    }


def test_bilinear_upsampling_is_no_linear_layer() -> None:
    ours = [piece("head", layer="linear", operator="addmm", macs=503)]
    assert causes(ours, by_operator(linear=503, upsample_bilinear2d=31)) == {"counts interpolation": 31}


def test_a_bias_added_after_the_product_is_named() -> None:
    ours = [piece("proj", layer="linear", operator="mm", macs=4 * 31, bias=0, layer_bias=31)]
    assert causes(ours, by_module(proj=5 * 31), proj="Linear") == {"counts the biases": 31}


counts = st.integers(min_value=0, max_value=10**6)
pieces = st.builds(
    piece,
    st.sampled_from(("a", "a.b", "c", "d")),
    layer=st.sampled_from(("", "convolution", "linear", "recurrent")),
    operator=st.sampled_from(("mm", "addmm", "bmm", "convolution", "_scaled_dot_product_attention")),
    macs=counts,
    bias=st.integers(min_value=0, max_value=1000),
)
parts = st.lists(
    st.builds(
        Part,
        path=st.sampled_from(("", "a", "a.b", "c", "e")),
        operator=st.sampled_from(("", "conv", "linear", "batch_norm", "add")),
        macs=counts,
    ),
    max_size=6,
)


@given(
    st.lists(pieces, max_size=6),
    parts,
    counts,
    st.sampled_from((frozenset(), frozenset({"a"}))),
    st.booleans(),
)
def test_terms_add_up_to_the_difference(
    ours: list[Piece], theirs: list[Part], more: int, replaced: frozenset[str], biases: bool
) -> None:
    reading = Reading(
        macs=sum(p.macs for p in theirs) + more, parts=tuple(theirs), replaced=replaced, biases=biases
    )
    classes = dict.fromkeys(("", "a", "a.b", "c", "d", "e"), "Block")
    total = sum(term.macs for term in explain(ours, reading, classes))
    assert total == reading.macs - sum(p.macs for p in ours)


def test_the_sample_takes_every_module_before_any_twice() -> None:
    names = {"large": ["a", "b", "c", "d"], "small": ["e"], "middle": ["f", "g"]}
    drawn = sample.draw(names, 5)
    taken = {module: sum(name in drawn for name in members) for module, members in names.items()}
    assert taken == {"large": 2, "small": 1, "middle": 2}
    assert drawn == sample.draw({module: members[::-1] for module, members in names.items()}, 5)


def test_the_committed_sample_has_150_different_names() -> None:
    assert len(set(sample.read())) == len(sample.read()) == sample.SIZE
