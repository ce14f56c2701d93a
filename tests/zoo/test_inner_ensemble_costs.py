"""Closed forms of what an ensemble inside one network costs, from the layer table, against the counter."""

from dataclasses import dataclass
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.run.costs import count_zoo_model, counted_costs
from explorer.spec import ModelSpec


@dataclass(frozen=True)
class Work:
    """What a part of a network costs for one example; parts add up."""

    parameters: int = 0
    macs: int = 0
    elementwise: int = 0
    vectors: int = 0
    """Inputs and outputs of each layer with weights: what one member's r and s hold."""
    scaled: int = 0
    """Input and output elements of those layers: what one member's r and s multiply."""

    def __add__(self, other: "Work") -> "Work":
        return Work(*(a + b for a, b in zip(self.figures, other.figures, strict=True)))

    def __mul__(self, times: int) -> "Work":
        return Work(*(times * figure for figure in self.figures))

    @property
    def figures(self) -> tuple[int, ...]:
        return (self.parameters, self.macs, self.elementwise, self.vectors, self.scaled)


def conv(inputs: int, outputs: int, kernel: int, side: int, stride: int = 1) -> Work:
    out = -(-side // stride)
    weights = inputs * outputs * kernel**2
    scaled = inputs * side**2 + outputs * out**2
    return Work(weights, weights * out**2, 0, inputs + outputs, scaled)


def norm_relu(channels: int, side: int) -> Work:
    return Work(2 * channels, 0, 3 * channels * side**2)


@dataclass(frozen=True)
class Plain:
    """A wide ResNet in parts (arXiv 1605.07146, Table 1)."""

    stem: Work
    groups: tuple[Work, ...]
    top: Work
    """Norm with ReLU and global average."""
    head: Work

    @property
    def whole(self) -> Work:
        return self.stem + self.groups[0] + self.groups[1] + self.groups[2] + self.top + self.head


def plain(
    depth: int, channels: list[int], *, side: int, in_channels: int, classes: int, stem: int = 16
) -> Plain:
    parts, inputs, now = [], stem, side
    for number, outputs in enumerate(channels):
        total = Work()
        for block in range((depth - 4) // 6):
            stride = 2 if number > 0 and block == 0 else 1
            out = -(-now // stride)
            total += norm_relu(inputs, now) + conv(inputs, outputs, 3, now, stride)
            total += norm_relu(outputs, out) + conv(outputs, outputs, 3, out)
            total += Work(elementwise=outputs * out**2)  # the residual addition
            if stride != 1 or inputs != outputs:
                total += conv(inputs, outputs, 1, now, stride)
            inputs, now = outputs, out
        parts.append(total)
    return Plain(
        stem=conv(in_channels, stem, 3, side),
        groups=tuple(parts),
        top=norm_relu(inputs, now) + Work(elementwise=inputs * now**2),
        head=Work((inputs + 1) * classes, inputs * classes, classes, inputs + classes, inputs + classes),
    )


def averaging(members: int, classes: int) -> Work:
    """Log-softmax (3) and its part in the sum (2) an output of a member, and the subtraction of log M."""
    return Work(elementwise=5 * members * classes + classes)


def widths(width: float) -> list[int]:
    return [max(1, int(base * width + 0.5)) for base in (16, 32, 64)]


def mimo(depth: int, width: float, members: int, **shape: int) -> Work:
    net = plain(depth, widths(width), **shape)
    return net.whole + (net.stem + net.head) * (members - 1)


def batch(depth: int, width: float, members: int, **shape: int) -> Work:
    net = plain(depth, widths(width), **shape).whole
    return Work(
        parameters=net.parameters + members * net.vectors + (members - 1) * shape["classes"],
        macs=members * net.macs,
        elementwise=members * (net.elementwise + net.scaled),
    )


def packed(depth: int, width: float, members: int, alpha: float = 2.0, **shape: int) -> Work:
    channels = [ceil(alpha * c / members) for c in widths(width)]
    return plain(depth, channels, stem=ceil(alpha * 16 / members), **shape).whole * members


def trunk(depth: int, width: float, members: int, **shape: int) -> Work:
    net = plain(depth, widths(width), **shape)
    return net.stem + net.groups[0] + net.groups[1] + (net.groups[2] + net.top + net.head) * members


FORMS = {"mimo": mimo, "batch": batch, "packed": packed, "trunk": trunk}


def check(name: str, expected: Work, *, side: int, in_channels: int, classes: int, members: int) -> None:
    cost = count_zoo_model(ModelSpec(name, side), channels=in_channels, classes=classes, strict=True)
    whole = expected + averaging(members, classes)
    assert (cost.parameters, cost.macs, cost.elementwise_ops) == whole.figures[:3], name
    assert cost.param_bytes == 4 * whole.parameters
    assert cost.uncounted == {}


@pytest.mark.parametrize("method", sorted(FORMS))
@settings(max_examples=12, deadline=None)
@given(
    blocks=st.integers(1, 3),
    width=st.integers(1, 16).map(lambda n: n / 8),
    members=st.integers(1, 6),
    side=st.integers(5, 33),
    in_channels=st.integers(1, 3),
    classes=st.integers(2, 23),
)
def test_counts_follow_the_closed_form(
    method: str, blocks: int, width: float, members: int, side: int, in_channels: int, classes: int
) -> None:
    depth, shape = 6 * blocks + 4, {"side": side, "in_channels": in_channels, "classes": classes}
    expected = FORMS[method](depth, width, members, **shape)
    check(f"wrn{depth}-{width}+{method}{members}", expected, members=members, **shape)


@pytest.mark.parametrize(("members", "alpha"), [(1, 1.0), (3, 1.0), (4, 1.5), (2, 3.0)])
def test_packed_follows_its_alpha(members: int, alpha: float) -> None:
    shape = {"side": 28, "in_channels": 1, "classes": 10}
    expected = packed(16, 0.7, members, alpha, **shape)
    check(f"wrn16-0.7+packed{members}a{alpha}", expected, members=members, **shape)


@pytest.mark.parametrize("method", sorted(FORMS))
def test_what_is_stored_has_no_gaps(method: str) -> None:
    """`counted_costs` is strict; macs are what the documentation says they are."""
    model = ModelSpec(f"wrn10-1+{method}4", 28)
    records = {r.kind: r.figure.value for r in counted_costs(model, channels=1, classes=10)}
    shape = {"side": 28, "in_channels": 1, "classes": 10}

    assert records["macs"] == FORMS[method](10, 1.0, 4, **shape).macs
    assert records["parameters"] == FORMS[method](10, 1.0, 4, **shape).parameters


def test_what_each_method_costs_against_one_member_at_28_pixels() -> None:
    """Rounded as the documentation states them: WRN-10-1, four members, grey images, ten classes."""
    shape = {"side": 28, "in_channels": 1, "classes": 10}
    one = plain(10, widths(1.0), **shape).whole
    ratios = {
        method: (round(form(10, 1.0, 4, **shape).macs / one.macs, 2),
                 round(form(10, 1.0, 4, **shape).parameters / one.parameters, 2))
        for method, form in FORMS.items()
    }  # fmt: skip

    assert ratios == {
        "mimo": (1.04, 1.03),
        "batch": (4.0, 1.03),
        "packed": (1.01, 1.02),
        "trunk": (1.9, 3.26),
    }
