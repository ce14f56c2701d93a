"""front, advise, compare and report on a store of really trained members."""

import json
from pathlib import Path

import numpy as np

from explorer.spec import Cascade, parse_design
from explorer.store import Store
from tests.plain_scoring import plain_decisions

DIGITS = ("--dataset", "digits")


def stored_arrays(path, split):
    """Read members' probabilities and labels with nothing but the ledger's rows and numpy."""
    with Store.open(path, create=False) as store:
        arrays = {
            str(r.member).replace(f"~{r.member.recipe}", ""): np.array(
                store.probabilities(r), dtype=np.float64
            )
            for r in store.predictions("digits", split)
        }
        digest = store.predictions("digits", split)[0].split_digest
        return arrays, np.array(store.labels("digits", split, digest))


def test_front_has_kinds_intervals_and_recomputable_accuracies(explorer, trained_store) -> None:
    document = json.loads(
        explorer("front", *DIGITS, "--cost", "macs", "--json", "--store", trained_store).out
    )
    points = document["points"]

    assert document["schema_version"] == 1
    assert document["dataset"] == "digits"
    assert document["cost"]["kind"] == "macs"
    assert len({point["kind"] for point in points}) >= 2
    report, report_labels = stored_arrays(trained_store, "report")
    select, select_labels = stored_arrays(trained_store, "select")
    costs = [point["select_cost"] for point in points]
    assert costs == sorted(costs)
    for point in points:
        design = parse_design(point["design"])
        accuracy = point["accuracy"]
        found = plain_decisions(design, report)[0] == report_labels
        assert accuracy["value"] == found.mean()
        assert accuracy["n"] == len(report_labels)
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
        assert accuracy["low"] < accuracy["high"]
        assert point["cost"]["basis"] == "counted"
        chosen = plain_decisions(design, select)[0] == select_labels
        assert point["select_accuracy"] == chosen.mean()


def test_front_over_macs_of_a_cascade_is_its_expected_cost(explorer, trained_store) -> None:
    document = json.loads(explorer("front", *DIGITS, "--json", "--store", trained_store).out)
    macs = {
        name: json.loads(explorer("count", f"{name}@8", "--channels", "1", "--json").out)["macs"]
        for name in ("wrn10-0.25", "wrn10-0.5")
    }
    report, _ = stored_arrays(trained_store, "report")
    for point in document["points"]:
        design = parse_design(point["design"])
        if isinstance(design, Cascade):
            first, second = design.stages
            escalated = (plain_decisions(first, report)[1] < design.exits[0].threshold).mean()
            # members of a joined second stage are only those that have not run
            expected = macs[first.members[0].name] + escalated * sum(macs[m.name] for m in second.members)
            assert np.isclose(point["cost"]["value"], expected, rtol=1e-12)


def test_advise_answers_a_budget_and_says_how_sure_it_is(explorer, trained_store) -> None:
    document = json.loads(
        explorer("advise", *DIGITS, "--budget", "macs<=1M", "--json", "--store", trained_store).out
    )

    assert {
        "question",
        "answer",
        "cannot_tell",
        "runner_up",
        "what_would_change_it",
        "evidence",
    } <= document.keys()
    assert document["answer"]["cost"]["value"] <= 1.1e6
    assert isinstance(document["cannot_tell"], bool)


def test_advise_says_when_nothing_fits(explorer, trained_store) -> None:
    result = explorer("advise", *DIGITS, "--budget", "macs<=1k", "--json", "--store", trained_store)

    assert result.code == 0
    assert json.loads(result.out)["answer"] is None


def test_targets_ask_for_the_cheapest(explorer, trained_store) -> None:
    document = json.loads(
        explorer("advise", *DIGITS, "--target", "accuracy>=20%", "--json", "--store", trained_store).out
    )

    assert document["answer"]["select_accuracy"] >= 0.2


def test_several_budgets_hold_at_once(explorer, trained_store) -> None:
    budgets = (
        "--budget",
        "macs<=1M",
        "--budget",
        "parameters<=60k",
        "--budget",
        "activation_peak_bytes<=1MB",
    )
    document = json.loads(explorer("advise", *DIGITS, *budgets, "--json", "--store", trained_store).out)

    answer = document["answer"]

    assert set(answer["costs"]) == {"macs", "parameters", "activation_peak_bytes"}
    assert answer["costs"]["parameters"]["value"] <= 60_000
    slacks = {
        slack["budget"].partition("<=")[0]: slack for slack in document["what_would_change_it"]["slacks"]
    }
    assert slacks["parameters"]["used"] == answer["costs"]["parameters"]["value"] / 60_000
    assert all(slack["used"] <= 1 for slack in slacks.values())
    report, labels = stored_arrays(trained_store, "report")
    assert (
        answer["accuracy"]["value"]
        == (plain_decisions(parse_design(answer["design"]), report)[0] == labels).mean()
    )
    text = explorer("advise", *DIGITS, *budgets, "--store", trained_store).out
    assert answer["design"] in text
    assert "binds" in text


def test_a_target_beside_a_budget_asks_for_the_cheapest_that_fits(explorer, trained_store) -> None:
    asked = ("--budget", "parameters<=60k", "--target", "accuracy>=20%")
    document = json.loads(explorer("advise", *DIGITS, *asked, "--json", "--store", trained_store).out)

    front = json.loads(
        explorer("front", *DIGITS, "--cost", "parameters", "--json", "--store", trained_store).out
    )
    reach = [p["select_cost"] for p in front["points"] if p["select_accuracy"] >= 0.2]
    assert document["answer"]["select_cost"] == min(reach)


def test_several_budgets_that_nothing_keeps_say_which_is_in_the_way(explorer, trained_store) -> None:
    asked = ("--budget", "macs<=1M", "--budget", "parameters<=1")
    result = explorer("advise", *DIGITS, *asked, "--store", trained_store)

    assert result.code == 0
    assert result.out.startswith("Nothing fits")
    assert "something would without parameters<=1" in result.out


def test_the_price_of_a_mistake_moves_the_answer(explorer, trained_store) -> None:
    def at(price: str) -> dict:
        asked = ("--mistake-price", price, "--json", "--store", trained_store)
        return json.loads(explorer("advise", *DIGITS, *asked).out)

    cheap, dear = at("1k"), at("1T")
    assert cheap["answer"]["cost"]["value"] < dear["answer"]["cost"]["value"]
    assert cheap["answer"]["select_accuracy"] < dear["answer"]["select_accuracy"]
    ranges = dear["what_would_change_it"]["price_ranges"]
    assert ranges[-1]["high"] is None
    assert ranges[-1]["point"]["design"] == dear["answer"]["design"]
    text = explorer("advise", *DIGITS, "--mistake-price", "1M", "--store", trained_store).out
    assert "a mistake from" in text


def test_wrong_questions_are_one_line(explorer, trained_store) -> None:
    for asked, said in (
        ((), "give either --budget"),
        (("--mistake-price", "1M", "--budget", "macs<=1M"), "not both"),
        (("--mistake-price", "1M", "--cost", "parameters"), "parameters"),
        (("--mistake-price", "-1"), "not an amount"),
        (("--budget", "macs<=1M", "--budget", "macs<=2M"), "two budgets on macs"),
        (("--budget", "macs<=1M", "--signal", "agreement"), "first_members"),
    ):
        result = explorer("advise", *DIGITS, *asked, "--store", trained_store)
        assert result.code == 2, asked
        assert said in result.error_line


def test_more_signals_and_larger_first_stages_never_make_the_front_worse(explorer, trained_store) -> None:
    more = ("--signal", "p", "--signal", "margin", "--signal", "agreement", "--first-members", "2")
    plain, wide = (
        json.loads(explorer("front", *DIGITS, *extra, "--json", "--store", trained_store).out)
        for extra in ((), more)
    )
    for point in plain["points"]:
        assert any(
            p["select_cost"] <= point["select_cost"] and p["select_accuracy"] >= point["select_accuracy"]
            for p in wide["points"]
        )
    assert wide["searched"]["cascade"] > plain["searched"]["cascade"]


def test_explain_prices_every_member_and_tries_every_edit(explorer, trained_store) -> None:
    design = "mean(wrn10-0.25@8#0, wrn10-0.5@8#0)"
    document = json.loads(explorer("explain", design, *DIGITS, "--json", "--store", trained_store).out)

    assert [value["member"] for value in document["members"]] == ["wrn10-0.25@8#0", "wrn10-0.5@8#0"]
    report, labels = stored_arrays(trained_store, "report")
    for value in document["members"]:
        with_it, without = (
            (plain_decisions(parse_design(text), report)[0] == labels).mean()
            for text in (design, value["without"])
        )
        assert np.isclose(value["comparison"]["difference"]["value"], with_it - without)
    assert document["tried"]["drop"] == 2
    text = explorer("explain", design, *DIGITS, "--store", trained_store).out
    assert text.startswith(f"ensemble {design}")
    missing = explorer("explain", "wrn10-9@8#0", *DIGITS, "--store", trained_store)
    assert missing.code == 2
    assert "wrn10-9@8#0" in missing.error_line


def test_compare_is_antisymmetric(explorer, trained_store) -> None:
    designs = "wrn10-0.25@8#0", "mean(wrn10-0.5@8#0, wrn10-0.5@8#1)"
    one, two = (
        json.loads(explorer("compare", *pair, *DIGITS, "--json", "--store", trained_store).out)
        for pair in (designs, designs[::-1])
    )

    assert one["difference"]["value"] == -two["difference"]["value"]
    assert explorer("compare", *designs, *DIGITS, "--store", trained_store).code == 0


def test_unknown_data_set_and_member_name_what_exists(explorer, trained_store) -> None:
    assert "digits" in explorer("front", "--dataset", "digit", "--store", trained_store).error_line
    result = explorer("compare", "wrn10-2@8#0", "wrn10-0.5@8#0", *DIGITS, "--store", trained_store)
    assert result.code == 2
    assert "wrn10-2@8#0" in result.error_line


def test_reports_are_written_in_each_form(explorer, trained_store, tmp_path) -> None:
    for suffix in ("html", "md", "json"):
        out = tmp_path / f"report.{suffix}"
        assert explorer("report", *DIGITS, "--out", out, "--store", trained_store).code == 0
        assert out.stat().st_size > 1000
    assert Path(tmp_path / "report.html").stat().st_size < 500_000


def test_training_again_trains_nothing(explorer, trained_store) -> None:
    result = explorer(
        "train", "wrn10-0.25", *DIGITS, "--seeds", "0-2", "--epochs", "3", "--json", "--store", trained_store
    )

    assert json.loads(result.out)["trained"] == 0
