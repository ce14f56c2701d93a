"""`explorer compress` on digits: prune, merge, quantise, and what they refuse."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from explorer.cli import cli
from explorer.errors import ExplorerError
from explorer.spec import parse_member
from explorer.store import Store

ALL = ("--dataset", "digits", "--json", "--store")


def run(*arguments) -> str:
    """Run a command in this process: starting another takes longer than the work."""
    done = CliRunner().invoke(cli, [str(one) for one in arguments], catch_exceptions=False)
    return done.stdout


def document(*arguments) -> dict:
    return json.loads(run(*arguments))


def stored(store, text):
    with Store.open(store, create=False) as opened:
        return opened.find_member("digits", parse_member(text))


def test_a_pruned_member_is_stored_named_and_costed(store_copy) -> None:
    arguments = ("compress", "prune", "wrn10-0.5#1", "--ratio", "0.25", "--epochs", "2", *ALL, store_copy)
    found = document(*arguments)

    assert found["schema_version"] == 1
    made, source = found["made"], found["source"]
    assert made["member"].startswith("wrn10-0.5+pruned0.25@8~finetuned-")
    assert made["member"].endswith("#1")
    assert found["after"]["macs"] < 0.7 * found["before"]["macs"]
    # Forward and backward on every example, of the network that was left.
    assert made["training_macs"] == 3 * found["after"]["macs"] * 2 * (source["examples_seen"] // 3)
    assert [one["name"] for one in found["results"]] == [
        made["member"], source["member"], "right after the cut",
    ]  # fmt: skip
    own, against, cut = found["results"]
    assert own["difference"] is None
    assert against["difference"]["value"] == pytest.approx(
        own["accuracy"]["value"] - against["accuracy"]["value"]
    )
    assert own["accuracy"]["value"] > cut["accuracy"]["value"]
    record = stored(store_copy, made["member"])
    assert record.training.recipe["start"] == source["member"]
    assert record.training.recipe["base"] == source["recipe"]

    again = run(*(one for one in arguments if one != "--json"))
    assert again.startswith(f"there already: {made['member']}\n")
    assert "to train on for 2 epochs; before that" in again
    assert f"of 3 epochs for {source['member']}" in again
    assert "paired:" in again
    # It takes part like any other member: derived from the recipe that the others have.
    front = document("front", *ALL, store_copy)
    assert any(made["member"] in member for member in front["pool"]["members"])


def test_merging_says_honestly_what_it_costs(store_copy) -> None:
    members = ("wrn10-0.5#0", "wrn10-0.5#1", "wrn10-0.5#2")
    for how in ("soup", "rebasin"):
        found = document("compress", "merge", *members, "--how", how, *ALL, store_copy)
        assert found["how"] == how
        assert len(found["sources"]) == 3
        assert found["made"]["member"].startswith(f"wrn10-0.5@8~{how}-")
        assert found["made"]["epochs"] == 0
        assert found["made"]["training_macs"] == found["size"]["macs"] * found["made"]["examples_seen"]
        *singles, ensemble = found["results"][1:]
        assert [one["name"] for one in singles] == [one["member"] for one in found["sources"]]
        assert ensemble["name"].startswith("mean(")
        assert ensemble["verdict"] == "worse", "three seeds do not share a basin at this width"
        if how == "soup":
            assert found["likeness"] is None
        else:
            assert found["likeness"]["after"] > found["likeness"]["before"]
        record = stored(store_copy, found["made"]["member"])
        assert record.training.recipe["start"] == ensemble["name"]


def test_int8_is_judged_and_not_stored(store_copy) -> None:
    with Store.open(store_copy, create=False) as opened:
        before = len(opened.members("digits"))
    found = document("compress", "quantise", "wrn10-0.5#0", *ALL, store_copy)
    assert found["int8_bytes"] < found["float_bytes"]
    assert found["calibrated_on"] == 512
    in_int8, in_float = found["results"]
    assert abs(in_float["difference"]["value"]) < 0.1
    assert in_int8["name"] == "wrn10-0.5@8~" + found["source"]["recipe"] + "#0 in int8"
    with Store.open(store_copy, create=False) as opened:
        assert len(opened.members("digits")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prune", "wrn10-0.5#7"), "the store has no member wrn10-0.5@8#7 of digits; train it first"),
        (("prune", "wrn10-0.5#0", "--ratio", "1"), "must be from 0.01 to 0.95, got 1"),
        (("prune", "wrn10-0.5"), "not a member: 'wrn10-0.5'"),
        (("prune", "wrn10-0.5#0", "--learning-rate", "0"), "learning_rate must be above 0"),
        (("merge", "wrn10-0.5#0"), "merging needs at least 2 different members"),
        (("merge", "wrn10-0.5#0", "wrn10-0.5#0"), "merging needs at least 2 different members"),
        (("merge", "wrn10-0.5#0", "wrn10-0.25#0"), "only members of one network can be merged"),
        (("quantise", "nothing#0"), "unknown model 'nothing'"),
    ],
)
def test_refusals_are_one_line(trained_store, arguments, message) -> None:
    with pytest.raises(ExplorerError, match=re.escape(message)) as caught:
        run("compress", *arguments, "--dataset", "digits", "--store", trained_store)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_member_without_weights_is_refused(store_copy) -> None:
    record = stored(store_copy, "wrn10-0.5@8#0")
    for path in store_copy.rglob(f"*{record.weights_digest}*"):
        path.unlink()
    with pytest.raises(ExplorerError, match=record.weights_digest):
        run("compress", "prune", "wrn10-0.5#0", "--dataset", "digits", "--store", store_copy)


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(store_copy) -> None:
    arguments = ("compress", "prune", "wrn10-0.5#0", "--epochs", "400", "--dataset", "digits")
    command = [sys.executable, "-m", "explorer.cli", *arguments, "--store", str(store_copy)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not list(store_copy.rglob("*.pt")) and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; the same command continues" in err
    assert list(store_copy.rglob("*.pt")), "what was trained is kept"


def test_variants_of_recipes_say_what_they_cost(tmp_path) -> None:
    from explorer.data import load_images
    from explorer.run.training import resolved_models
    from explorer.run.training.asked import Asked, asked_jobs
    from explorer.run.training.jobs import stack_jobs
    from explorer.spec import ModelSpec

    images = load_images("digits")
    models = resolved_models([ModelSpec("wrn10-0.25")], images)
    macs, bases, alone = {}, set(), {}
    with Store.open(tmp_path / "store") as store:
        for name in ("quick", "sam", "batchnorm-only", "quick+mixup", "dropblock"):
            jobs, _, recipe = asked_jobs(store, images, models, (0, 1), Asked(recipe=name, epochs=2))
            assert recipe.startswith(name.rpartition("+")[2])
            macs[name] = jobs[0].macs_per_example
            bases.add(jobs[0].recipe.base_id)
            alone[name] = len(stack_jobs(jobs, 2)) == 2
    assert macs["sam"] == 2 * macs["quick"] == 3 * macs["batchnorm-only"]
    assert macs["quick+mixup"] == macs["dropblock"] == macs["quick"]
    assert len(bases) == 1, "all may be compared with each other, at one length"
    assert [name for name, by_itself in alone.items() if by_itself] == ["dropblock"]
