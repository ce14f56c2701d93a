"""Run the compiler in a process of its own, within limits of time and memory, saying how far it is."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import explorer
from explorer.errors import EnvironmentMissingError, ExplorerError, UsageError

Progress = Callable[[str, float], None]
"""Called with the stage and the seconds since the start, about once a second."""
EXTRA = "scale-or-ensemble[tpu]"
_ENVIRONMENT = {
    # The host's part of the program runs on the CPU, and nothing asks Google's metadata server.
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    # Two compilers may run at once: neither holds a TPU.
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_LOG_DIR": "disabled",
    "TPU_MIN_LOG_LEVEL": "3",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
_TICK_S = 0.5


class CompileError(EnvironmentMissingError):
    """The compiler gave no program: a row with a reason, never a crash."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        """``memory`` (the device's), ``time`` or ``host memory`` (the limits), or ``compiler``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one compilation may take of this machine."""

    minutes: float = 10
    memory_gb: float = 8
    """Resident memory of the compiling process."""


def missing_extra() -> str | None:
    """Return one line on what is not installed and how to get it, or None when all is."""
    absent = [name for name in ("jax", "libtpu") if find_spec(name) is None]
    if not absent:
        return None
    return (
        f"compiling for a TPU needs {' and '.join(absent)}, not installed here: pip install '{EXTRA}' "
        "(libtpu comes under Google's own licence)"
    )


def compile_in_process(
    request: Mapping[str, object], *, work: Path, limits: Limits, progress: Progress | None = None
) -> dict[str, Any]:
    """Return the compiler's figures for a request of `explorer.tpu.worker`.

    Args:
        request: as the worker reads it.
        work: folder for the request's file and the compiler's messages; made, and left empty.
        limits: of the process.
        progress: told the stage.

    Raises:
        EnvironmentMissingError: jax or libtpu is not installed.
        CompileError: no program came of it; see its ``kind``.
        UsageError: an operator of the model has no JAX form.
    """
    reason = missing_extra()
    if reason is not None:
        raise EnvironmentMissingError(reason)
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        path = Path(folder) / "request.json"
        path.write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-m", "explorer.tpu.worker", str(path)]
        return run_worker(command, limits=limits, progress=progress, messages=Path(folder) / "messages.txt")


def run_worker(
    command: list[str], *, limits: Limits, progress: Progress | None, messages: Path
) -> dict[str, Any]:
    """Run ``command`` until it says ``facts`` or ``error``, reaches a limit, or ends.

    Raises:
        CompileError: as `compile_in_process`.
        UsageError: the worker refuses the request.
    """
    started, stage = time.monotonic(), "starting"
    with _process(command, messages) as (process, lines):
        while True:
            try:
                line = lines.get(timeout=_TICK_S)
            except queue.Empty:
                line = ""
            elapsed = time.monotonic() - started
            if line is None:
                raise _ended(process, messages)
            message = _message(line)
            if "facts" in message:
                return message["facts"]
            if "error" in message:
                raise _refused(message["error"])
            stage = message.get("stage", stage)
            if progress is not None:
                progress(stage, elapsed)
            _hold(process, limits, elapsed, stage)


@contextlib.contextmanager
def _process(
    command: list[str], messages: Path
) -> Iterator[tuple[subprocess.Popen[str], "queue.Queue[str | None]"]]:
    """Start ``command`` in a group of its own, and end all of the group on the way out."""
    root = str(Path(explorer.__file__).resolve().parents[1])
    search = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, **_ENVIRONMENT, "PYTHONPATH": search}
    lines: queue.Queue[str | None] = queue.Queue()
    with open(messages, "w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, start_new_session=True
        )
        assert process.stdout is not None
        reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
        reader.start()
        try:
            yield process, lines
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            reader.join()
            process.stdout.close()


def _read(stream: IO[str], lines: "queue.Queue[str | None]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _message(line: str) -> dict[str, Any]:
    """Return what the worker said; libraries may print lines of their own."""
    try:
        found = json.loads(line) if line.startswith("{") else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _refused(error: Mapping[str, str]) -> ExplorerError:
    if error["kind"] == "usage":
        return UsageError(error["reason"])
    return CompileError(error["kind"], error["reason"])


def _ended(process: subprocess.Popen[str], messages: Path) -> CompileError:
    code = process.wait()
    said = messages.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = f": {said[-1][:300]}" if said else ""
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    return CompileError("compiler", f"the compiling process {how}{last}")


def _hold(process: subprocess.Popen[str], limits: Limits, elapsed: float, stage: str) -> None:
    if elapsed > limits.minutes * 60:
        raise CompileError("time", f"not compiled within {limits.minutes:g} minutes (it was {stage})")
    used = resident_gb(process.pid)
    if used > limits.memory_gb:
        raise CompileError(
            "host memory", f"compiling took more than {limits.memory_gb:g} GB of memory (it was {stage})"
        )


def resident_gb(pid: int) -> float:
    """Return the resident memory of a process in 10^9 bytes; 0 once it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9
