"""Fixtures that several rooms' tests share."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of reference data beside the repository; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip(f"no reference data at {SHARED}")
    return SHARED


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def unpacked_data(shared_dir: Path) -> Path:
    """CIFAR-10 and Fashion-MNIST in their publishers' layouts, unpacked once per machine and user.

    A changed unpack program gets a folder of its own. Test processes that run side by side wait for
    the first one; an unpacking that was killed leaves nothing that looks finished.
    """
    program = shared_dir / "data" / "unpack.py"
    if not program.is_file():
        pytest.skip(f"no image data: {program} is not there")
    key = hashlib.sha256(program.read_bytes() + str(shared_dir).encode()).hexdigest()[:12]
    cache = Path(tempfile.gettempdir()) / f"scale-or-ensemble-tests-{os.getuid()}"
    cache.mkdir(mode=0o700, exist_ok=True)
    target = cache / f"images-{key}"
    with _locked(cache / f"images-{key}.lock"):
        if not target.is_dir():
            unfinished = cache / f"images-{key}.part"
            shutil.rmtree(unfinished, ignore_errors=True)
            done = subprocess.run(
                [sys.executable, str(program), str(unfinished)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{program} failed: {done.stderr}"
            unfinished.rename(target)
    return target


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


@pytest.fixture
def explorer_here(capsys):
    """Run the command in this process: as the real one, without paying for its imports each time."""
    from explorer.cli import main

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Result(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture(scope="session")
def trained_store(explorer, tmp_path_factory) -> Path:
    """Two models x three seeds on digits, three epochs: weak on purpose, so that designs differ."""
    store = tmp_path_factory.mktemp("trained") / "store"
    done = explorer(
        "train",
        "wrn10-0.25",
        "wrn10-0.5",
        "--dataset",
        "digits",
        "--seeds",
        "0-2",
        "--epochs",
        "3",
        "--store",
        store,
    )
    assert done.code == 0, done.err
    return store
