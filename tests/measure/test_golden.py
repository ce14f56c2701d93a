"""Published integers and figures, every row of tests/golden/published_costs.csv.

docs/conventions.md says what the columns mean. A row that disagrees with us states by how much, in closed
form (``differs``), or names who else counted the network and got our figure (``disputed``).
"""

import ast
import csv
import functools
import operator
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import zoo
from explorer.accounting.other_counters import as_counted_by
from explorer.measure.trace import trace_model
from explorer.record import Trace
from tests import oracles

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "published_costs.csv"
with GOLDEN.open(newline="") as _table:
    ROWS = list(csv.DictReader(_table))
OPERATORS = {ast.Add: operator.add, ast.Mult: operator.mul, ast.Sub: operator.sub}


# Rows of one network follow one another: one network and one trace at a time is all that has to be kept.


@functools.lru_cache(maxsize=1)
def network(model: str, resolution: int, classes: int) -> nn.Module:
    with torch.device("meta"):
        return zoo.build(model, num_classes=classes, resolution=resolution)


@functools.lru_cache(maxsize=1)
def trace(model: str, resolution: int, classes: int) -> Trace:
    return trace_model(network(model, resolution, classes), (1, 3, resolution, resolution))


@functools.cache
def counted(model: str, resolution: int, classes: int, convention: str) -> int:
    return as_counted_by(trace(model, resolution, classes), convention).macs_or_flops


def ours(row: dict[str, str]) -> int:
    key = row["model"], int(row["resolution"]), int(row["classes"])
    if row["quantity"] == "parameters":
        return sum(parameter.numel() for parameter in network(*key).parameters())
    return counted(*key, row["convention"])


def closed_form(text: str) -> int:
    """Evaluate sums and products of integers."""

    def value(node: ast.expr) -> int:
        if isinstance(node, ast.BinOp):
            return OPERATORS[type(node.op)](value(node.left), value(node.right))
        assert isinstance(node, ast.Constant), text
        assert isinstance(node.value, int), text
        return node.value

    return value(ast.parse(text, mode="eval").body)


def agrees(row: dict[str, str], figure: int) -> bool:
    published = int(row["published"])
    if row["rounded_to"] == "exact":
        return figure == published
    step = int(row["rounded_to"])
    if row["relation"] == "down":
        return figure // step * step == published
    return abs(figure - published) <= step / 2


def label(row: dict[str, str]) -> str:
    return f"{row['model']}@{row['resolution']}-{row['classes']}-{row['quantity']}-{row['convention']}"


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_published_figure(row: dict[str, str]) -> None:
    figure = ours(row)
    if row["relation"] == "differs":
        assert not agrees(row, figure), "agrees without the difference: the row is out of date"
        assert agrees(row, figure + closed_form(row["difference"]))
    elif row["relation"] == "disputed":
        assert not agrees(row, figure), "agrees: the row is out of date"
        WITNESSES[row["witness"]](row, figure)
    else:
        assert agrees(row, figure), f"ours {figure:,}, published {int(row['published']):,}"


# ---- who else says so ---------------------------------------------------------------------------------


def another_source_agrees(row: dict[str, str], figure: int) -> None:
    """Another publication of the same network, to at least 3 digits."""
    others = [
        other
        for other in ROWS
        if all(other[name] == row[name] for name in ("model", "resolution", "classes", "quantity"))
        and other["convention"] == "macs"
        and other["source"] != row["source"]
        and other["relation"] in ("equal", "rounds")
    ]
    assert others
    assert all(agrees(other, figure) for other in others)


def fvcore_agrees(row: dict[str, str], figure: int) -> None:
    """What fvcore counts for convolutions and linear layers on real weights, run here."""
    from fvcore.nn import FlopCountAnalysis

    resolution = int(row["resolution"])
    real = zoo.build(row["model"], num_classes=int(row["classes"]), resolution=resolution).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(real, torch.zeros(1, 3, resolution, resolution))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        by_operator = analysis.by_operator()
    assert sum(by_operator[name] for name in ("conv", "linear", "addmm", "matmul", "bmm")) == figure


def layer_table_agrees(row: dict[str, str], figure: int) -> None:
    """The sum over the layer table of arXiv 1605.07146, by hand."""
    depth, width = map(int, row["model"].removeprefix("wrn").split("-"))
    table = oracles.wide_resnet(
        depth, width, resolution=int(row["resolution"]), channels=3, classes=int(row["classes"])
    )
    assert table.macs == figure


WITNESSES = {
    "torchvision": another_source_agrees,
    "fvcore": fvcore_agrees,
    "wide_resnet": layer_table_agrees,
}


# ---- the table itself ---------------------------------------------------------------------------------


def test_enough_figures_over_enough_families() -> None:
    assert len(ROWS) >= 150
    assert len({row["family"] for row in ROWS}) >= 25
    assert sum(row["rounded_to"] == "exact" for row in ROWS) >= 100


def test_every_disagreement_is_explained() -> None:
    for row in ROWS:
        assert row["relation"] in ("equal", "rounds", "down", "differs", "disputed"), label(row)
        assert (row["relation"] in ("equal", "rounds")) == (row["mismatch"] == ""), label(row)
        assert (row["relation"] == "differs") == (row["difference"] != ""), label(row)
        assert (row["relation"] == "disputed") == (row["witness"] != ""), label(row)
        assert row["source"], label(row)


def test_no_figure_is_listed_twice() -> None:
    keys = [(label(row), row["source"]) for row in ROWS]

    assert len(set(keys)) == len(keys)
