"""Turn the events of a run into tables: two CSV files with every figure, and one page to read."""

import csv
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OURS = "explorer"
APART = 0.01
"""Counts that differ by more than this share are a disagreement."""
NAMED = 0.005
"""A cause is listed for a model when it moves the count by at least this share of ours."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What one counter did with one model, over all rounds."""

    status: str
    reason: str = ""
    macs: int = 0
    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    causes: list[tuple[str, int]] = field(default_factory=list)
    left_patched: set[str] = field(default_factory=set)

    @property
    def best(self) -> float:
        """CPU seconds of the fastest round: noise only ever adds."""
        return min(self.cpu_s)


@dataclass(slots=True, kw_only=True)
class Results:
    """A run's events, by model and counter."""

    facts: dict[str, dict[str, Any]]
    """Of each model: resolution, parameters, seconds to build it, seconds of a plain pass."""
    outcomes: dict[tuple[str, str], Outcome]
    begins: list[dict[str, Any]]
    """One a sitting: a run may be interrupted and continued."""
    runs: list[dict[str, Any]]
    """One a sitting that came to its end."""

    @property
    def counters(self) -> list[str]:
        """Ours first, the others in the order they were met, which is that of their table."""
        order = ["torch-meta", "torch-cpu", "fvcore", "ptflops-pytorch", "ptflops-aten", "thop", "torchinfo"]
        return [OURS, *order, "deepspeed"]

    def of(self, counter: str, status: str = "ok") -> dict[str, Outcome]:
        """Return a counter's outcomes of one status, by model."""
        return {
            model: self.outcomes[model, counter]
            for model in self.facts
            if (model, counter) in self.outcomes and self.outcomes[model, counter].status == status
        }

    def both(self, counter: str) -> list[tuple[str, Outcome, Outcome]]:
        """Return (model, ours, theirs) for the models that both counted."""
        ours, theirs = self.of(OURS), self.of(counter)
        return [(model, ours[model], theirs[model]) for model in ours if model in theirs]


def gather(events: Iterable[dict[str, Any]]) -> Results:
    """Fold events into one outcome a model and counter; a failed round makes the outcome failed."""
    facts: dict[str, dict[str, Any]] = {}
    outcomes: dict[tuple[str, str], Outcome] = {}
    begins, runs = [], []
    for event in events:
        if event["event"] == "run":
            runs.append(event)
        elif event["event"] == "begin":
            begins.append(event)
        elif event["event"] == "model":
            facts.setdefault(event["model"], event)
        elif event["event"] == "result":
            key = (event["model"], event["counter"])
            facts.setdefault(event["model"], {"model": event["model"], "limit": ""})
            outcome = outcomes.setdefault(key, Outcome(status=event["status"]))
            _add(outcome, event)
    return Results(facts=facts, outcomes=outcomes, begins=begins, runs=runs)


def _add(outcome: Outcome, event: dict[str, Any]) -> None:
    if event["status"] != "ok":
        outcome.status, outcome.reason = event["status"], event["reason"]
        return
    outcome.macs = event["macs"]
    outcome.cpu_s.append(event["cpu_s"])
    outcome.wall_s.append(event["wall_s"])
    outcome.load.append(event["load"])
    outcome.skipped |= event.get("skipped") or {}
    outcome.left_patched |= set(event["left_patched"])
    outcome.causes += [(cause, macs) for cause, macs in event.get("causes") or ()]


def write(events: Iterable[dict[str, Any]], out: Path, note: str = "") -> None:
    """Write models.csv, counters.csv and counters.md into ``out``; ``note`` goes with the conditions.

    Raises:
        ValueError: the run has not ended, so nothing says where and how it was made.
    """
    results = gather(events)
    if not results.runs:
        raise ValueError("the run has not ended: start it again, it continues where it stopped")
    out.mkdir(parents=True, exist_ok=True)
    _write_models(results, out / "models.csv")
    _write_counters(results, out / "counters.csv")
    (out / "counters.md").write_text(_page(results, note))


# ---- tables of everything -------------------------------------------------------------------------

_FACTS = ("resolution", "parameters", "build_meta_s", "build_cpu_s", "forward_s", "limit")


def _write_models(results: Results, file: Path) -> None:
    ours = results.of(OURS)
    with file.open("w", newline="") as opened:
        table = csv.writer(opened, lineterminator="\n")
        table.writerow(["model", *_FACTS, "macs"])
        for model, facts in results.facts.items():
            macs = ours[model].macs if model in ours else ""
            table.writerow([model, *(_rounded(facts.get(name, "")) for name in _FACTS), macs])


def _write_counters(results: Results, file: Path) -> None:
    ours = results.of(OURS)
    head = "model counter status reason macs ratio_to_ours rounds cpu_s wall_s skipped causes left_patched"
    with file.open("w", newline="") as opened:
        table = csv.writer(opened, lineterminator="\n")
        table.writerow(head.split())
        for model in results.facts:
            for counter in results.counters:
                outcome = results.outcomes.get((model, counter))
                if outcome is None:
                    continue
                base = ours[model].macs if model in ours else 0
                table.writerow([model, counter, *_cells(outcome, base)])


def _cells(outcome: Outcome, base: int) -> list[object]:
    if outcome.status != "ok":
        return [outcome.status, outcome.reason, *[""] * 8]
    ratio = f"{outcome.macs / base:.5f}" if base else ""
    times = [len(outcome.cpu_s), _rounded(outcome.best), _rounded(min(outcome.wall_s))]
    skipped = "; ".join(f"{name} x{n}" for name, n in sorted(outcome.skipped.items()))
    causes = "; ".join(f"{cause}: {macs:+d}" for cause, macs in outcome.causes)
    left = "; ".join(sorted(outcome.left_patched))
    return ["ok", "", outcome.macs, ratio, *times, skipped, causes, left]


def _rounded(value: object) -> object:
    return f"{value:.4f}" if isinstance(value, float) else value


# ---- the page -------------------------------------------------------------------------------------


def _page(results: Results, note: str) -> str:
    sections = (_times, _agreement, _causes, _skipped, _failures, _limits)
    head = _conditions(results) + (f"\n- {note}" if note else "")
    return "\n\n".join((head, *(section(results) for section in sections))) + "\n"


def _conditions(results: Results) -> str:
    last = results.runs[-1]
    limits = last["limits"]
    loads = [load for outcome in results.outcomes.values() for load in outcome.load]
    versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
    minutes = sum(run["seconds"] for run in results.runs) / 60
    cut = len(results.begins) - len(results.runs)
    sittings = f" in {len(results.begins)} sittings" if len(results.begins) > 1 else ""
    sittings += f", {cut} of them cut short and not in this time" if cut else ""
    return f"""# Counters compared

{len(results.facts)} architectures (`benchmarks/sample.txt`), each at timm's own resolution, batch 1, one run.

- {last["date"]}, {minutes:.0f} minutes{sittings}; {last["cores"]} cores, {last["processor"]};
  Python {last["python"]}.
- {versions}.
- explorer revision {last["revision"]} (+: with changes).
- Low priority on a shared machine: load {results.begins[0]["load"]:.1f} before, median
  {statistics.median(loads):.1f} during. Times are therefore **CPU time of one thread**, the faster of up to
  {limits["rounds"]} rounds; in a round every counter has its turn, each model starts with another one.
- `python -m benchmarks.counters run --work DIR`, then `report --work DIR` (benchmarks/README.md).
- Only `explorer` and `torch-meta` (torch's counter at its best) count without weights. The others are run as
  documented, on a model with weights; not on models with more than {limits["parameters"] / 1e6:.0f} M
  parameters or a plain pass over {limits["forward_s"]:g} s (last table). A step may take
  {last["time_limit_s"]:g} s and {limits["memory_bytes"] / 2**30:.0f} GiB.
- Every figure is in `counters.csv` and `models.csv`."""


def _times(results: Results) -> str:
    head = "counter|counted|failed|over limit|count / ours|build + count / ours|count / plain pass"
    rows = []
    for counter in results.counters:
        counts = [len(results.of(counter, status)) for status in ("ok", "failed", "limit")]
        both = results.both(counter)
        alone = [theirs.best / ours.best for _, ours, theirs in both]
        whole = [
            _whole(results, m, counter, theirs) / _whole(results, m, OURS, ours) for m, ours, theirs in both
        ]
        passes = [
            outcome.best / results.facts[model]["forward_s"]
            for model, outcome in results.of(counter).items()
            if results.facts[model].get("forward_s")
        ]
        rows.append([counter, *counts, _spread(alone), _spread(whole), _spread(passes)])
    text = "Medians over the models that both counted, quartiles in brackets; above 1 means slower than ours."
    return f"## Time\n\n{text}\n\n{_table(head, rows)}\n\n{_against_fvcore(results)}"


def _whole(results: Results, model: str, counter: str, outcome: Outcome) -> float:
    """CPU seconds from a name to a figure: building the model as this counter needs it, and counting."""
    on_meta = counter in (OURS, "torch-meta")
    return results.facts[model]["build_meta_s" if on_meta else "build_cpu_s"] + outcome.best


def _against_fvcore(results: Results) -> str:
    both = results.both("fvcore")
    if not both:
        return "No model was counted by both explorer and fvcore."
    alone = sum(t.best for _, _, t in both) / sum(o.best for _, o, _ in both)
    whole = sum(_whole(results, m, "fvcore", t) for m, _, t in both) / sum(
        _whole(results, m, OURS, o) for m, o, _ in both
    )
    return (
        f"All {len(both)} models that both fvcore and explorer counted, together: counting alone fvcore "
        f"takes {alone:.1f} x our CPU time, building the models included {whole:.1f} x."
    )


def _agreement(results: Results) -> str:
    head = "counter|models|same to the last MAC|within 1 %|within 5 %|lowest|highest"
    rows = []
    for counter in results.counters[1:]:
        found = {model: theirs.macs / ours.macs for model, ours, theirs in results.both(counter) if ours.macs}
        if not found:
            continue
        same = sum(theirs.macs == ours.macs for _, ours, theirs in results.both(counter))
        near = [sum(abs(ratio - 1) <= limit for ratio in found.values()) for limit in (APART, 0.05)]
        low, high = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
        ends = [f"{found[model]:.4f} {model}" for model in (low, high)]
        rows.append([counter, len(found), same, *near, *ends])
    return f"## Agreement\n\nMACs as a ratio to ours (torch's figure halved).\n\n{_table(head, rows)}"


def _causes(results: Results) -> str:
    head = "counter|cause|models|median effect|largest effect"
    rows: list[list[object]] = []
    unexplained = []
    for counter in results.counters[1:]:
        effects: dict[str, dict[str, float]] = defaultdict(dict)
        for model, ours, theirs in results.both(counter):
            if not ours.macs or abs(theirs.macs / ours.macs - 1) <= APART:
                continue
            shares = {cause: macs / ours.macs for cause, macs in theirs.causes}
            for cause, share in shares.items():
                if abs(share) >= NAMED:
                    effects[cause][model] = share
            if abs(sum(share for cause, share in shares.items() if cause.startswith("unexplained"))) > 0.001:
                unexplained.append(f"{counter} on {model}")
        for cause, at in sorted(effects.items(), key=lambda item: -len(item[1])):
            worst = max(at, key=lambda model: abs(at[model]))
            middle = f"{statistics.median(at.values()):+.1%}"
            rows.append([counter, cause, len(at), middle, f"{at[worst]:+.1%} {worst}"])
    text = (
        "For every model on which a counter is more than 1 % from ours, its difference is split into terms "
        "that add up to it exactly, by laying its own break-down (by module or operator) beside ours. "
        "Listed: terms of at least 0.5 % of the model."
    )
    rest = ", ".join(unexplained) if unexplained else "none"
    return f"## Why they disagree\n\n{text}\n\n{_table(head, rows)}\n\nLeft without a name: {rest}."


_REPORTING = frozenset((OURS, "fvcore", "ptflops-pytorch", "ptflops-aten", "thop"))


def _skipped(results: Results) -> str:
    head = "counter|models with something skipped|operators or modules, by models"
    rows = []
    for counter in results.counters:
        met: Counter[str] = Counter()
        outcomes = results.of(counter).values()
        for outcome in outcomes:
            met.update(outcome.skipped.keys())
        affected = sum(bool(outcome.skipped) for outcome in outcomes)
        names = ", ".join(f"{name} {n}" for name, n in met.most_common(12))
        rows.append([counter, affected, names or ("none" if counter in _REPORTING else "has no report")])
    text = (
        "What a counter itself reports as left out (torch's, torchinfo and DeepSpeed have no such report: "
        "what they miss shows only in the table above). Ours: operators without a formula, `Cost.uncounted`."
    )
    return f"## Skipped operators\n\n{text}\n\n{_table(head, rows)}"


def _failures(results: Results) -> str:
    rows = [
        [model, counter, outcome.reason.replace("|", "/")]
        for counter in results.counters
        for model, outcome in results.of(counter, "failed").items()
    ]
    patched = Counter(c for (_, c), outcome in results.outcomes.items() if outcome.left_patched)
    left = ", ".join(f"{name} ({n} models)" for name, n in patched.items()) or "none"
    body = _table("model|counter|reason", rows) if rows else "None."
    text = "Functions of torch left replaced after counting, put back by the benchmark"
    return f"## Failures\n\n{body}\n\n{text}: {left}."


def _limits(results: Results) -> str:
    rows = [[model, facts["limit"]] for model, facts in results.facts.items() if facts["limit"]]
    body = _table("model|limit", rows) if rows else "None."
    return f"## Models that only explorer and torch-meta counted\n\n{body}"


def _spread(ratios: Sequence[float]) -> str:
    if len(ratios) < 4:
        return ", ".join(f"{ratio:.2f}" for ratio in ratios) or "-"
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def _table(head: str, rows: Sequence[Sequence[object]], text: Callable[[object], str] = str) -> str:
    names = head.split("|")
    lines = [names, ["---"] * len(names), *([text(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
