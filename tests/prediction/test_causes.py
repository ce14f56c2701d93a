"""What a model's time goes to, in words."""

import dataclasses

import numpy as np
import pytest

from explorer.prediction.causes import largest_share


@pytest.fixture
def said(made):
    (plain,) = made.timed(made.rates, families=1, per_family=1)

    def say(*kernels: np.ndarray) -> str:
        table = np.concatenate(kernels)
        return largest_share(
            dataclasses.replace(plain, kernels=dataclasses.replace(plain.kernels, operators=table))
        )

    return say


def test_the_largest_shares(made, said) -> None:
    text = said(
        made.kernel("conv", macs=30, read=10, written=10, count=2),
        made.kernel("pointwise", macs=40, read=10, written=10),
        made.kernel("batch_norm", read=30, written=30),
    )

    assert text == "bytes: batch norm 50%; multiply-adds: conv 60%"


def test_what_is_once_a_call_is_left_out_of_the_bytes(made, said) -> None:
    text = said(
        made.kernel("weight_cast", per_example=False, read=1e9, written=1e9),
        made.kernel("conv", macs=1, read=1, written=1),
    )

    assert text == "bytes: conv 100%; multiply-adds: conv 100%"


def test_no_products(made, said) -> None:
    assert said(made.kernel("copy")) == "bytes: copy 100%; multiply-adds: none"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("attention_apart", "attention whose operands the fused kernels do not take"),
        ("attention_masked", "attention with a mask"),
        ("recurrent", "recurrent layers"),
        ("transposed", "transposed convolutions"),
        ("other", "operators of no known kind"),
    ],
)
def test_what_is_rare_is_said(made, said, kind, words) -> None:
    assert said(made.kernel("conv"), made.kernel(kind)).endswith(f"; {words}")
    assert words not in said(made.kernel("conv"))


def test_large_depthwise_windows_are_said(made, said) -> None:
    small, large = made.kernel("depthwise", taps=25), made.kernel("depthwise", taps=49)

    assert said(small, large).endswith("; depthwise windows of 49 taps")
    assert "windows" not in said(small, made.kernel("conv", taps=49))
