import pytest

from explorer.errors import ConventionError, ExplorerError, unknown_name
from explorer.record import DOUBTFUL_SPREAD, Conditions, LatencyRun


def run(samples, *, threads=1, subject="wrn10-1@8", observations=None, form="as-built"):
    conditions = Conditions(
        device="cpu",
        device_name="a processor",
        dtype="float32",
        batch=1,
        threads=threads,
        backend="torch-eager",
        versions={"torch": "2.13.0"},
        form=form,
    )
    return LatencyRun(
        subject=subject,
        samples_s=tuple(samples),
        warmup_s=(0.5,),
        conditions=conditions,
        stop_reason="steady",
        observations=observations or {},
    )


def test_median_and_spread() -> None:
    latency = run([0.010, 0.011, 0.013, 0.017, 0.019])

    assert latency.median_s == 0.013
    # quartiles of 5 values by the exclusive method: ranks 1.5 and 4.5
    assert latency.spread == pytest.approx((0.018 - 0.0105) / 0.013)
    assert latency.doubtful


def test_a_tight_run_is_not_doubtful_and_too_few_samples_are() -> None:
    assert not run([1.0, 1.01, 1.02, 1.03, 1.04]).doubtful
    assert run([1.0, 1.0]).doubtful
    assert DOUBTFUL_SPREAD == 0.2


def test_pooling_keeps_every_sample() -> None:
    assert run([1.0, 2.0]).pooled(run([3.0])).samples_s == (1.0, 2.0, 3.0)


def test_pooling_keeps_what_both_runs_saw() -> None:
    first = run([1.0], observations={"driver": "1", "clock_mhz": 5, "throttled": True})
    second = run([2.0], observations={"driver": "1", "clock_mhz": 7})

    assert first.pooled(second).observations == {
        "driver": "1",
        "clock_mhz": (5, 7),
        "throttled": (True, None),
    }


def test_runs_under_different_conditions_are_not_pooled() -> None:
    with pytest.raises(ConventionError, match="cannot be pooled, they differ in threads: 1 against 2"):
        run([1.0]).pooled(run([1.0], threads=2))
    with pytest.raises(ConventionError, match="differ in form: 'as-built' against 'deploy'"):
        run([1.0]).pooled(run([1.0], form="deploy"))
    with pytest.raises(ConventionError, match="subject: 'wrn10-1@8' against 'mlp8x1@8'"):
        run([1.0]).pooled(run([1.0], subject="mlp8x1@8"))


def test_every_error_has_an_exit_code_and_there_are_few() -> None:
    kinds = ExplorerError.__subclasses__()

    assert len(kinds) <= 6
    assert {kind.exit_code for kind in kinds} == {1, 2, 3}


def test_unknown_names_offer_near_ones() -> None:
    assert "did you mean wrn?" in str(unknown_name("family", "wnr", ["wrn", "mlp"]))
    assert "and 5 more" in str(unknown_name("family", "zzz", [f"m{i:02}" for i in range(25)]))
