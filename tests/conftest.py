"""Fixtures that several rooms' tests share."""

import contextlib
import dataclasses
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
from types import SimpleNamespace

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


TREES = (
    "alder",
    "birch",
    "cedar",
    "dogwood",
    "elm",
    "fir",
    "ginkgo",
    "hazel",
    "juniper",
    "larch",
    "maple",
    "oak",
)
TRACED = ("wrn10-0.25", "wrn10-0.5", "wrn10-1", "mlp16x2")


@pytest.fixture(scope="session")
def made_models(tmp_path_factory) -> SimpleNamespace:
    """Sixty made-up timm models of twelve families, their kernels kept as the program keeps them.

    Also the kernels of tiny real ones. Times are linear in work, but for 3 %: what a predictor can learn.
    """
    import numpy as np

    from explorer.accounting.kernels import KernelTable
    from explorer.prediction import Sample
    from explorer.run import kernel_tables as module

    cache = tmp_path_factory.mktemp("kernels")
    folder = cache / module._stamp()
    real = {}
    for name in TRACED:
        for channels, classes in ((1, 10), (3, 10), (3, 1000)):
            for autocast in (False, True):
                wanted = module.Traced(
                    model=name, resolution=8, channels=channels, classes=classes, autocast=autocast
                )
                real[name, channels, classes, autocast] = module.trace_kernels(wanted, folder)
    random = np.random.default_rng(11)

    def grown(kernels, wider, heavier):
        made = kernels.copy()
        for field in ("read", "written", "steps", "exponentials", "rows", "weights"):
            made[field] *= wider
        made["macs"] *= heavier
        return made

    tables, batches, noise = {}, {}, {}
    for number in range(60):
        name = f"{TREES[number % 12]}{number // 12}"
        table = real[TRACED[number % 3], 3, 1000, True]
        factors = 30 * np.exp(random.normal(0, 0.8)), 3000 * np.exp(random.normal(0, 0.8))
        tables[name] = KernelTable(
            operators=grown(table.operators, *factors), fused=grown(table.fused, *factors)
        )
        batches[name] = int(random.choice([64, 128, 256]))
        noise[name] = float(np.exp(random.normal(0, 0.03)))
        for autocast in (False, True):
            kept = module.Traced(model=f"timm:{name}", resolution=224, autocast=autocast)
            module._write(folder / module._file_name(kept), tables[name])

    def seconds(name, batch, macs_s=1 / 80e12, bytes_s=1 / 0.8e12, launch_s=4e-6):
        kernels = tables[name].operators
        times = np.where(kernels["per_example"], batch, 1)
        moved = (kernels["read"] + kernels["written"]) * times + kernels["weights"]
        each = kernels["macs"] * times * macs_s + moved * bytes_s + launch_s
        return float((each * kernels["count"]).sum()) * noise[name]

    def samples(workload, slower=1.0):
        return [
            Sample(
                model=f"timm:{name}",
                family=name.rstrip("0123456789"),
                kernels=table,
                batch=batches[name],
                workload=dataclasses.replace(workload, batch=batches[name]),
                device=workload.device,
                seconds=slower * seconds(name, batches[name]),
            )
            for name, table in tables.items()
        ]

    def write_csv(path, names=None, slower=1.0):
        lines = ["model,infer_img_size,infer_samples_per_sec,infer_step_time,infer_batch_size"]
        for name in names if names is not None else tables:
            time = slower * seconds(name, batches[name])
            rate = f"{batches[name] / time:.2f}"
            lines.append(f"{name},224,{rate},{1e3 * time:.3f},{batches[name]}")
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return SimpleNamespace(
        cache=cache,
        real=real,
        tables=tables,
        batches=batches,
        seconds=seconds,
        samples=samples,
        write_csv=write_csv,
    )


@pytest.fixture(scope="session")
def made_predictor(made_models):
    """A predictor fitted to the made-up models' times, said to be of an RTX 4090."""
    from explorer.prediction import fit
    from explorer.workload import Workload

    return fit(made_models.samples(Workload.parse("rtx4090/amp")))


@pytest.fixture
def predictors(monkeypatch, tmp_path, made_models) -> Path:
    """The user's folder of predictors, empty, and the made-up models in the place of traced ones."""
    folder = tmp_path / "predictors"
    monkeypatch.setenv("EXPLORER_PREDICTORS", str(folder))
    monkeypatch.setattr("explorer.run.kernel_tables.default_cache", lambda: made_models.cache)
    return folder
