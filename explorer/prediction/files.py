"""Keep fitted predictors in files: arrays and one line of JSON, no pickled code."""

import dataclasses
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from explorer.accounting.kernels import KINDS
from explorer.errors import InputDataError, UsageError
from explorer.prediction.features import WORK
from explorer.prediction.network import Network
from explorer.prediction.predictor import LatencyPredictor, Scaling
from explorer.prediction.rates import RatePredictor
from explorer.prediction.transfer import SORTS, TransferredPredictor
from explorer.workload import Workload

FORMAT = 1
_UNREADABLE = (BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, zlib.error)
"""What numpy and zipfile raise for files that are damaged or nothing of ours."""
Predictor = LatencyPredictor | TransferredPredictor | RatePredictor


def save(predictor: Predictor, path: Path, *, source: str) -> None:
    """Write a predictor; the file appears whole or not at all.

    Args:
        predictor: what to keep.
        path: ends in ``.npz``.
        source: where the measured times come from, for whoever reads a prediction.

    Raises:
        UsageError: the folder cannot be written to.
    """
    if isinstance(predictor, RatePredictor):
        head, arrays = _rates_document(predictor, source)
    else:
        head, arrays = _network_document(predictor, source)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez_compressed(file, head=np.array(json.dumps(head)), **arrays)  # type: ignore[arg-type]
        part.replace(path)
    except OSError as error:
        raise UsageError(f"cannot keep the predictor at {path}: {error}") from error


def _rates_document(predictor: RatePredictor, source: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    fields = ("low", "high", "rows", "families", "batches")
    return {
        "format": FORMAT,
        "kinds": KINDS,
        "source": source,
        "rates_of": str(predictor.workload),
        **{name: getattr(predictor, name) for name in fields},
    }, {"rates": predictor.rates}


def _network_document(
    predictor: LatencyPredictor | TransferredPredictor, source: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    base = predictor if isinstance(predictor, LatencyPredictor) else predictor.base
    head: dict[str, Any] = {
        "format": FORMAT,
        "kinds": KINDS,
        "source": source,
        "workload": str(base.workload),
        "centre": base.centre,
        "low": base.low,
        "high": base.high,
        "rows": base.rows,
        "families": base.families,
        "batches": base.batches,
        "scaling": dataclasses.asdict(base.scaling),
    }
    arrays: dict[str, np.ndarray] = {}
    for number, network in enumerate(base.networks):
        arrays[f"rates{number}"] = network.rates.astype(np.float32)
        arrays |= {f"layer{number}-{place}": layer for place, layer in enumerate(network.weights)}
    if isinstance(predictor, TransferredPredictor):
        head |= {
            "sorts": SORTS,
            "moved_to": str(predictor.workload),
            "runs": predictor.runs,
            "run_batches": predictor.batches,
        }
        arrays |= {"mean": predictor.mean, "covariance": predictor.covariance}
    return head, arrays


def load(path: Path) -> tuple[Predictor, str]:
    """Return the predictor in a file, and where its times come from.

    Raises:
        InputDataError: not such a file, damaged, or of a version that describes kernels otherwise.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            head = json.loads(str(arrays["head"]))
            found = {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise InputDataError(f"no predictor at {path}") from None
    except (*_UNREADABLE, KeyError, TypeError, ValueError) as error:
        raise InputDataError(f"{path} holds no predictor: {error}") from error
    if not isinstance(head, dict):
        raise InputDataError(f"{path} holds no predictor: it describes none")
    if not _is_ours(head):
        raise InputDataError(
            f"{path} was fitted by another version (format {head.get('format')}); "
            "fit or calibrate it again with `explorer devices`"
        )
    try:
        return _rebuilt(head, found), str(head["source"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InputDataError(f"{path} is damaged: {error}") from error


def _is_ours(head: Mapping[str, Any]) -> bool:
    """Tell whether this version gives the same meaning to what the file holds."""
    sorts = [list(names) for names in SORTS]
    described = head.get("format") == FORMAT and head.get("kinds") == list(KINDS)
    return described and ("moved_to" not in head or head.get("sorts") == sorts)


def _rebuilt(head: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Predictor:
    if not all(np.isfinite(array).all() for name, array in arrays.items() if name != "head"):
        raise ValueError("numbers that are not finite")
    if "rates_of" in head:
        if len(arrays["rates"]) != len(WORK) or arrays["rates"].shape[1] < len(KINDS):
            raise ValueError("rates of another number of kernels")
        return RatePredictor(
            workload=Workload.parse(head["rates_of"]),
            rates=arrays["rates"],
            low=head["low"],
            high=head["high"],
            rows=head["rows"],
            families=head["families"],
            batches=(int(head["batches"][0]), int(head["batches"][1])),
        )
    networks: list[Network] = []
    while (name := f"rates{len(networks)}") in arrays:
        layers = [key for key in arrays if key.startswith(f"layer{len(networks)}-")]
        weights = tuple(arrays[f"layer{len(networks)}-{place}"] for place in range(len(layers)))
        networks.append(Network(rates=arrays[name].astype(float), weights=weights))
    if not networks or any(network.rates.shape != (len(WORK), len(KINDS)) for network in networks):
        raise ValueError("no networks, or rates of another number of kernels")
    base = LatencyPredictor(
        workload=Workload.parse(head["workload"]),
        networks=tuple(networks),
        centre=head["centre"],
        low=head["low"],
        high=head["high"],
        rows=head["rows"],
        families=head["families"],
        batches=(int(head["batches"][0]), int(head["batches"][1])),
        scaling=Scaling(**head["scaling"]),
    )
    if "moved_to" not in head:
        return base
    terms = 1 + len(SORTS)
    if arrays["mean"].shape != (terms,) or arrays["covariance"].shape != (terms, terms):
        raise ValueError(f"a correction of another number of terms than {terms}")
    return TransferredPredictor(
        base=base,
        workload=Workload.parse(head["moved_to"]),
        mean=arrays["mean"],
        covariance=arrays["covariance"],
        runs=head["runs"],
        batches=(int(head["run_batches"][0]), int(head["run_batches"][1])),
    )
