"""Prices in a file of predictions: under which key they are, and for how many calls by its name."""

import re

import numpy as np

from explorer.data.arrays import NamedArrays
from explorer.errors import InputDataError, UsageError

# Nothing after the unit may belong to the number: 1_000 is not 1, and 1month not 1m.
_PRICE_KEY = re.compile(
    r"(?:price|cost)\w*?_per_?(?P<number>[0-9]+)(?P<unit>[km]?)(?![0-9a-z]|_[0-9])", re.IGNORECASE
)
_LIKE_A_PRICE = re.compile(r"(?:price|cost)\w*?_per(?![a-z])", re.IGNORECASE)


def looks_like_prices(key: str) -> bool:
    """Tell whether a key is no predictions by its name, but prices, be they understood or not."""
    return _LIKE_A_PRICE.search(key) is not None


def find_price_key(held: NamedArrays) -> tuple[str, tuple[str, ...]]:
    """Return the key of the prices, or an empty text, and notes on what looks like one and is not clear.

    Raises:
        UsageError: more than one key is understood.
    """
    found = [key for key in held.arrays if looks_like_prices(key)]
    clear = [key for key in found if price_calls(key)]
    if len(clear) > 1:
        raise UsageError(
            f"{held.path.name} has prices under {' and '.join(clear)}; say which: --price-key KEY"
        )
    notes = (
        f"left out: {key} looks like a price, but does not say for how many calls, as cost_per_10k does; "
        f"--price-key {key} --per CALLS takes it"
        for key in found
        if key not in clear
    )
    return clear[0] if clear else "", tuple(notes)


def read_prices(held: NamedArrays, key: str, members: int) -> tuple[float, ...]:
    """Return the price of each member.

    Raises:
        InputDataError: no numbers, or not one for each member.
        UsageError: there is no such key.
    """
    array = held.get(key)
    values = np.unique(array) if held.table else array.ravel()
    if array.dtype.kind not in "iuf" or len(values) != members:
        raise InputDataError(
            f"{held.path.name}: {key} is {array.dtype} with {len(values)} values; "
            f"wanted a number for each of {members} members"
        )
    return tuple(map(float, values))


def price_calls(key: str) -> float:
    """Return for how many calls a price is by its key: ``cost_per_10k`` is for 10,000; 0: it does not say."""
    match = _PRICE_KEY.search(key)
    return float(match["number"]) * {"": 1.0, "k": 1e3, "m": 1e6}[match["unit"].lower()] if match else 0.0
