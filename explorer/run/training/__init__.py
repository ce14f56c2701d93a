"""Train members in parallel processes and commit each to the store when it is whole.

`jobs` says what is to train, `teachers` what a student learns from, `worker` makes it, `pool` runs
workers beside each other, `timing` measures how long a step takes here.
"""

from explorer.run.training.jobs import (
    MemberJob,
    chosen_recipe,
    plan_members,
    resolved_models,
    stack_jobs,
)
from explorer.run.training.pool import TrainingPool, train_members, work_through
from explorer.run.training.worker import JobOutcome, rebuilt

__all__ = [
    "JobOutcome",
    "MemberJob",
    "TrainingPool",
    "chosen_recipe",
    "plan_members",
    "rebuilt",
    "resolved_models",
    "stack_jobs",
    "train_members",
    "work_through",
]
