"""Read a CSV table row by row, with its header checked: what the readers of timm's tables share."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from explorer.errors import InputDataError


def numbered_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and cells by column of every row; cells too many stand under the empty name.

    Args:
        path: a file in UTF-8, with or without a byte order mark.
        required: columns that must be there.

    Raises:
        InputDataError: no such file, not such a table, or columns that are missing, which the message lists.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="", restval="", strict=True)
            columns = reader.fieldnames or ()
            missing = [name for name in required if name not in columns]
            if missing:
                raise InputDataError(
                    f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
                    f"it has {', '.join(columns) or 'none'}"
                )
            for cells in reader:
                yield reader.line_num, cells
    except FileNotFoundError:
        raise InputDataError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputDataError(f"{path} cannot be read as a table: {error}") from error
