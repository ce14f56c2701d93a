"""Do our MACs agree with timm's published GMACs? Every row of its benchmark table, and who is right.

Question  timm's ``infer_gmacs`` and ``param_count`` are the figures most people compare with. Do ours agree,
          and where they do not, which of the two is right?
Method    Build every row's model on meta at the row's input size, with as many classes as timm's own default
          weights have (0 for feature extractors), and count it twice: plain MACs, and as the table's counter
          does (convention ``timm``: fvcore, which adds norms and adaptive pooling). A row agrees when the
          figure is within 2 % of the printed one; half a unit of the printed last digit is allowed. The rest
          is explained row by row, by an arithmetic that gives the printed figure or by a figure of the table
          itself that belongs to another model.
Inputs    timm's benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv; optionally the Parquet file of
          ``explorer count --all-timm``, from which plain MACs are then taken where name and size occur.
Outputs   Shares and the explained rows, as Markdown. Counting takes minutes; --cache keeps what was counted.

    python analyses/convention_audit.py --cache counts.jsonl --out analyses/results/convention_audit.md
"""

import argparse
import csv
import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version as _version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from explorer.accounting.formulas import find_formula
from explorer.accounting.other_counters import as_counted_by
from explorer.errors import ExplorerError
from explorer.measure.trace import trace_model
from zoo import ZooError, build
from zoo.families.timm_bridge import declare_torchvision_ops

TABLE = "benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv"
DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "timm"
ALLOWED = 0.02
GMACS_STEP, PARAMS_STEP = 0.01, 0.01
"""Last digits that the table prints."""


FORMERLY: dict[str, dict[str, Any]] = {
    "tnt_s_patch16_224": {"legacy": True},
    "tnt_b_patch16_224": {"legacy": True},
    "vitamin_small_224": {"num_classes": 384},
    "vit_so150m_patch16_reg4_map_256": {"pool_include_prefix": True},
}
"""Models that timm defines otherwise by now, and the arguments that give the former network."""
LAYER_SCALES = {"hieradet_small": 2 * (1 * 96 + 2 * 192 + 11 * 384 + 2 * 768)}
"""Parameters of layer scales that timm added since: two a block, as wide as the block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of timm's table."""

    model: str
    resolution: int
    gmacs: float
    params_m: float
    macts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted for one row; ``error`` is empty where it worked."""

    model: str
    resolution: int
    classes: int = 0
    macs: int = 0
    as_timm: int = 0
    """In the convention ``timm``."""
    parameters: int = 0
    same_padding_macs: int = 0
    """Of convolutions built with ``padding='same'``, for which fvcore has no handle."""
    uncounted: str = ""
    seconds: float = 0.0
    """Time of building, tracing and counting."""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one row compares."""

    row: Row
    counted: Counted
    plain: bool
    """Plain MACs within the allowance."""
    alike: bool
    """In the table's own convention within the allowance."""
    exact: bool
    """In the table's own convention equal to the printed digits."""
    params: bool
    """Parameters equal to the printed digits."""


def rows(table: Path) -> list[Row]:
    """Read the table; thousands separators occur in it."""
    with table.open(newline="") as lines:
        return [
            Row(
                model=line["model"],
                resolution=int(line["infer_img_size"]),
                gmacs=_number(line["infer_gmacs"]),
                params_m=_number(line["param_count"]),
                macts=_number(line["infer_macts"]),
            )
            for line in csv.DictReader(lines)
            if line["infer_gmacs"]
        ]


def _number(text: str) -> float:
    return float(text.replace(",", ""))


# ---- counting -------------------------------------------------------------------------------------------


def count_row(row: Row, **arguments: Any) -> Counted:
    """Count one row's model as the table was made: with the classes of timm's default weights.

    Args:
        row: names model and resolution.
        **arguments: for timm, where the network of today's defaults is not wanted.
    """
    classes = arguments.get("num_classes", default_classes(row.model))
    started = time.monotonic()
    try:
        with torch.device("meta"):
            model = _network(row, classes, arguments)
        trace = trace_model(model, (1, 3, row.resolution, row.resolution))
    except (ZooError, ExplorerError) as error:
        return Counted(model=row.model, resolution=row.resolution, classes=classes, error=str(error))
    figure = as_counted_by(trace, "timm")
    unread = {
        path for path, part in model.named_modules() if isinstance(part, nn.Conv2d) and part.padding == "same"
    }
    return Counted(
        model=row.model,
        resolution=row.resolution,
        classes=classes,
        macs=figure.macs,
        as_timm=figure.macs_or_flops,
        parameters=trace.parameters,
        same_padding_macs=sum(
            formula(op).macs
            for op in trace.ops
            if op.module in unread and (formula := find_formula(op.op)) is not None
        ),
        uncounted=", ".join(sorted({op.op for op in trace.ops if find_formula(op.op) is None})),
        seconds=time.monotonic() - started,
    )


def _network(row: Row, classes: int, given: dict[str, Any]) -> nn.Module:
    """Build the row's model; with arguments or without classes, which the zoo refuses, with timm itself."""
    if classes > 0 and not given:
        return build(f"timm:{row.model}", num_classes=classes, resolution=row.resolution)
    import timm

    default = timm.get_pretrained_cfg(row.model)
    arguments = {**given, "num_classes": classes}
    if default is not None and default.fixed_input_size and row.resolution != default.input_size[-1]:
        arguments["img_size"] = row.resolution
    return timm.create_model(row.model, pretrained=False, **arguments)


def default_classes(name: str) -> int:
    """Return the classes of the weights that timm takes for a name without a tag."""
    import timm

    found = timm.get_pretrained_cfg(name)
    return 1000 if found is None else int(found.num_classes)


def count_rows(wanted: Iterable[Row], cache: Path | None, *, pace: float = 15.0) -> Iterator[Counted]:
    """Yield the counts of all rows, those in ``cache`` from there; progress goes to standard error."""
    known: dict[tuple[str, int], Counted] = {}
    if cache is not None and cache.exists():
        for line in cache.read_text().splitlines():
            found = Counted(**json.loads(line))
            if not found.error:
                known[found.model, found.resolution] = found
    listed = list(wanted)
    told = time.monotonic()
    for done, row in enumerate(listed, 1):
        counted = known.get((row.model, row.resolution))
        if counted is None:
            counted = count_row(row)
            if cache is not None:
                with cache.open("a") as lines:
                    lines.write(json.dumps(asdict(counted)) + "\n")
        if time.monotonic() - told > pace:
            told = time.monotonic()
            print(f"{done} of {len(listed)}: {row.model}", file=sys.stderr, flush=True)
        yield counted


# ---- comparing ------------------------------------------------------------------------------------------


def near(figure: float, printed: float, *, step: float, share: float) -> bool:
    """Tell whether ``figure`` is within ``share`` of a value that ``printed`` may have been rounded from."""
    return abs(figure - printed) <= share * printed + step / 2 + 1e-9


def verdict(row: Row, counted: Counted, plain_macs: int) -> Verdict:
    """Compare one row."""
    return Verdict(
        row=row,
        counted=counted,
        plain=near(plain_macs / 1e9, row.gmacs, step=GMACS_STEP, share=ALLOWED),
        alike=near(counted.as_timm / 1e9, row.gmacs, step=GMACS_STEP, share=ALLOWED),
        exact=near(counted.as_timm / 1e9, row.gmacs, step=GMACS_STEP, share=0.0),
        params=near(counted.parameters / 1e6, row.params_m, step=PARAMS_STEP, share=0.0),
    )


def explanation(found: Verdict, table: list[Row], counts: dict[tuple[str, int], Counted]) -> str:
    """Say why a row does not agree, and who is right, where arithmetic gives the printed figure."""
    row, counted = found.row, found.counted
    read = (counted.as_timm - counted.same_padding_macs) / 1e9
    if counted.same_padding_macs and near(read, row.gmacs, step=GMACS_STEP, share=0.0):
        return (
            f"fvcore has no handle for convolutions with padding='same': ours less theirs, "
            f"{counted.as_timm:,} - {counted.same_padding_macs:,}, is the printed figure; ours is right"
        )
    for other in table:
        twin = counts.get((other.model, other.resolution))
        same = (other.gmacs, other.params_m, other.macts) == (row.gmacs, row.params_m, row.macts)
        if other is not row and same and twin and twin.parameters != counted.parameters:
            return (
                f"printed are parameters, GMACs and activations of {other.model} at {other.resolution}: "
                "the name belongs to another network now; ours is right for it"
            )
    scales = LAYER_SCALES.get(row.model, 0)
    left = counted.parameters - scales
    if scales and near(left / 1e6, row.params_m, step=PARAMS_STEP, share=0.0):
        return f"without layer scales, which timm added since, {left:,}: the printed figure; both are right"
    return former(found) or "not explained"


def former(found: Verdict) -> str:
    """Say that the network was defined otherwise, if its former definition gives all printed digits."""
    arguments = FORMERLY.get(found.row.model)
    if arguments is None:
        return ""
    before = count_row(found.row, **arguments)
    then = verdict(found.row, before, before.macs)
    if not (then.exact and then.params):
        return ""
    named = ", ".join(f"{name}={value}" for name, value in arguments.items())
    return (
        f"redefined by timm since: with {named} {before.parameters:,} parameters and {before.as_timm:,}, "
        "the printed figures; both are right"
    )


# ---- reporting ------------------------------------------------------------------------------------------


def share(number: int, of: int) -> str:
    """Return ``number`` of ``of`` with its share."""
    return f"{number:,} of {of:,} ({number / of:.2%})" if of else "none of none"


def report(verdicts: list[Verdict], table: list[Row], failed: list[Counted]) -> str:
    """Return the whole report as Markdown."""
    counts = {(found.row.model, found.row.resolution): found.counted for found in verdicts}
    total = len(verdicts)
    seconds = sum(found.counted.seconds for found in verdicts)
    silent = sum(bool(found.counted.uncounted) for found in verdicts)
    lines = [
        "# Our counts against timm's benchmark table",
        "",
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}; {platform.machine()}, {os.cpu_count()} cores, "
        f"torch {torch.__version__}, timm {_version('timm')}; building, tracing and counting took "
        f"{seconds / 60:.1f} minutes of one core.",
        "",
        "    python analyses/convention_audit.py --out analyses/results/convention_audit.md",
        "",
        "| compared | rows |",
        "|---|---|",
        f"| models of the table that build | {share(total, total + len(failed))} |",
        f"| MACs, counted as the column was (`timm`), within {ALLOWED:.0%} |"
        f" {share(sum(v.alike for v in verdicts), total)} |",
        f"| the same, equal to the printed digits | {share(sum(v.exact for v in verdicts), total)} |",
        f"| plain MACs within {ALLOWED:.0%} | {share(sum(v.plain for v in verdicts), total)} |",
        f"| parameters equal to the printed digits | {share(sum(v.params for v in verdicts), total)} |",
        f"| with operators that were not counted | {share(silent, total)} |",
        "",
        "Plain MACs fall short of the column where norms and pooling, which its counter adds, are a larger",
        "part of a small network. That term is exact: of the rows whose plain MACs are off by more,",
        f"{share(sum(v.exact for v in verdicts if not v.plain), sum(not v.plain for v in verdicts))} "
        "have the printed digits once it is added.",
        "",
        "## Rows that differ by more than the allowance",
        "",
        "| model | px | GMACs printed | ours, as counted there | MACs | why |",
        "|---|---|---|---|---|---|",
    ]
    for found in verdicts:
        if not found.alike:
            lines.append(_line(found, explanation(found, table, counts)))
    lines += ["", "## Rows within the allowance whose printed digits differ", ""]
    lines += [
        "| model | px | GMACs printed | ours, as counted there | MACs | why |",
        "|---|---|---|---|---|---|",
    ]
    for found in verdicts:
        if found.alike and not found.exact:
            lines.append(_line(found, explanation(found, table, counts)))
    lines += _parameters_table(verdicts, table, counts)
    if failed:
        lines += [
            "",
            "## Rows whose model does not build or run",
            "",
            "| model | px | reason |",
            "|---|---|---|",
        ]
        lines += [f"| {one.model} | {one.resolution} | {one.error} |" for one in failed]
    return "\n".join(lines) + "\n"


def _parameters_table(
    verdicts: list[Verdict], table: list[Row], counts: dict[tuple[str, int], Counted]
) -> list[str]:
    lines = ["", "## Rows whose parameters differ", ""]
    lines += ["| model | px | printed, M | ours | why |", "|---|---|---|---|---|"]
    for found in verdicts:
        if not found.params:
            row = found.row
            lines.append(
                f"| {row.model} | {row.resolution} | {row.params_m:.2f} | {found.counted.parameters:,} "
                f"| {explanation(found, table, counts)} |"
            )
    return lines


def _line(found: Verdict, why: str) -> str:
    row, counted = found.row, found.counted
    cells = (row.model, row.resolution, f"{row.gmacs:.2f}", f"{counted.as_timm:,}", f"{counted.macs:,}", why)
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Count, compare, write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of timm's CSV files")
    parser.add_argument("--counts", type=Path, help="Parquet file of `explorer count --all-timm`")
    parser.add_argument("--cache", type=Path, help="JSON lines: what was counted, kept for the next run")
    parser.add_argument("--limit", type=int, help="first rows only")
    parser.add_argument("--out", type=Path, help="Markdown file; default: standard output")
    given = parser.parse_args()
    if not (given.data / TABLE).is_file():
        parser.error(f"no {TABLE} in {given.data}; give its folder with --data")
    torch.set_num_threads(1)
    declare_torchvision_ops()
    table = rows(given.data / TABLE)
    stored = {}
    if given.counts is not None:
        frame = pd.read_parquet(given.counts, columns=["model", "resolution", "macs"])
        stored = {
            (str(model).removeprefix("timm:"), int(resolution)): int(macs)
            for model, resolution, macs in frame.dropna().to_numpy().tolist()
        }
    verdicts, failed = [], []
    chosen = table[: given.limit]
    for row, counted in zip(chosen, count_rows(chosen, given.cache), strict=True):
        if counted.error:
            failed.append(counted)
            continue
        plain = stored.get((row.model, row.resolution), counted.macs)
        verdicts.append(verdict(row, counted, plain))
    text = report(verdicts, table, failed)
    if given.out is None:
        print(text)
        return
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(text)
    print(f"{given.out}: {len(verdicts)} rows")


if __name__ == "__main__":
    main()
