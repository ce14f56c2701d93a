"""`explorer count` as a person uses it, on networks of the zoo and of their own."""

import json

import pytest

OWN = """
import torch
from torch import nn

def plain():
    return nn.Sequential(nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(5 * 7 * 7, 11))

class Branches(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x

def branches():
    return Branches()

def no_module():
    return 3

class Custom(nn.Module):
    def forward(self, x):
        return torch.linalg.qr(x)[0]

def custom():
    return Custom()
"""


def document(result):
    assert result.code == 0, result.err
    return json.loads(result.out)


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "ownnets.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)


def test_a_network_of_ones_own(explorer_here, own_module) -> None:
    found = document(explorer_here("count", "ownnets:plain@7", "--json"))

    # distinct primes: 7 x 7 outputs of 5 channels from 3 x 3 x 3, then 245 x 11
    assert found["macs"] == 7 * 7 * 5 * 27 + 245 * 11
    assert found["parameters"] == 5 * 27 + 245 * 11 + 11


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ownnets:branches@7"], 2, "depends on the values of its input"),
        (["ownnets:no_module@7"], 2, "returned a int; wanted a torch.nn.Module"),
        (["ownnets:nothing@7"], 2, "has no function 'nothing'; it has: "),
        (["nowhere:net@7"], 2, "cannot import 'nowhere'"),
        (["ownnets:plain"], 2, "needs a resolution"),
        (["ownnets:plain@9"], 2, "does not run on an input of shape (1, 3, 9, 9)"),
        (
            ["ownnets:custom@7", "--strict"],
            1,
            "register one: explorer.accounting.formulas.formula('linalg_qr')",
        ),
        (["timm:convnext_tyni"], 2, "timm:convnext_tiny"),
        (["wrn16-4@32", "--convention", "thop"], 2, "unknown convention 'thop'; "),
        (["wrn16-4@32", "--all-timm", "--out", "x.parquet"], 2, "count one MODEL"),
        (["--all-timm", "--out", "x.csv"], 2, "must end in .parquet"),
        (["wrn16-4", "--resolutions", "32,big"], 2, "not a list of whole numbers: '32,big'"),
        (["a@8#0 -> [p>=0.5] b@8#0"], 2, "unknown model 'a'"),
        (["wrn10-1@8#0 -> [p>=0.5] wrn10-2@8#0"], 2, "needs the share that reaches each of 2 stages"),
        (["mean(wrn10-1@8#0, wrn10-1@8#1)", "--placement", "stacked"], 2, "unknown placement 'stacked'"),
    ],
)
def test_what_cannot_be_counted_is_said_in_one_line(
    explorer_here, own_module, arguments, code, message
) -> None:
    result = explorer_here("count", *arguments)

    assert result.code == code, result.err
    assert message in result.error_line


def test_an_operator_without_formula_is_listed(explorer_here, own_module) -> None:
    assert document(explorer_here("count", "ownnets:custom@7", "--json"))["uncounted"] == {"linalg_qr": 1}
    assert "NOT COUNTED: linalg_qr" in explorer_here("count", "ownnets:custom@7").out


def test_views_add_up(explorer_here) -> None:
    for by in ("operator", "both"):
        found = document(explorer_here("count", "wrn10-1@16", "--by", by, "--json"))
        assert sum(row["macs"] for row in found["by"]) == found["macs"]
        assert sum(row["elementwise_ops"] for row in found["by"]) == found["elementwise_ops"]


def test_conventions_differ_by_their_terms(explorer_here) -> None:
    found = document(explorer_here("count", "wrn10-1@16", "--convention", "all", "--json"))

    assert {"macs", "2xmacs", "pycls", "fvcore", "torch", "timm", "mmpretrain"} <= {
        one["convention"] for one in found["counted_by"]
    }
    for one in found["counted_by"]:
        assert one["macs"] + sum(term["amount"] for term in one["explanation"]) == one["macs_or_flops"]


def test_an_ensemble_is_the_sum_of_its_members(explorer_here) -> None:
    one, two = (document(explorer_here("count", f"{name}@8", "--json")) for name in ("wrn10-1", "wrn10-2"))
    both = document(explorer_here("count", "mean(wrn10-1@8#0, wrn10-2@8#3)", "--json"))["costs"]

    for kind in ("macs", "elementwise_ops", "parameters", "param_bytes"):
        assert both[kind]["mean"] == one[kind] + two[kind]
    peak = "activation_peak_bytes"
    assert both[peak]["mean"] == max(one[peak], two[peak])


def test_a_sweep_equals_single_counts(explorer_here) -> None:
    rows = document(
        explorer_here("count", "wrn10-1", "--resolutions", "16,24", "--batches", "1,5", "--json")
    )["rows"]

    for row in rows:
        single = document(
            explorer_here("count", f"wrn10-1@{row['resolution']}", "--batch", str(row["batch"]), "--json")
        )
        assert (row["macs"], row["elementwise_ops"]) == (single["macs"], single["elementwise_ops"])


def test_the_deploy_form_of_repvgg_is_what_was_published_as_faster(explorer_here) -> None:
    trained = document(explorer_here("count", "timm:repvgg_a0@224", "--json"))
    shipped = document(explorer_here("count", "timm:repvgg_a0@224", "--deploy", "--json"))

    assert round(trained["macs"] / 1e9, 3) == 1.513
    assert round(shipped["macs"] / 1e9, 3) == 1.361
    assert shipped["bytes_moved"]["unfused"] < trained["bytes_moved"]["unfused"]
