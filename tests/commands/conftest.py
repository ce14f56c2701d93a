"""A small trained store, made once by the real command line, copied for tests that damage it."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

MODELS = ("wrn10-0.25", "wrn10-0.5")


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def error_line(self) -> str:
        """The one line a person gets; asserts that it is one."""
        lines = [line for line in self.err.strip().splitlines() if line]
        assert len(lines) == 1, self.err
        return lines[0]


def run_explorer(*arguments: object, timeout: float = 300) -> Result:
    """Run the real command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "explorer.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def explorer():
    return run_explorer


@pytest.fixture(scope="session")
def trained_store(tmp_path_factory) -> Path:
    """Two models x three seeds on digits, three epochs: weak on purpose, so that designs differ."""
    store = tmp_path_factory.mktemp("trained") / "store"
    done = run_explorer(
        "train", *MODELS, "--dataset", "digits", "--seeds", "0-2", "--epochs", "3", "--store", store
    )
    assert done.code == 0, done.err
    return store


@pytest.fixture
def store_copy(trained_store, tmp_path) -> Path:
    return Path(shutil.copytree(trained_store, tmp_path / "store"))
