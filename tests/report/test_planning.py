"""Plans as text and documents: what is said, and commands that can be typed as they stand."""

import json
import shlex
from dataclasses import replace

import pytest

from explorer.analysis.planning.planner import Action, Goal, MeasurementPlan, PlannedRun
from explorer.analysis.planning.planner_choice import MeasureRun, RunPlan, SeedRun, Step
from explorer.analysis.training_runs import Training
from explorer.convention import Basis, CostAxis
from explorer.question import Budget, Target
from explorer.record import CostFigure, TrainingRecord
from explorer.report.planning import plan_document, plan_text, profile_command, train_command
from explorer.spec import Member, ModelSpec

LATENCY = CostAxis.parse("latency@cpu/t2")


def training(recipe_id="quick-1234abcd", *, recipe=None, **changes):
    record = TrainingRecord(
        recipe_id=recipe_id,
        recipe={"epochs": 3, **(recipe or {})},
        epochs=3,
        examples_seen=1,
        wall_s=60.0,
        device="cpu",
        macs=1,
        curve=(),
        versions={},
    )
    return Training(
        member=Member("wrn10-1", 8, 0, recipe_id),
        record=replace(record, **changes),
        seconds=CostFigure(value=60.0, low=60.0, high=60.0, basis=Basis.MEASURED),
        alike=1,
        teachers=(),
        goes_on_from=(),
        missing_cycles=(),
    )


def action(name, minutes):
    return Action(name=name, minutes=minutes, shows={"x": 1.0}, noise=0.1)


TRAIN, MEASURE = action("train another seed of wrn10-1@8", 2.0), action("measure latency", 0.5)


def planned(which, times, before, after):
    return PlannedRun(action=which, times=times, before=before, after=after, error=0.001)


STEPS = (
    Step(planned=planned(TRAIN, 2, 0.25, 0.125), run=SeedRun(training=training(), seeds=(3, 4))),
    Step(
        planned=planned(MEASURE, 4, 0.125, 0.0625),
        run=MeasureRun(model=ModelSpec("wrn10-1", 8), device="cpu/t2", kind="latency", times=4),
    ),
)


def made(*, steps=STEPS, question=None, goal=Goal.WRONG, stopped="minutes", actions=(TRAIN, MEASURE)):
    plan = MeasurementPlan(
        goal=goal,
        minutes=7.0,
        runs=tuple(step.planned for step in steps),
        now=0.25,
        then=steps[-1].planned.after if steps else 0.25,
        at_best=0.01,
        spent=sum(step.planned.minutes for step in steps),
        stopped=stopped,
    )
    return RunPlan(
        question=question,
        plan=plan,
        steps=steps,
        options=(),
        actions=actions,
        deviation=0.0125,
        by_macs={"net1@8": "net0@8"},
        left_out={"net2@8": "it was not trained here"},
        unmeasured=(ModelSpec("wrn10-9", 8),),
        notes=("of the search",),
    )


def test_text_gives_each_run_its_minutes_its_gain_and_its_command(pool):
    text = plan_text(made(), LATENCY, pool, "my store")
    assert "25.0% now, 6.25% after the plan, 1.00% if everything was run without end" in text
    assert "scatters over seeds by 1.2 points" in text
    assert "1. 4 min: train 2 more seeds of wrn10-1@8 (recipe quick-1234abcd): 25.0% → 12.5%" in text
    assert "2. 2 min: measure latency of wrn10-1@8 on cpu/t2 4 times again: 12.5% → 6.25%" in text
    assert "together 6 min of 7 min; it ends there because no further run fits" in text
    for said in (
        "minutes of net1@8 by MACs from net0@8",
        "net2@8: it was not trained",
        "note: of the search",
    ):
        assert said in text
    assert "wrn10-9@8 was trained but has no latency@cpu/t2" in text
    commands = [line.strip() for line in text.splitlines() if line.startswith("   explorer")]
    assert shlex.split(commands[0])[-2:] == ["--store", "my store"]
    assert "--data-dir" not in text, "digits ship"
    assert "--data-dir" in plan_text(made(), LATENCY, replace(pool, dataset="cifar10"), None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stopped": "sure"}, "nothing uncertain could change the answer"),
        ({"actions": ()}, "no model can be trained further or measured"),
        ({"actions": (action("train X", 8.0),)}, "the shortest, train X, takes 8 min"),
        ({"stopped": "no gain"}, "tell from nothing"),
    ],
)
def test_plan_of_nothing_says_why(pool, changes, said):
    text = plan_text(made(steps=(), **changes), LATENCY, pool, None)
    assert "nothing to run: " in text
    assert said in text


@pytest.mark.parametrize(
    ("question", "goal", "said"),
    [
        (None, Goal.WRONG, "designs expected to be wrongly on the front or off it: 25.0% now"),
        (Budget(LATENCY, 5e-3), Goal.WRONG, "chance that the design chosen is not the one"),
        (Budget(LATENCY, 5e-3), Goal.REGRET, "accuracy expected to be lost by the choice: 25 points now"),
        (Target(0.9), Goal.REGRET, "cost expected to be lost by the choice: 250 ms now"),
    ],
)
def test_goal_is_said_in_its_own_unit(pool, question, goal, said):
    assert said in plan_text(made(question=question, goal=goal), LATENCY, pool, None)


def test_training_commands_repeat_how_a_member_was_made():
    assert train_command(SeedRun(training=training(), seeds=(3,)), "digits", None) == (
        "explorer train wrn10-1@8 --dataset digits --seeds 3 --recipe quick --epochs 3"
    )
    sharing = training(recipe={"epochs": 3, "train_share": 0.1})
    assert train_command(SeedRun(training=sharing, seeds=(0,)), "digits", None).endswith("--train-share 0.1")
    student = training(
        "distilled-99999999",
        recipe={"base": "quick-1234abcd"},
        teacher="mean(a@8~quick-1234abcd#0, a@8~quick-1234abcd#1)",
        device="cuda",
        precision="bfloat16",
        compiled=True,
    )
    words = shlex.split(train_command(SeedRun(training=student, seeds=(1, 2)), "digits", None))
    assert words[words.index("--teacher") + 1] == student.record.teacher
    assert words[words.index("--recipe") + 1] == "quick"
    assert words[words.index("--seeds") + 1] == "1-2"
    assert words[-5:] == ["--device", "cuda", "--precision", "bfloat16", "--compile"]


def test_profile_commands_name_the_workload(pool):
    assert profile_command(ModelSpec("wrn10-1", 8), CostAxis.parse("energy@cuda/b64"), pool, None, 2) == (
        "explorer profile wrn10-1@8 --dataset digits --device cuda/b64 --again --repeat 2 --energy"
    )


def test_document_has_the_plan(pool):
    document = json.loads(json.dumps(plan_document(made(), LATENCY, pool, None), allow_nan=False))
    assert document["schema_version"] == 1
    assert [(run["kind"], run["times"], run["minutes"]) for run in document["runs"]] == [
        ("train", 2, 4.0),
        ("measure", 4, 2.0),
    ]
    assert document["runs"][0]["seeds"] == [3, 4]
    assert (document["now"], document["then"], document["at_best"]) == (0.25, 0.0625, 0.01)
    assert document["unmeasured"][0]["model"] == "wrn10-9@8"
    assert document["left_out"] == {"net2@8": "it was not trained here"}
