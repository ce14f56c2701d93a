"""The documentation says what the product does: compared, not believed."""

import json
import re
from pathlib import Path

import pytest

from explorer.commands import reference

ROOT = Path(__file__).resolve().parents[2]


def test_the_command_reference_is_up_to_date() -> None:
    assert reference.DOCUMENT.read_text(encoding="utf-8") == reference.reference(), "run: make docs"


def keys_of(value: object, open_mappings: frozenset[str]) -> set[str]:
    """Return every key of a document, leaving out mappings whose keys are data."""
    if isinstance(value, list):
        return set().union(*(keys_of(item, open_mappings) for item in value)) if value else set()
    if not isinstance(value, dict):
        return set()
    inner = (keys_of(v, open_mappings) for k, v in value.items() if k not in open_mappings)
    return set(value) | set().union(*inner)


CASCADE = "wrn10-0.25@8#0 -> wrn10-0.5@8#0"
ON_DIGITS = ("--dataset", "digits")

DATA_KEYED = frozenset(
    {"points_by_kind", "searched", "best_of_kind", "uncounted", "macs_by_operator", "macs_by_module"}
    | {"conventions", "knobs", "counts", "operators", "costs", "select_costs", "worst_costs"}
    | {"scores", "differences", "higher_is_better", "shares_of_draws"}
    | {"departs", "parts", "published", "difference", "accuracies", "by", "joined", "summary"}
)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("front", ("front", "--dataset", "digits")),
        ("advise", ("advise", "--dataset", "digits", "--budget", "macs<=300k")),
        ("front, several", ("front", "--dataset", "digits", "--cost", "macs", "--cost", "parameters")),
        ("select", ("select", "--dataset", "digits", "--rounds", "5")),
        ("select --front", ("select", "--dataset", "digits", "--rounds", "5", "--front", "4")),
        ("cascade", ("cascade", "--dataset", "digits")),
        ("score", ("score", "wrn10-0.5@8#0", "wrn10-0.5@8#1", "--dataset", "digits")),
        ("guarantee", ("guarantee", CASCADE, "--dataset", "digits", "--target", "accuracy>=20%")),
        ("guarantee --early-exit", ("guarantee", CASCADE, *ON_DIGITS, "--early-exit", "macs<=200k")),
        ("curves", ("curves", "--dataset", "digits")),
        ("curves", ("curves", "--published-error", "0.2379")),
        ("plan", ("plan", "--dataset", "digits", "--minutes", "1")),
        ("compare", ("compare", "wrn10-0.5@8#0", "wrn10-0.5@8#1", "--dataset", "digits")),
        ("count", ("count", "wrn10-0.5@8")),
        ("count", ("count", "wrn10-0.5@8", "--by", "both", "--convention", "all", "--training", "adam")),
        ("count", ("count", "wrn10-0.5@8", "--closed-form", "--deploy")),
        ("count", ("count", "wrn10-0.5", "--resolutions", "8,16")),
        ("count", ("count", "mean(wrn10-0.5@8#0, wrn10-0.5@8#1)")),
        ("zoo list", ("zoo", "list")),
        ("zoo show", ("zoo", "show", "wrn16-4")),
        ("zoo show", ("zoo", "show", "hardnet")),
        ("zoo scale --phi", ("zoo", "scale", "tinynet")),
        ("zoo scale --budget", ("zoo", "scale", "wrn10-1", "--budget", "macs<=20M", "--rule", "width")),
        ("zoo space", ("zoo", "space")),
        ("zoo space NAME", ("zoo", "space", "nasbench201", "--sample", "1")),
        ("claims", ("claims", "dpn")),
        ("db info", ("db", "info")),
        ("db check", ("db", "check")),
    ],
)
def test_every_key_is_documented(explorer_here, trained_store, monkeypatch, command, arguments) -> None:
    monkeypatch.setenv("EXPLORER_STORE", str(trained_store))
    document = json.loads(explorer_here(*arguments, "--json").out)
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    shared = text[: text.index("| command |")]
    name, _, further = command.partition(", ")
    start = f"| `{name}`, {further}" if further else f"| `{name}` |"
    row = next(line for line in text.splitlines() if line.startswith(start))
    documented = set(re.findall(r"`(\w+)`", shared + row))

    assert keys_of(document, DATA_KEYED) <= documented


def test_links_in_the_documents_lead_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name} links to {target}"
