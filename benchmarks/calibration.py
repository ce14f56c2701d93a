"""Check in simulation that intervals cover, null comparisons cannot tell, and promises hold as often as said.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.calibration [--repeats N] [--out FILE.json]

One thread, because the matrices are small: on a busy machine several threads wait for one another.

Every row says what was drawn, what share of repeats did what is promised, and the Monte Carlo error of that
share. Beside ours stands the interval a textbook would take (Wald) on the same draws: that is the peer.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks import machine
from explorer.analysis.bootstrap import paired_interval, share_interval, tells
from explorer.analysis.result import Interval
from explorer.analysis.statistics.guarantee import (
    TwoStages,
    accuracy_threshold,
    cost_threshold,
    near_full_threshold,
)
from explorer.analysis.statistics.seeds import Resampling, SeedValues, seed_sets
from explorer.analysis.statistics.selective import guaranteed_coverage

LEVEL = 0.95
TARGET = (0.93, 0.97)
_Z = 1.959963984540054
_PACKAGES = ("numpy", "scipy")
SIZES = (100, 500, 2_000, 10_000)
ACCURACIES = (0.5, 0.8, 0.95, 0.99)
DISCORDANCES = (0.005, 0.02, 0.1, 0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setting, and how often what is promised happened."""

    statistic: str
    setting: dict[str, float]
    promised: float
    found: float
    error: float
    """Monte Carlo standard error of ``found``."""
    peer: float | None
    """The same share for the Wald interval on the same draws; None where there is no peer."""
    repeats: int
    note: str = ""


def covered(hits: float, repeats: int, **more: object) -> Row:
    """Return a row of ``hits`` among ``repeats``."""
    share = hits / repeats
    # at 0 or 1 the plug-in error would be 0: half a hit is put on either side
    inside = (hits + 0.5) / (repeats + 1)
    error = float(np.sqrt(inside * (1 - inside) / repeats))
    return Row(found=share, error=error, repeats=repeats, **more)  # type: ignore[arg-type]


def share_rows(repeats: int, random: np.random.Generator) -> list[Row]:
    """Return the coverage of `share_interval` over examples and accuracies."""
    rows = []
    for n in SIZES:
        for accuracy in ACCURACIES:
            counts = Counter(random.binomial(n, accuracy, repeats).tolist())
            ours = sum(times for count, times in counts.items() if holds(share_interval(count, n), accuracy))
            wald = sum(
                times for count, times in counts.items() if abs(count / n - accuracy) <= _half(count, n)
            )
            wilson = sum(t for c, t in counts.items() if share_interval(c, n).method == "wilson")
            rows.append(
                covered(
                    ours,
                    repeats,
                    statistic="share_interval",
                    setting={"n": n, "accuracy": accuracy},
                    promised=LEVEL,
                    peer=wald / repeats,
                    note=f"{wilson / repeats:.0%} Wilson" if wilson else "",
                )
            )
    return rows


def paired_rows(repeats: int, random: np.random.Generator) -> list[Row]:
    """Return the coverage of `paired_interval`, and how often null cases say "cannot tell"."""
    rows = []
    for n in SIZES:
        draws = repeats if n < SIZES[-1] else max(1, repeats // 4)
        for discordance in DISCORDANCES:
            for difference in (0.0, discordance / 2):
                up, down = (discordance + difference) / 2, (discordance - difference) / 2
                drawn = random.multinomial(n, [up, down, 1 - up - down], draws)[:, :2]
                pairs = Counter(map(tuple, drawn.tolist()))
                found = {pair: interval(pair[0], pair[1], n) for pair in pairs}
                setting = {"n": n, "discordance": discordance, "difference": difference}
                inside = sum(t for pair, t in pairs.items() if holds(found[pair], difference))
                wald = sum(
                    t for (b, c), t in pairs.items() if abs((b - c) / n - difference) <= _wald(b, c, n)
                )
                widened: Counter[str] = Counter()
                for pair, times in pairs.items():
                    widened[found[pair].method] += times
                note = ", ".join(f"{method} {times / draws:.0%}" for method, times in widened.most_common())
                common = {"setting": setting, "note": note}
                rows.append(
                    covered(
                        inside,
                        draws,
                        statistic="paired_interval",
                        promised=LEVEL,
                        peer=wald / draws,
                        **common,
                    )
                )
                if difference == 0:
                    quiet = sum(t for pair, t in pairs.items() if not tells(found[pair]))
                    loud = sum(t for (b, c), t in pairs.items() if abs(b - c) / n <= _wald(b, c, n))
                    rows.append(
                        covered(
                            quiet,
                            draws,
                            statistic="cannot tell (null)",
                            promised=LEVEL,
                            peer=loud / draws,
                            **common,
                        )
                    )
    return rows


def seed_rows(repeats: int, random: np.random.Generator) -> list[Row]:
    """Return the coverage of two-level intervals: examples and seeds drawn anew, the truth by integration."""
    rows = []
    for n in (200, 1_000):
        resampling = Resampling(n, draws=500)
        for seeds in (2, 3, 5, 8):
            for spread in (0.0, 0.1, 0.4):
                hits = sum(
                    holds(
                        resampling.estimate(seed_values(n, seeds, spread, random), 1).interval(),
                        truth(spread),
                    )
                    for _ in range(repeats)
                )
                rows.append(
                    covered(
                        hits,
                        repeats,
                        statistic="Resampling",
                        setting={"n": n, "seeds": seeds, "spread": spread},
                        promised=LEVEL,
                        peer=None,
                    )
                )
    return rows


def seed_values(n: int, seeds: int, spread: float, random: np.random.Generator) -> SeedValues:
    """Draw right answers of seeds whose skill scatters by ``spread``, on examples of normal ease."""
    skill = 1.2 + spread * random.normal(0, 1, seeds)
    chance = 1 / (1 + np.exp(-1.5 * (skill[:, None] + random.normal(0, 1, n))))
    right = (random.random((seeds, n)) < chance).astype(np.float32)
    return SeedValues(key="net", seeds=seeds, sets=seed_sets(seeds, 1), values=right)


@lru_cache
def truth(spread: float) -> float:
    """Return the mean accuracy over all examples and seeds: one normal, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    value = 1 / (1 + np.exp(-1.5 * (1.2 + np.sqrt(1 + spread**2) * nodes)))
    return float(weights @ value / weights.sum())


def promise_rows(repeats: int, random: np.random.Generator) -> list[Row]:
    """Return how often thresholds with a guarantee keep it; the note says how often there was one."""
    grid = (np.arange(4_000) + 0.5) / 4_000
    first, second = 1 - 0.45 * (1 - grid), 1 - 0.12 * (1 - grid)

    def accuracy(threshold: float) -> float:
        return float(np.where(grid >= threshold, first, second).mean())

    def risk(threshold: float) -> float:
        return float(1 - first[grid > threshold].mean())

    def draw(n: int) -> TwoStages:
        place, luck = random.integers(0, len(grid), n), random.random(n)
        again = np.where(random.random(n) < 0.7, luck, random.random(n))
        return TwoStages(
            confidence=grid[place],
            first_right=luck < first[place],
            second_right=again < second[place],
            costs=(1.0, 4.0),
        )

    full, delta = accuracy(np.inf), 0.05
    promises: dict[str, tuple[Callable[[TwoStages], float | None], Callable[[float], bool]]] = {
        "accuracy >= 0.9": (
            lambda drawn: accuracy_threshold(drawn, 0.9, delta=delta).threshold,
            lambda threshold: accuracy(threshold) >= 0.9,
        ),
        "cost <= 3": (
            lambda drawn: cost_threshold(drawn, 3.0, delta=delta).threshold,
            lambda threshold: float((grid < threshold).mean()) * 4 + 1 <= 3,
        ),
        "within 0.01 of full": (
            lambda drawn: near_full_threshold(drawn, 0.01, delta=delta).threshold,
            lambda threshold: accuracy(threshold) >= full - 0.01,
        ),
        "risk <= 0.1": (
            lambda drawn: (
                guaranteed_coverage(drawn.confidence, drawn.first_right, 0.1, delta=delta).threshold
            ),
            lambda threshold: risk(threshold) <= 0.1,
        ),
    }
    rows = []
    for n in (500, 2_000):
        answers: dict[str, list[float | None]] = {name: [] for name in promises}
        for _ in range(repeats):
            drawn = draw(n)
            for name, (find, _) in promises.items():
                answers[name].append(find(drawn))
        for name, (_, kept) in promises.items():
            given = [answer for answer in answers[name] if answer is not None]
            broken = sum(not kept(answer) for answer in given)
            shares = [float((grid >= answer).mean()) for answer in given]
            note = f"given {len(given) / repeats:.0%}"
            note += f", mean share that leaves {np.mean(shares):.0%}" if shares else ""
            rows.append(
                covered(
                    repeats - broken,
                    repeats,
                    statistic=name,
                    setting={"n": n},
                    promised=1 - delta,
                    peer=None,
                    note=note,
                )
            )
    return rows


@lru_cache(maxsize=200_000)
def interval(only_first: int, only_second: int, n: int) -> Interval:
    """Return `paired_interval`, remembered: few different counts are drawn often."""
    return paired_interval(only_first, only_second, n)


def holds(found: Interval, value: float) -> bool:
    """Say whether an interval holds the truth; its ends are counts over n, but for rounding."""
    return found.low - 1e-9 <= value <= found.high + 1e-9


def _half(count: int, n: int) -> float:
    return float(_Z * np.sqrt(count * (n - count) / n) / n)


def _wald(only_first: int, only_second: int, n: int) -> float:
    differing = only_first + only_second
    return float(_Z * np.sqrt(max(0.0, differing - (only_first - only_second) ** 2 / n)) / n)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text; a star marks intervals outside 93-97 %."""
    lines = [f"{'statistic':22} {'setting':46} {'promised':>8} {'found':>7} {'+-':>6} {'Wald':>6}  note"]
    for row in rows:
        setting = ", ".join(f"{name} {value:g}" for name, value in row.setting.items())
        star = "*" if row.statistic in _TWO_SIDED and not TARGET[0] <= row.found <= TARGET[1] else " "
        peer = f"{row.peer:6.3f}" if row.peer is not None else "     -"
        lines.append(
            f"{row.statistic:22} {setting:46} {row.promised:8.2f} {row.found:6.3f}{star} "
            f"{row.error:6.4f} {peer}  {row.note}"
        )
    return "\n".join(lines)


_TWO_SIDED = ("share_interval", "paired_interval", "Resampling")


def run(repeats: int, *, seed: int = 20005) -> list[Row]:
    """Return all rows; promises and pairs of 10,000 examples get a quarter of the repeats."""
    streams = np.random.default_rng(seed).spawn(4)
    return [
        *share_rows(repeats, streams[0]),
        *paired_rows(repeats, streams[1]),
        *seed_rows(repeats, streams[2]),
        *promise_rows(max(1, repeats // 4), streams[3]),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    # before the run: what is missing here must not cost minutes of work
    where, begun = machine.describe(_PACKAGES), time.perf_counter()
    rows = run(options.repeats)
    print(table(rows))
    if options.out:
        asked = f"--repeats {options.repeats} --out {options.out.name}"
        command = f"OPENBLAS_NUM_THREADS=1 python -m benchmarks.calibration {asked}"
        minutes = round((time.perf_counter() - begun) / 60, 1)
        about = {"machine": where, "command": command, "minutes": minutes, "target": TARGET}
        written = {**about, "rows": [asdict(row) for row in rows]}
        options.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
