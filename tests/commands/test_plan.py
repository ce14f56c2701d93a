"""explorer plan on really trained members: the plan, the commands it prints, and bad input."""

import json
import shlex
import shutil
import statistics

import pytest

from explorer.analysis.training_runs import read_trainings
from explorer.store import Store

DIGITS = ("--dataset", "digits")
SMALL = ("--max-members", "2")


@pytest.fixture
def store(trained_store, tmp_path):
    return shutil.copytree(trained_store, tmp_path / "my store")


def test_printed_training_makes_the_seed_it_promises(explorer_here, store) -> None:
    singles = json.loads(explorer_here("front", *DIGITS, *SMALL, "--store", store, "--json").out)
    edge = singles["points_by_kind"]["single"][-1]["accuracy"]["value"]
    # whether the most accurate single reaches just that much is as open as can be
    target = ("--target", f"accuracy>={edge}", "--store", store, "--json")
    done = explorer_here("plan", *DIGITS, *SMALL, "--minutes", 10, *target)
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["schema_version"] == 1
    assert document["then"] <= document["now"]
    assert document["spent_minutes"] <= 10
    with Store.open(store, create=False) as opened:
        before = read_trainings(opened, "digits")
    each = {one["name"]: one["minutes_each"] for one in document["could_be_run"]}
    for name in ("wrn10-0.25", "wrn10-0.5"):
        walls = [one.record.wall_s for member, one in before.items() if member.name == name]
        assert each[f"train another seed of {name}@8"] == pytest.approx(statistics.median(walls) / 60)
    run = document["runs"][0]
    assert run["minutes"] == pytest.approx(run["times"] * each[run["name"]])
    assert run["seeds"][0] == 3, "seeds 0 to 2 are there"
    words = shlex.split(run["command"])
    words[words.index("--seeds") + 1] = "3"  # one of them shows it
    assert words[0] == "explorer"
    trained = explorer_here(*words[1:], "--json")
    assert trained.code == 0, trained.err
    (made,) = json.loads(trained.out)["members"]
    assert made["member"].endswith("#3")
    assert json.loads(trained.out)["trained"] == 1
    with Store.open(store, create=False) as opened:
        (new,) = set(read_trainings(opened, "digits")) - set(before)
    assert (str(new.model), new.recipe) == (run["model"], run["recipe"]), "under the very recipe"


def test_text_answers_a_question_and_says_when_nothing_helps(explorer_here, trained_store) -> None:
    done = explorer_here(
        "plan", *DIGITS, *SMALL, "--minutes", 5, "--target", "accuracy>=80%", "--store", trained_store
    )
    assert done.code == 0, done.err
    assert "a surer answer to at least 80.0% accuracy" in done.out
    assert f"--store {trained_store}" in done.out or "nothing to run" in done.out
    short = explorer_here("plan", *DIGITS, *SMALL, "--minutes", 0.001, "--store", trained_store)
    assert short.code == 0, short.err
    # which of the two trained faster is the machine's affair
    assert "nothing to run: the shortest, train another seed of wrn10-0." in short.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--minutes", 0), "x>0"),
        (("--minutes", "inf"), "above 0"),
        (("--minutes", 5, "--goal", "regret"), "--budget or --target"),
        (("--minutes", 5, "--budget", "macs<=1M", "--target", "accuracy>=0.9"), "not both"),
        (("--minutes", 5, "--budget", "latency@cuda<=1ms"), "no member of digits has a cost"),
        ((), "--minutes"),
    ],
)
def test_bad_input_is_one_line(explorer_here, trained_store, arguments, said) -> None:
    done = explorer_here("plan", *DIGITS, *SMALL, *arguments, "--store", trained_store)
    assert done.code == 2
    assert said in done.error_line
