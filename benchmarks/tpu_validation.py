"""What XLA's TPU compiler expects, without a TPU, beside what others measured on one.

    python -m benchmarks.tpu_validation [--cache FOLDER] [--write FOLDER] [CASE ...]

Needs jax and libtpu (the project's extra `tpu`). Compiles one program at a time, at low priority; each
answer is kept, and asked for once more from a new process, which is timed.
"""

import argparse
import csv
import datetime
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.errors import ExplorerError
from explorer.tpu.cache import default_folder
from explorer.tpu.compiling import CompileError, Limits
from explorer.tpu.estimate import TpuEstimate, TpuRequest, tpu_estimate

MATMUL = "matmul bf16[8192,8192] x [8192,16384]"
SCALING_BOOK = "96 ms, jax-ml/scaling-book, chapter on profiling"
MLPERF = "4089.5 images/s a core = 32,716 / 8, MLPerf Inference v0.5 closed, Google, v3, offline"


@dataclass(frozen=True, slots=True)
class Case:
    """One program, and what was published about it, if anything."""

    name: str
    model: str
    device: str
    shape: tuple[int, ...]
    members: int = 1
    arrangement: str = "loop"
    published_s: float | None = None
    """Seconds of a call on the compiler's device."""
    source: str = ""

    @property
    def request(self) -> TpuRequest:
        """What is asked."""
        return TpuRequest(
            model=self.model,
            input_shape=self.shape,
            device=self.device,
            deploy=self.model != MATMUL,
            members=self.members,
            arrangement=self.arrangement,
        )


def _images(batch: int) -> tuple[int, ...]:
    return (batch, 3, 224, 224)


CASES = (
    Case("matmul-v2", MATMUL, "tpu-v2", (8192, 8192), published_s=96e-3, source=SCALING_BOOK),
    Case("resnet50-256-v3", "timm:resnet50", "tpu-v3", _images(256), published_s=256 / 4089.5, source=MLPERF),
    Case("resnet50-64-v3", "timm:resnet50", "tpu-v3", _images(64), published_s=64 / 4089.5, source=MLPERF),
    Case("efficientnet_b0-v5e", "timm:efficientnet_b0", "tpu-v5e", _images(8)),
    Case("efficientnet_b0-v6e", "timm:efficientnet_b0", "tpu-v6e", _images(8)),
    Case("vit_small-v5e", "timm:vit_small_patch16_224", "tpu-v5e", _images(8)),
    Case("vit_small-v6e", "timm:vit_small_patch16_224", "tpu-v6e", _images(8)),
    Case("resnet18-v5e", "timm:resnet18", "tpu-v5e", _images(8)),
    Case("resnet18x4-v5e", "timm:resnet18", "tpu-v5e", _images(8), members=4),
    Case("resnet18x4-stacked-v5e", "timm:resnet18", "tpu-v5e", _images(8), members=4, arrangement="stacked"),
    Case("resnet18x4-v6e", "timm:resnet18", "tpu-v6e", _images(8), members=4),
)


def make(case: Case) -> Callable[[], Any]:
    """Return what builds the case's model, on the meta device."""

    def build() -> Any:
        import torch

        import zoo

        with torch.device("meta"):
            if case.model == MATMUL:
                return torch.nn.Linear(8192, 16384, bias=False)
            return zoo.build(case.model, num_classes=1000)

    return build


def row(case: Case, estimate: TpuEstimate, again_s: float) -> dict[str, object]:
    """Return a case's figures as text."""
    throughput = None if case.published_s is None else case.published_s / estimate.seconds - 1
    inside = case.published_s is None or estimate.seconds_low <= case.published_s <= estimate.seconds_high
    return {
        "case": case.name,
        "batch": case.shape[0],
        "members": case.members,
        "estimate_ms": f"{estimate.seconds * 1e3:.3f}",
        "low_ms": f"{estimate.seconds_low * 1e3:.3f}",
        "high_ms": f"{estimate.seconds_high * 1e3:.3f}",
        "published_ms": "" if case.published_s is None else f"{case.published_s * 1e3:.3f}",
        "throughput_error": "" if throughput is None else f"{throughput:+.1%}",
        "inside_interval": "" if case.published_s is None else "yes" if inside else "no",
        "peak_mb": f"{estimate.memory.peak_bytes / 1e6:.0f}",
        "compile_s": f"{estimate.compile_s:.0f}",
        "second_answer_s": f"{again_s:.2f}",
        "source": case.source,
    }


def main() -> None:
    """Print, and with --write keep, a row a case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(case.name for case in CASES))
    parser.add_argument("--cache", type=Path, default=default_folder() / "validation")
    parser.add_argument("--write", type=Path, help="folder for tpu_validation.csv and .md")
    parser.add_argument("--minutes", type=float, default=20, help="limit of one compilation")
    parser.add_argument("--silent", action="store_true", help="print nothing: a second answer, timed")
    options = parser.parse_args()
    unknown = set(options.cases) - {case.name for case in CASES}
    if unknown:
        parser.error(f"unknown case {', '.join(sorted(unknown))}")
    chosen = [case for case in CASES if not options.cases or case.name in options.cases]
    rows, versions = [], {}
    for case in chosen:
        try:
            estimate = tpu_estimate(
                make(case),
                case.request,
                cache_folder=options.cache,
                limits=Limits(minutes=options.minutes),
                progress=None if options.silent else _show(case.name),
            )
        except CompileError as error:
            print(f"\r{case.name}: {error}", file=sys.stderr)
            continue
        except ExplorerError as error:
            sys.exit(f"{case.name}: {error}")
        if options.silent:
            continue
        versions = dict(estimate.versions)
        rows.append(row(case, estimate, _again(case, options.cache)))
        print("\r" + "  ".join(f"{name} {value}" for name, value in rows[-1].items() if value), flush=True)
    if options.write is not None and rows:
        _write(options.write, rows, versions)


def _show(name: str) -> Callable[[str, float], None]:
    return lambda stage, seconds: print(
        f"\r{name}: {stage} {seconds:.0f} s   ", end="", file=sys.stderr, flush=True
    )


def _again(case: Case, folder: Path) -> float:
    """Return the seconds that a new process, Python's own start included, takes to answer from the cache."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.tpu_validation",
        "--silent",
        "--cache",
        str(folder),
        case.name,
    ]
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def _write(folder: Path, rows: list[dict[str, object]], versions: dict[str, str]) -> None:
    with open(folder / "tpu_validation.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    shown = [name for name in rows[0] if name != "source"]
    lines = [
        "# TPU estimates, without a TPU, beside what was published",
        "",
        f"{datetime.date.today().isoformat()}, {platform.machine()} with {platform.system()}, "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}.",
        "Command: `python -m benchmarks.tpu_validation --write benchmarks/results`. One call of the batch",
        "on the compiler's device (one core of v2 and v3), bf16, batch norms folded. Throughput error:",
        "estimated over published images a second. Only rows with a published figure are checked; v5e and",
        "v6e are unvalidated.",
        "",
        "| " + " | ".join(shown) + " |",
        "|" + "---|" * len(shown),
        *("| " + " | ".join(str(entry[name]) for name in shown) + " |" for entry in rows),
        "",
        *(f"- {entry['case']}: {entry['source']}" for entry in rows if entry["source"]),
        "- The submission's batch size is not published: batches 64 and 256 bracket it.",
        "",
    ]
    (folder / "tpu_validation.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
