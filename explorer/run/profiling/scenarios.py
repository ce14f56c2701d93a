"""What timed rows say about three ways of use: single-stream, offline, server."""

from collections.abc import Sequence
from dataclasses import replace

from explorer.convention import Basis
from explorer.errors import UsageError
from explorer.measure.scenario import ServerAnswer, offline, server_rate
from explorer.profile_record import ProfileRow, ScenarioRow
from explorer.workload import Workload

SCENARIOS = ("single-stream", "offline", "server")
_BATCHES = {"cpu": (1, 2, 4, 8, 16), "cuda": (1, 4, 16, 64, 256)}
"""Sizes timed where a scenario is to choose one and none were named."""
_SECOND = "1/s"


def scenario_batches(device: str, scenarios: Sequence[str]) -> tuple[int, ...]:
    """Return the batch sizes that scenarios need: one, or a range to choose from."""
    if not {"offline", "server"} & set(scenarios):
        return (1,)
    return _BATCHES["cpu" if Workload.parse(device).device == "cpu" else "cuda"]


def require_scenarios(scenarios: Sequence[str], bound_s: float | None) -> None:
    """Refuse scenarios that do not exist or lack their bound.

    Raises:
        UsageError: the message says what is wanted.
    """
    for name in scenarios:
        if name not in SCENARIOS:
            raise UsageError(f"unknown scenario {name!r}; known: {', '.join(SCENARIOS)}")
    if "server" in scenarios and bound_s is None:
        raise UsageError("the server scenario needs --latency-bound, e.g. --latency-bound 15ms")
    if bound_s is not None and "server" not in scenarios:
        raise UsageError("--latency-bound belongs to --scenario server")


def scenario_rows(
    rows: Sequence[ProfileRow], scenarios: Sequence[str], *, bound_s: float | None = None, seed: int = 0
) -> tuple[ScenarioRow, ...]:
    """Return each scenario's answer for every model and workload, its batches taken together.

    Args:
        rows: timed; those without a figure take no part.
        scenarios: names, see `SCENARIOS`.
        bound_s: on the server's p99.
        seed: of the simulated arrivals.

    Raises:
        UsageError: an unknown scenario, or ``server`` without a bound.
    """
    require_scenarios(scenarios, bound_s)
    groups: dict[tuple[str, Workload], dict[int, ProfileRow]] = {}
    for row in rows:
        if row.figure is not None:
            key = (row.subject, replace(row.workload, batch=1))
            groups.setdefault(key, {})[row.workload.batch] = row
    found = []
    for name in dict.fromkeys(scenarios):
        for (subject, workload), by_batch in groups.items():
            if name == "single-stream":
                found.append(_single_stream(subject, workload, by_batch))
            elif name == "offline":
                found.append(_offline(subject, workload, by_batch))
            else:
                found.append(_server(subject, workload, by_batch, bound_s or 0.0, seed))
    return tuple(found)


def _single_stream(subject: str, workload: Workload, by_batch: dict[int, ProfileRow]) -> ScenarioRow:
    row = by_batch.get(1)
    tail = None if row is None else row.tails.get("p90")
    if row is None or row.run is None or tail is None:
        return _without(subject, "single-stream", workload, "s", "batch 1 was not timed")
    return ScenarioRow(
        subject=subject,
        scenario="single-stream",
        workload=workload,
        unit="s",
        value=tail.value,
        low=tail.low,
        high=tail.high,
        basis=Basis.MEASURED,
        details={
            "quantile": tail.quantile,
            "confidence": tail.confidence,
            "early_stopping_s": tail.early_stopping,
            "samples": len(row.run.samples_s),
        },
    )


def _offline(subject: str, workload: Workload, by_batch: dict[int, ProfileRow]) -> ScenarioRow:
    figures = {batch: row.figure for batch, row in sorted(by_batch.items()) if row.figure is not None}
    batch, best = offline(figures)
    return ScenarioRow(
        subject=subject,
        scenario="offline",
        workload=replace(workload, batch=batch),
        unit=_SECOND,
        value=best.value,
        low=best.low,
        high=best.high,
        basis=best.basis,
        details={"batches": list(figures)},
    )


def _server(
    subject: str, workload: Workload, by_batch: dict[int, ProfileRow], bound_s: float, seed: int
) -> ScenarioRow:
    service = {batch: row.run.samples_s for batch, row in sorted(by_batch.items()) if row.run is not None}
    if not service:
        return _without(subject, "server", workload, _SECOND, "no batch was timed here")
    answer = server_rate(service, bound_s, seed=seed)
    if answer is None:
        reason = f"p99 is above {bound_s!r} s even when the server is idle"
        return _without(subject, "server", workload, _SECOND, reason, bound_s=bound_s)
    return ScenarioRow(
        subject=subject,
        scenario="server",
        workload=replace(workload, batch=answer.max_batch),
        unit=_SECOND,
        value=answer.rate,
        low=answer.low,
        high=answer.high,
        basis=answer.basis,
        details=_server_details(answer, list(service)),
    )


def _server_details(answer: ServerAnswer, batches: list[int]) -> dict[str, object]:
    return {
        "p99_bound_s": answer.bound_s,
        "share_of_capacity": answer.offered_share,
        "batches": batches,
        "simulated_queries": answer.queries,
        "seeds": list(answer.seeds),
    }


def _without(
    subject: str, scenario: str, workload: Workload, unit: str, reason: str, **details: object
) -> ScenarioRow:
    return ScenarioRow(
        subject=subject,
        scenario=scenario,
        workload=workload,
        unit=unit,
        value=None,
        low=None,
        high=None,
        basis=Basis.COMPOSED if scenario == "server" else Basis.MEASURED,
        details=details,
        error=reason,
    )
