"""What became of the field's efficiency claims? Every one that the explorer checks, as a page.

Question  Of the efficiency claims of networks, search spaces and recipes, which hold, which fail, and which
          depend on form, device or comparator?
Method    `explorer claims`: counts made now on the meta device, public tables cited, measurements kept with
          the project. A claim holds or fails when all its checks agree, and depends when they do not.
          Tolerances come from the words and the rounding of the published figure, never from what was found.
Interval  Measured ratios: 95 % of the rounds of one run; other runs scatter more. Counts have none.
Inputs    explorer/data/tables/claims.toml, claims_measured.json.
Outputs   docs/claims.md. Takes a minute.

    python -m analyses.claims            write docs/claims.md
    python -m analyses.claims --check    exit 1 if it says otherwise
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from explorer.data.claims import read_claims
from explorer.report.claims import claims_markdown, summary
from explorer.run.claims.checking import check_claims
from explorer.run.claims.measured import KeptMeasurements, read_measurements

PAGE = Path("docs/claims.md")
HEAD = """# The field's efficiency claims, checked

Written by `python -m analyses.claims`; `--check` compares. `explorer claims` makes the same checks, `explorer
claims ID` shows one with all its figures, `--measure` measures again on your machine.

Statements are in our words; figures are the papers'. A claim is checked in every way that its words allow:
form of the network (as trained, or merged for deployment), device, network it is compared with. It holds or
fails when all ways agree, and depends when they do not. Figures without a mark are counted: convolutions,
linear layers and matrix products, once each. `[n]` marks somebody else's measurement. Measured ratios are
of one run with both networks in the same rounds, with the 95 % interval over rounds; where that reaches
across the bound, the check is undecided.

Where a claim is about a device that is not here (a TPU, a phone, a GTX 1080Ti), another one stands in and
the condition says which: a failure there says that the figure does not carry over, not that it was never
measured. What is called not checked has a reason.
"""


def page() -> tuple[str, str]:
    """Return the page, and how many claims hold, fail and depend."""
    claims = check_claims(read_claims().values(), measurements=KeptMeasurements(read_measurements()))
    return f"{HEAD}\n{claims_markdown(claims)}\n", summary(claims)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(
        prog="python -m analyses.claims", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the page says otherwise"
    )
    parser.add_argument("--out", type=Path, default=PAGE, metavar="FILE", help="default: %(default)s")
    given = parser.parse_args(arguments)
    text, counts = page()
    if given.check:
        same = given.out.is_file() and given.out.read_text(encoding="utf-8") == text
        print(f"{given.out}: {counts}" if same else f"{given.out} says otherwise: {counts}")
        return 0 if same else 1
    given.out.write_text(text, encoding="utf-8")
    print(f"{given.out}: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
