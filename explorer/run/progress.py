"""Progress with ETA on stderr: a live bar on a terminal, one line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

PLAIN_INTERVAL_S = 5.0
"""Without a terminal, at most one line in this time, so that a log stays readable."""

Update = Callable[[float, str], None]
"""Called with the share of the work done, in [0, 1], and what is going on."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """Estimate the time left from the share done; work must be proportional to time."""

    started_at: float
    started_share: float = 0.0

    def seconds(self, share: float, now: float) -> float | None:
        """Return seconds left, or None while too little is done to tell."""
        done = share - self.started_share
        if done < 0.01 or now <= self.started_at:
            return None
        return (now - self.started_at) * (1.0 - share) / done


def say(message: str) -> None:
    """Print one line on stderr."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, *, started_share: float = 0.0) -> Iterator[Update]:
    """Show ``title`` with share, activity and time left until the block ends.

    Args:
        title: what is being done, e.g. ``train``.
        started_share: share that was there before, from an earlier run; it does not count as speed.
    """
    if sys.stderr.isatty():
        with _live(title) as update:
            yield update
    else:
        yield _plain(title, started_share)


@contextmanager
def _live(title: str) -> Iterator[Update]:
    columns = (
        TextColumn(f"{title:<9}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=1.0)
        yield lambda share, text: bars.update(task, completed=share, description=text)


def _plain(title: str, started_share: float) -> Update:
    remaining = Remaining(time.monotonic(), started_share)
    last = time.monotonic()

    def update(share: float, text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < PLAIN_INTERVAL_S:
            return
        last = now
        left = remaining.seconds(share, now)
        eta = "" if left is None else f", about {left:.0f} s left"
        say(f"{title}: {share:.0%}{eta} ({text})")

    return update
