import json

import pytest

from explorer.store import Store


def profile(explorer_here, tmp_path, *arguments):
    done = explorer_here("profile", *arguments, "--store", tmp_path / "store")
    return done


def test_rows_scenarios_and_a_second_run_that_times_nothing(explorer_here, tmp_path):
    arguments = (
        "wrn10-0.25@8", "--channels", 1, "--device", "cpu/eager", "--batch", "1,4", "--seconds", 0.05,
        "--scenario", "single-stream,offline,server", "--latency-bound", "1s", "--json",
    )  # fmt: skip
    first = profile(explorer_here, tmp_path, *arguments)
    assert first.code == 0, first.err
    assert "plan: 2 rows to time" in first.err
    document = json.loads(first.out)
    assert [(row["model"], row["workload"]) for row in document["rows"]] == [
        ("wrn10-0.25@8", "cpu/eager"),
        ("wrn10-0.25@8", "cpu/b4/eager"),
    ]
    for row in document["rows"]:
        assert row["basis"] == "measured"
        assert row["low"] <= row["latency_s"]["p50"] <= row["high"]
        assert row["throughput_per_s"] == pytest.approx(row["batch"] / row["latency_s"]["p50"])
        assert row["observations"]["reference_ratio"] > 0
        assert not row["from_store"]
    scenarios = {row["scenario"]: row for row in document["scenarios"]}
    assert scenarios["single-stream"]["basis"] == "measured"
    assert scenarios["offline"]["value"] == max(row["throughput_per_s"] for row in document["rows"])
    assert scenarios["server"]["basis"] == "composed"

    again = profile(explorer_here, tmp_path, *arguments)
    assert "plan: 0 rows to time" in again.err
    assert all(row["from_store"] for row in json.loads(again.out)["rows"])
    assert json.loads(again.out)["scenarios"] == document["scenarios"]


def test_a_plan_is_shown_and_nothing_is_written(explorer_here, tmp_path):
    done = profile(
        explorer_here, tmp_path, "wrn10-0.25", "wrn10-0.5@8", "--resolution", "8,12", "--batch", "1,8",
        "--precision", "fp32,bf16", "--nhwc", "--threads", "1,2", "--repeat", "3", "--plan", "--json",
    )  # fmt: skip
    document = json.loads(done.out)

    rows = [(row["model"], row["workload"]) for row in document["planned"]]
    # 2 batches x 2 threads x (fp32 on two runtimes, bf16 on one), three models
    assert len(rows) == len(set(rows)) == 36
    assert rows[:3] == [
        ("wrn10-0.25@8", "cpu/nhwc"),
        ("wrn10-0.5@8", "cpu/nhwc"),
        ("wrn10-0.25@12", "cpu/nhwc"),
    ]
    assert document["seconds"] == pytest.approx(sum(row["seconds"] for row in document["planned"]))
    with Store.open(tmp_path / "store") as store:
        assert store.costs() == ()


def test_a_short_time_leaves_rows_out_and_says_so(explorer_here, tmp_path):
    done = profile(
        explorer_here,
        tmp_path,
        "wrn10-0.25@8",
        "--channels",
        1,
        "--batch",
        "1,2,4,8",
        "--minutes",
        "0.1",
        "--plan",
    )
    assert done.code == 0
    assert "left out for lack of time, about" in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "name at least one MODEL"),
        (("--batch", "0"), 2, "not a list of batch sizes: '0'; wanted whole numbers of 1 or more"),
        (("--threads", "two"), 2, "not a list of threads sizes"),
        (("--precision", "fp31"), 2, "unknown precision 'fp31'; did you mean fp32, fp16?"),
        (("--runtime", "jit"), 2, "unknown runtime 'jit'"),
        (("--device", "rtx409"), 2, "unknown device 'rtx409'; did you mean rtx4090"),
        (("--device", "rtx4090/b8"), 3, "measure there, or --predict"),
        (("--device", "coral-edge-tpu"), 3, "measure there, or --predict"),
        (("--device", "cuda:97"), 3, "device 'cuda:97' is not here"),
        (("--device", "cpu/x9"), 2, "unknown part 'x9' in workload 'cpu/x9'"),
        (("--precision", "tf32", "--runtime", "eager"), 2, "tf32 is a mode of CUDA devices"),
        (("--scenario", "offlin"), 2, "unknown scenario 'offlin'"),
        (("--scenario", "server"), 2, "the server scenario needs --latency-bound"),
        (("--scenario", "server", "--latency-bound", "soon"), 2, "soon"),
        (("--latency-bound", "1ms"), 2, "belongs to --scenario server"),
        (("--minutes", "0"), 2, "minutes"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(explorer_here, tmp_path, arguments, code, message):
    models = ("wrn10-0.25@8",) if arguments else ()
    done = profile(explorer_here, tmp_path, *models, *arguments)

    assert done.code == code
    assert message in done.error_line
    assert done.out == ""
