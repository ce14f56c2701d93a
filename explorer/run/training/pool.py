"""Workers beside each other: one process a core, each on one thread, one on a GPU.

Small networks gain nothing from two threads, and one thread makes a member's bits independent of what
else runs.
"""

import multiprocessing
import os
import platform
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from explorer.errors import EnvironmentMissingError
from explorer.record import MemberRecord
from explorer.run.training import worker
from explorer.run.training.jobs import MemberJob
from explorer.run.training.worker import JobOutcome, JobProgress
from explorer.run.workers import abandon
from explorer.spec import Member

POLL_S = 0.2
"""How often progress of the workers is shown."""
MALLOC_SETTINGS = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}
"""glibc keeps freed memory instead of handing it back: every step allocates the same activations anew, and
each page that comes fresh from the kernel is a fault. Training small convolutional networks was 10 % faster
with these on two cores (wide ResNets and mobile networks of 0.3 to 30 M MACs, torch 2.13, batch 64)."""

Update = Callable[[float, str], None]


class TrainingPool:
    """Processes that train; a context manager. Leaving it on an error ends them at once.

    Jobs under way then keep their checkpoints. That a process was ended from outside leaves it as an
    `EnvironmentMissingError`.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        context = multiprocessing.get_context("spawn")
        self._messages: Any = context.Queue()
        self._pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=worker.start, initargs=(self._messages,)
        )

    def __enter__(self) -> "TrainingPool":
        self._pool.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            # Ctrl-C or a failed job: waiting jobs are dropped.
            abandon(self._pool)
        self._pool.__exit__(kind, error, trace)
        if isinstance(error, BrokenProcessPool):
            raise EnvironmentMissingError(
                "a training process died, perhaps for lack of memory; what was trained is kept: run again to "
                "go on, with fewer workers"
            ) from error

    def train(self, job: MemberJob, deadline_s: float | None = None) -> Future[JobOutcome]:
        """Start a job; it stops at an epoch's end before ``deadline_s`` on the monotonic clock."""
        with _worker_environment():
            return self._pool.submit(worker.train_job, job, deadline_s)

    def time_step(self, job: MemberJob, *, stacked: int = 1, seconds: float) -> Future[float]:
        """Start measuring one training step of a job: seconds a member."""
        with _worker_environment():
            return self._pool.submit(worker.time_step, job, stacked, seconds)

    def news(self) -> Iterator[JobProgress]:
        """Yield what workers have said since the last call."""
        while True:
            try:
                yield self._messages.get_nowait()
            except queue.Empty:
                return


@contextmanager
def _worker_environment() -> Iterator[None]:
    """Give processes that start in the block the allocator's settings, unless the user has chosen some."""
    chosen = any(name in os.environ for name in (*MALLOC_SETTINGS, "GLIBC_TUNABLES"))
    if chosen or platform.libc_ver()[0] != "glibc":
        yield
        return
    os.environ.update(MALLOC_SETTINGS)
    try:
        yield
    finally:
        for name in MALLOC_SETTINGS:
            os.environ.pop(name, None)


def work_through(
    pool: TrainingPool,
    pick: Callable[[], MemberJob | None],
    *,
    done: Callable[[MemberJob, Future[JobOutcome]], None],
    said: Callable[[JobProgress], None],
    deadline_s: float | None = None,
) -> None:
    """Keep the workers busy until ``pick`` has nothing more and everything picked has ended.

    Args:
        pool: of workers.
        pick: the next job, or None while there is none; asked again whenever a job has ended.
        done: called with each job that ended; ``result()`` of its future raises what went wrong.
        said: called with the workers' progress.
        deadline_s: on the monotonic clock; jobs stop at an epoch's end before it.
    """
    running: dict[Future[JobOutcome], MemberJob] = {}
    while True:
        while len(running) < pool.workers:
            job = pick()
            if job is None:
                break
            running[pool.train(job, deadline_s)] = job
        if not running:
            return
        ended, _ = wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED)
        for news in pool.news():
            said(news)
        for future in ended:
            done(running.pop(future), future)


def train_members(
    jobs: Sequence[MemberJob],
    *,
    workers: int | None = None,
    update: Update = lambda share, text: None,
) -> tuple[MemberRecord, ...]:
    """Train all ``jobs``, ``workers`` at a time, and return their records in the order of ``jobs``.

    Raises:
        ExplorerError: whatever a job refused; the members already committed stay.
    """
    if not jobs:
        return ()
    waiting = list(jobs)
    shares: dict[tuple[Member, ...], float] = {job.members: 0.0 for job in jobs}
    work = {job.members: job.work for job in jobs}
    records: dict[tuple[Member, ...], tuple[MemberRecord, ...]] = {}

    def said(news: JobProgress) -> None:
        shares[news.members] = news.share
        share = sum(shares[key] * work[key] for key in work) / sum(work.values())
        made = sum(map(len, records.values()))
        update(share, f"{made} of {sum(map(len, work))} members done; {news.text}")

    def done(job: MemberJob, future: Future[JobOutcome]) -> None:
        records[job.members] = future.result().records

    with TrainingPool(min(workers or default_workers(jobs[0].device), len(jobs))) as pool:
        work_through(pool, lambda: waiting.pop(0) if waiting else None, done=done, said=said)
    return tuple(record for job in jobs for record in records[job.members])


def default_workers(device: str) -> int:
    """Return how many jobs run at a time: one a core, and one on a GPU, which shares badly.

    Of the cores those that this process may use: a container or a batch system often gives fewer.
    """
    if device != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
