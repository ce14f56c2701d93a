"""Jobs of made-up studies, and the real command with short timings."""

import subprocess
import sys
from pathlib import Path

import pytest

from explorer.run.study.expand import StudyJob
from explorer.run.training import MemberJob
from explorer.spec import ModelSpec

COMMAND = """
import sys
from explorer.run.study import timing
from explorer.cli import main
timing.TIMING_S = 0.05
main(sys.argv[1:])
"""


@pytest.fixture(scope="session")
def quick():
    from zoo import recipe

    return recipe("quick")


@pytest.fixture
def study_job(quick):
    """Make a study's training of a model on 8 x 8 images."""

    def make(name="wrn10-0.25", seed=0, *, arm="scale", needs=(), teacher=(), done=False, **changes):
        values = {
            "model": ModelSpec(name, 8),
            "seeds": (seed,),
            "recipe": quick,
            "dataset": "digits",
            "data_dir": None,
            "store_url": "",
            "device": "cpu",
            "macs": 1000,
        }
        job = MemberJob(**{**values, **changes})
        return StudyJob(job=job, arm=arm, needs=frozenset(needs), teacher=tuple(teacher), done=done)

    return make


@pytest.fixture(scope="session")
def start_study():
    """Start `explorer study run` on digits in a group of its own processes, timings cut short."""

    def start(store: Path, *arguments: object) -> subprocess.Popen[str]:
        command = ("study", "run", "digits-scaling", "--store", store, *arguments)
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="session")
def run_study_command(start_study):
    def run(store: Path, *arguments: object) -> tuple[int, str, str]:
        process = start_study(store, *arguments)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    return run
