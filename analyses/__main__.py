"""Run every question that is answered from the reference store, one line each.

python -m analyses                     write analyses/results
python -m analyses --check             compare with analyses/results
python -m analyses --store DIR --dataset NAME --out DIR
"""

import importlib
import sys

from explorer.run.analysing import NO_ANSWER, run_analysis

NAMES = (
    "ensemble_vs_scaling",
    "cascade_savings",
    "seed_spread",
    "distil_or_ensemble",
    "memory_split",
    "macs_vs_latency",
)


def main(arguments: list[str]) -> int:
    """Return the worst exit code; a question without an answer in this store is none."""
    codes = []
    for name in NAMES:
        module = importlib.import_module(f"analyses.{name}")
        codes.append(run_analysis(name, module.__doc__, module.analyse, arguments, brief=True))
    return max((code for code in codes if code != NO_ANSWER), default=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
