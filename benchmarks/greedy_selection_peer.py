"""AutoGluon's greedy ensemble selection on stored arrays; runs inside AutoGluon's own environment.

Called by `benchmarks.greedy_selection` as ``python greedy_selection_peer.py DIR METRIC TIE_BREAKER ROUNDS``;
reads ``DIR/probabilities.npy`` and ``DIR/labels.npy``, prints one JSON document.
"""

import json
import logging
import sys
import time
import warnings

import numpy as np
from autogluon.core.metrics import accuracy, log_loss
from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection
from autogluon.core.version import __version__


def main() -> None:
    """Select, and print picks, scores, seconds and the version."""
    folder, metric, tie_breaker, rounds = sys.argv[1:]
    warnings.simplefilter("ignore")  # a deprecation of scikit-learn's, printed at every call
    logging.disable()
    probabilities = np.load(f"{folder}/probabilities.npy")
    labels = np.load(f"{folder}/labels.npy")
    # its own form: float64, as its renormalising would make it; converting is not in the time
    members = [row.astype(np.float64) for row in probabilities]
    selection = EnsembleSelection(
        ensemble_size=int(rounds),
        problem_type="multiclass",
        metric={"accuracy": accuracy, "log-loss": log_loss}[metric],
        tie_breaker=tie_breaker,
        random_state=np.random.RandomState(0),
    )
    selection.use_best = False  # the whole sequence; the best prefix is worked out from it
    start = time.perf_counter()
    selection.fit(members, labels)
    seconds = time.perf_counter() - start
    document = {
        "picks": [int(pick) for pick in selection.indices_],
        "errors": [float(error) for error in selection.trajectory_],
        "seconds": seconds,
        "version": __version__,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
