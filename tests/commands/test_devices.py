"""`explorer devices`: as typed, in text and as documents."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from explorer import cli

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(explorer_here, monkeypatch, tmp_path):
    """Run `explorer devices ...` with a store that does not exist yet."""
    monkeypatch.setitem(cli._COMMANDS, "devices", "The device table, and the price book.")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPLORER_STORE", raising=False)
    return lambda *arguments: explorer_here("devices", *arguments)


def test_list_shows_every_device_and_marks_what_nobody_verified(run):
    done = run("list")
    assert (done.code, done.err) == (0, "")
    lines = {line.split()[0]: line for line in done.out.splitlines()[1:] if line}
    assert "165.2" in lines["rtx4090"]
    assert "93.9 GB/s ?" in lines["i9-10940x"]
    assert "?" not in lines["rtx4090"]
    assert re.search(r"GB/s +-$", lines["tpu-v5e"]), "unknown power is not 0"
    assert "recalled, not verified" in done.out
    assert len(json.loads(run("list", "--json").out)["devices"]) == len(lines) - 1


def test_show_names_the_source_of_every_figure(run):
    done = run("show", "NVIDIA GeForce RTX 4090")
    assert done.code == 0
    assert re.search(r"fp16 peak +165\.2 TFLOP/s +seen +waredb\.com", done.out)
    assert "on-demand" in done.out
    assert re.search(r"bandwidth +93\.9 GB/s \? +recalled", run("show", "i9-10940x").out)
    v5e = run("show", "tpu-v5e").out
    assert re.search(r"power rating +unknown", v5e)
    assert "price: none known" in v5e
    assert "a program sees 2 devices in one chip" in run("show", "tpu-v3").out


def test_show_as_a_document(run):
    found = json.loads(run("show", "rtx5090", "--json").out)
    assert found["key"] == "rtx5090"
    assert found["peaks"]["bf16"] == 209.5e12
    assert found["price"]["purchase"] == "spot"
    assert "7 % above the published peak" in found["note"]
    assert json.loads(run("show", "tpu7x", "--json").out)["tdp_w"] is None


def test_an_unknown_device_lists_the_known(run):
    done = run("show", "rtx4091")
    assert done.code == 2
    assert "did you mean rtx4090" in done.error_line
    assert "v100-sxm2" in done.error_line


def test_prices_without_a_store_are_those_that_shipped(run, tmp_path):
    done = run("prices")
    assert (done.code, done.err) == (0, "")
    assert "shipped" in done.out
    assert "yours" not in done.out.replace("your own", "")
    assert list(tmp_path.iterdir()) == [], "listing makes no store"
    named = run("prices", "--store", tmp_path / "nowhere")
    assert "no store at" in named.error_line
    assert named.out == done.out


def test_a_price_set_is_listed_first_and_used(run):
    done = run("prices", "set", "RTX 4090", "0.21", "--date", "2026-03-05", "--source", "my seller")
    assert (done.code, done.err) == (0, "")
    assert "0.21 USD per gpu" in done.out
    listed = json.loads(run("prices", "list", "--device", "rtx4090", "--json").out)["prices"]
    assert (listed[0]["usd_per_hour"], listed[0]["origin"]) == (0.21, "user")
    assert {price["origin"] for price in listed[1:]} == {"shipped"}
    assert json.loads(run("show", "rtx4090", "--json").out)["price"]["usd_per_hour"] == 0.21


def test_prices_show_their_age_and_old_ones_are_marked(run):
    today = datetime.now(UTC).date()
    for days in (3, 400):
        date = (today - timedelta(days=days)).isoformat()
        run("prices", "set", "t4", "0.5", "--date", date, "--source", f"seller {days}")
    lines = {line.split()[-1]: line for line in run("prices", "--device", "t4").out.splitlines()}
    assert " 3 d " in lines["3"]
    assert "OLD" not in lines["3"]
    assert " 400 d OLD " in lines["400"]
    rows = json.loads(run("prices", "--device", "t4", "--json").out)["prices"]
    assert {row["age_days"]: row["old"] for row in rows} == {3: False, 400: True}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rtx4090", "0.34", "--source", "me"), "needs the date"),
        (("rtx4090", "0.34", "--date", "soon", "--source", "me"), "not a date: 'soon'"),
        (("rtx4090", "0.34", "--date", "2026-03-05"), "needs a source"),
        (("rtx4090", "0", "--date", "2026-03-05", "--source", "me"), "above 0"),
        (("rtx4090", "nan", "--date", "2026-03-05", "--source", "me"), "above 0"),
        (("rtx4090", "cheap", "--date", "2026-03-05", "--source", "me"), "cheap"),
        (("rtx4091", "1", "--date", "2026-03-05", "--source", "me"), "did you mean rtx4090"),
    ],
)
def test_bad_prices_are_one_line_and_leave_no_store(run, tmp_path, arguments, message):
    done = run("prices", "set", *arguments)
    assert done.code == 2
    assert message in done.error_line
    assert list(tmp_path.iterdir()) == []


def test_options_before_a_subcommand_are_not_lost(run, tmp_path):
    store = tmp_path / "elsewhere"
    run("prices", "--store", store, "set", "t4", "1", "--date", "2026-03-05", "--source", "me")
    assert (store / "ledger.sqlite").is_file()
    done = run("prices", "--json", "set", "t4", "1", "--date", "2026-03-05", "--source", "me")
    assert done.code == 2
    assert "after `set`" in done.error_line


def test_every_key_is_documented(run):
    text = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(\w+)`", text[text.index("## JSON") :]))
    data_keyed = {"peaks", "status", "sources"}

    def keys(value: object) -> set[str]:
        if isinstance(value, list):
            return set().union(*(keys(item) for item in value))
        if isinstance(value, dict):
            inner = (keys(v) for k, v in value.items() if k not in data_keyed)
            return set(value) | set().union(*inner)
        return set()

    run("prices", "set", "t4", "1", "--date", "2026-03-05", "--source", "me")
    for arguments in (("list",), ("show", "t4"), ("prices",), ("prices", "list")):
        assert keys(json.loads(run(*arguments, "--json").out)) <= documented
