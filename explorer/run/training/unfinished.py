"""Where unfinished trainings are kept, and stacks that were trained to the end but not all committed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from explorer.data import ImageSet
from explorer.run.training.jobs import MemberJob
from explorer.store import Store

Finished = Callable[[MemberJob], MemberJob | None]
"""Job of one seed -> the stack that holds it trained to the end; None without one."""


def checkpoint_of(store: Store, images: ImageSet, job: MemberJob) -> Path:
    """Return the file of a job's unfinished training.

    That of a stack begins with a name that is the same whatever its seeds, so that it is found when some
    of them are done.

    Raises:
        RuntimeError: torch's, where the job's device is not here.
    """
    own = job.digest(images.split_digest, _machine(job))
    name = own if len(job.seeds) == 1 else f"{_any_seeds(images, job)}-{own}"
    return _folder(store, job) / f"{name}.pt"


def epochs_kept(store: Store, images: ImageSet, job: MemberJob) -> int:
    """Return how many epochs of a job its checkpoint keeps; 0 without one."""
    from zoo.checkpoint import epochs_done

    return epochs_done(checkpoint_of(store, images, job))


def finished_stack(store: Store, images: ImageSet, job: MemberJob) -> MemberJob | None:
    """Return the stack, trained to the end, that ``job``'s seed is in; None without one.

    A run that was killed while it committed a stack's members leaves it: to commit the others, nothing
    needs training.
    """
    from zoo.checkpoint import stack_done

    for path in sorted(_folder(store, job).glob(f"{_any_seeds(images, job)}-*.pt")):
        seeds, epochs = stack_done(path)
        if epochs == job.recipe.epochs and set(job.seeds) < set(seeds):
            stack = replace(job, seeds=seeds)
            if checkpoint_of(store, images, stack) == path:
                return stack
    return None


def _any_seeds(images: ImageSet, job: MemberJob) -> str:
    return replace(job, seeds=(0,)).digest(images.split_digest, _machine(job))


def _folder(store: Store, job: MemberJob) -> Path:
    return job.checkpoints or store.work


def _machine(job: MemberJob) -> str:
    from zoo.determinism import machine

    return " ".join(machine(job.device).values())
