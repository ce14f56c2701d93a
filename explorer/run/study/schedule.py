"""What fits: the order of a study's trainings on some workers in the time there is. Pure arithmetic."""

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from explorer.run.study.expand import StudyJob
from explorer.run.study.fate import Fate
from explorer.spec import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One training of a plan."""

    one: StudyJob
    epoch_s: float
    """Estimated seconds of an epoch; 0 for what is there."""
    epochs_left: int
    after_s: float
    """Estimated seconds of predicting once it is trained."""
    fate: Fate
    planned_s: float = 0.0
    """Of this run's time, by the estimate."""
    problem: str = ""
    """Why it failed, or cannot be tried here."""

    @property
    def seconds(self) -> float:
        """Estimated seconds to the end."""
        return self.epoch_s * self.epochs_left + self.after_s


def choose(waiting: Sequence[Row], there: Collection[Member], left_s: float) -> Row | None:
    """Return the training to start next, or None while there is none.

    The first that can end in time; when none can, the first that can finish an epoch.

    Args:
        waiting: in order.
        there: members that exist: a teacher's must.
        left_s: time left.
    """
    ready = [row for row in waiting if row.one.needs <= set(there)]
    for row in ready:
        if row.seconds <= left_s:
            return row
    for row in ready:
        if row.epoch_s <= left_s:
            return row
    return None


def planned(rows: Sequence[Row], *, workers: int, left_s: float) -> tuple[Row, ...]:
    """Return the rows with what is expected to become of them, in the same order.

    Plays the run through as `choose` would steer it, if every estimate held.

    Args:
        rows: in order; those with fate `THERE` are done already, those with `FAILED` are not tried.
        workers: trainings at a time.
        left_s: time there is; infinite for as long as it takes.
    """
    there = {member for row in rows if row.fate is Fate.THERE for member in row.one.job.members}
    places = {id(row): place for place, row in enumerate(rows)}
    settled = (Fate.THERE, Fate.FAILED)
    answer = [row if row.fate in settled else replace(row, fate=Fate.LEFT) for row in rows]
    waiting = [row for row in rows if row.fate not in settled]
    running: list[tuple[float, int]] = []
    clock = 0.0
    while True:
        while len(running) < workers:
            row = choose(waiting, there, left_s - clock)
            if row is None:
                break
            waiting.remove(row)
            place, spent = places[id(row)], min(row.seconds, left_s - clock)
            fate = Fate.FITS if row.seconds <= left_s - clock else Fate.STARTS
            answer[place] = replace(row, fate=fate, planned_s=spent)
            heapq.heappush(running, (clock + spent, place))
        if not running:
            return tuple(answer)
        clock, place = heapq.heappop(running)
        if answer[place].fate is Fate.FITS:
            there |= set(answer[place].one.job.members)
