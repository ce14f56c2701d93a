"""Tables of published accuracies in the form timm publishes them (``results/results-*.csv``).

Which test set a table is of stands in the file's name, ``results-imagenet-a.csv``. Each row is one set of
weights, ``architecture.tag``, at one image size; accuracies are printed in percent with three decimals.
Numbers may carry thousands separators.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from explorer.data.csv_table import numbered_rows
from explorer.errors import InputDataError

MODEL, SIZE, TOP1, TOP5, PARAMS = "model", "img_size", "top1", "top5", "param_count"
CROP, INTERPOLATION = "crop_pct", "interpolation"
REQUIRED = (MODEL, SIZE, TOP1, TOP5, PARAMS)
PREFIX = "results-"
PARAMS_ROUNDING = 0.005
"""Half of the last digit printed, 1e6 parameters."""

_PRINTED_DECIMALS = 3
_FITS = 0.75
"""Share of rows that must be whole numbers of right answers; of any other number of images half would be."""
_README = "timm, results/README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSet:
    """Images that ImageNet classifiers are scored on."""

    __test__ = False  # the name is the field's, pytest need not look inside

    name: str
    """As ``--accuracy`` takes it."""
    table: str
    """Name of the file after ``results-``."""
    classes: int
    """Classes among which the answer is looked for."""
    examples: int
    """Images scored."""
    source: str
    """Where the number of images was seen, or what it was derived from."""


TEST_SETS = (
    TestSet(name="imagenet", table="imagenet", classes=1000, examples=50_000, source=_README),
    TestSet(
        name="imagenet-real",
        table="imagenet-real",
        classes=1000,
        examples=46_837,
        source="derived: the printed accuracies are multiples of 1/46,837; images without a label are left "
        "out (google-research/reassessed-imagenet, README.md)",
    ),
    TestSet(
        name="imagenet-v2",
        table="imagenetv2-matched-frequency",
        classes=1000,
        examples=10_000,
        source=_README,
    ),
    TestSet(
        name="imagenet-sketch",
        table="sketch",
        classes=1000,
        examples=50_889,
        source="derived: the printed accuracies are multiples of 1/50,889 (README.md: 50,000)",
    ),
    TestSet(name="imagenet-a", table="imagenet-a", classes=200, examples=7_500, source=_README),
    TestSet(name="imagenet-r", table="imagenet-r", classes=200, examples=30_000, source=_README),
)
"""Test sets whose number of images is known; of a table of any other one accuracies have no interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyRow:
    """One set of weights at one image size, scored."""

    model: str
    """As the table names it, ``resnet50.a1_in1k``."""
    resolution: int
    """Side of the square image in pixels."""
    top1: float
    """Share of images answered right, rounded to 1e-5 as printed."""
    top5: float
    """Share of images with the right class among the first five."""
    params: float
    """1e6 parameters, the 1,000-class head included."""
    crop: float | None = None
    """Share of the resized image that is looked at; None where the table does not say."""
    interpolation: str = ""
    """How the image was resized."""
    line: int = 0
    """Where it stands in the file, from 1."""

    @property
    def architecture(self) -> str:
        """The name before the first dot: what a cost depends on."""
        return self.model.partition(".")[0]

    @property
    def tag(self) -> str:
        """The name after the first dot: how the weights were trained; may be empty."""
        return self.model.partition(".")[2]

    @property
    def key(self) -> tuple[str, int]:
        """Weights and image size: what is scored once in a table."""
        return self.model, self.resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyTable:
    """What one file of accuracies holds."""

    name: str
    """The file's name without ending."""
    test_set: str
    """Of `TEST_SETS`, else as the file's name has it."""
    examples: int | None
    """Images scored; None where that is not known."""
    rows: tuple[AccuracyRow, ...]
    notes: tuple[str, ...] = ()
    """What a person should know of it, one line each."""


def read_results_table(path: Path | str) -> AccuracyTable:
    """Read one file of published accuracies.

    Args:
        path: a CSV file with at least the columns of `REQUIRED`.

    Raises:
        InputDataError: no such file, missing columns, no rows; a row with a figure that is missing, not a
            number or out of range, or that stands twice.
    """
    path = Path(path)
    rows: dict[tuple[str, int], AccuracyRow] = {}
    for line, cells in numbered_rows(path, REQUIRED):
        try:
            row = _row(cells, line)
            if row.key in rows:
                first = rows[row.key].line
                raise ValueError(f"{row.model} at {row.resolution} stands in line {first} already")
        except ValueError as error:
            raise InputDataError(f"{path}, line {line}: {error}") from None
        rows[row.key] = row
    if not rows:
        raise InputDataError(f"{path} has no rows")
    examples, notes = _examples(path, tuple(rows.values()))
    return AccuracyTable(
        name=path.stem, test_set=_test_set(path)[0], examples=examples, rows=tuple(rows.values()), notes=notes
    )


def _test_set(path: Path) -> tuple[str, TestSet | None]:
    """Return the test set's name, and what is known of it."""
    table = path.stem.removeprefix(PREFIX)
    known = next((found for found in TEST_SETS if found.table == table), None)
    return (table, None) if known is None else (known.name, known)


def _examples(path: Path, rows: tuple[AccuracyRow, ...]) -> tuple[int | None, tuple[str, ...]]:
    """Return the number of images if the accuracies are shares of so many, else None and a note."""
    name, known = _test_set(path)
    if known is None:
        said = f"{path.name}: how many images {name} has is not known here; accuracies without interval"
        return None, (said,)
    whole = sum(_is_share_of(row.top1, known.examples) for row in rows)
    if whole >= _FITS * len(rows):
        return known.examples, ()
    return None, (
        f"{path.name}: only {whole} of {len(rows)} accuracies are shares of {known.examples:,} images; "
        "scored on others? accuracies without interval",
    )


def _is_share_of(share: float, examples: int) -> bool:
    nearest = round(share * examples) / examples
    return abs(round(100 * nearest, _PRINTED_DECIMALS) - 100 * share) < 0.1 * 10**-_PRINTED_DECIMALS


def _row(cells: Mapping[str, str], line: int) -> AccuracyRow:
    """Return the row in ``cells``, or raise ValueError with what is wrong with it."""
    if cells.get(""):
        raise ValueError(f"more cells than columns: {cells['']}")
    model = cells[MODEL].strip()
    if not model:
        raise ValueError("no model name")
    size = _number(cells, SIZE, low=1)
    if size != int(size):
        raise ValueError(f"{SIZE} is {cells[SIZE].strip()!r}, wanted a whole number")
    return AccuracyRow(
        model=model,
        resolution=int(size),
        # rounded again: 76.132 / 100 is not the nearest float to 0.76132
        top1=round(_number(cells, TOP1, high=100) / 100, _PRINTED_DECIMALS + 2),
        top5=round(_number(cells, TOP5, high=100) / 100, _PRINTED_DECIMALS + 2),
        params=_number(cells, PARAMS),
        crop=_number(cells, CROP) if cells.get(CROP, "").strip() else None,
        interpolation=cells.get(INTERPOLATION, "").strip(),
        line=line,
    )


def _number(cells: Mapping[str, str], column: str, *, low: float = 0, high: float = math.inf) -> float:
    text = cells[column].strip()
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        raise ValueError(f"{column} is {text!r}, not a number") from None
    if not (math.isfinite(value) and low <= value <= high):
        wanted = f"{low:g} to {high:g}" if high < math.inf else f"{low:g} or more"
        raise ValueError(f"{column} is {text!r}, wanted a number, {wanted}")
    return value
