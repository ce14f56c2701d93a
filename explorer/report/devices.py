"""Lay out devices and prices: for the terminal and as documents."""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import date

from explorer.accounting.roofline import ridge
from explorer.data.devices import FIGURES, PEAKS, Device, Status, find_device_entry
from explorer.data.prices import HERE, Price, PriceChoice
from explorer.profile_record import FittedPredictor
from explorer.report.documents import SCHEMA_VERSION, Document
from explorer.report.terminal import table
from explorer.report.text import format_count, significant
from explorer.workload import Workload

UNKNOWN = "unknown"
MARK = "?"
"""Follows a figure that was not verified."""
_LEGEND = f"{MARK} recalled, not verified; peaks are dense, at the published boost clock, of one card or chip"
_LABELS = {
    "compute_units": "compute units",
    "clock": "clock",
    "memory": "memory",
    "bandwidth": "bandwidth",
    "onchip": "on-chip memory",
    "tdp": "power rating",
}


def figure_text(device: Device, figure: str) -> str:
    """Write one figure of a device with its unit: ``82.6 TFLOP/s``, ``93.9 GB/s ?``, ``unknown``."""
    value = _value(device, figure)
    if value is None:
        return UNKNOWN
    text = _WRITERS[figure](value)
    if figure == "compute_units":
        text += f" {device.unit}s" if value != 1 else f" {device.unit}"
    return f"{text} {MARK}" if device.status.get(figure) is Status.RECALLED else text


def _value(device: Device, figure: str) -> float | None:
    if figure in _PEAK_NAMES:
        return device.peaks.get(_PEAK_NAMES[figure])
    values: dict[str, float | None] = {
        "compute_units": device.compute_units,
        "clock": device.clock_ghz,
        "memory": device.memory_bytes,
        "bandwidth": device.bandwidth,
        "onchip": device.onchip_bytes,
        "tdp": device.tdp_w,
    }
    return values[figure]


_PEAK_NAMES = {str(precision): precision for precision in PEAKS}


def _digits(value: float) -> str:
    """Write up to four digits as a specification gives them, without zeros that nobody said."""
    return f"{value:.4g}" if value < 1e4 else format_count(round(value))


def _tera(unit: str) -> Callable[[float], str]:
    return lambda value: f"{_digits(value / 1e12)} {unit}"


_WRITERS: dict[str, Callable[[float], str]] = {
    **{name: _tera("TOP/s" if name == "int8" else "TFLOP/s") for name in _PEAK_NAMES},
    "compute_units": lambda value: format_count(round(value)),
    "clock": lambda value: f"{_digits(value)} GHz",
    "memory": lambda value: f"{_digits(value / 2**30)} GiB",
    "bandwidth": lambda value: f"{_digits(value / 1e9)} GB/s",
    "onchip": lambda value: f"{_digits(value / 2**20)} MiB",
    "tdp": lambda value: f"{_digits(value)} W",
}


def devices_text(found: Sequence[Device]) -> str:
    """Write the device table, one line a device."""
    header = ("device", "name", "fp32", "fp16", "bf16", "int8", "memory", "bandwidth", "power rating")
    figures = ("fp32", "fp16", "bf16", "int8", "memory", "bandwidth", "tdp")
    rows = [(d.key, d.name, *(_short(figure_text(d, figure)) for figure in figures)) for d in found]
    return "\n".join((table(header, rows), "", f"fp32 to bf16 in TFLOP/s, int8 in TOP/s; {_LEGEND}"))


def _short(text: str) -> str:
    """Leave out units that the table's legend says."""
    return text.replace(" TFLOP/s", "").replace(" TOP/s", "").replace(UNKNOWN, "-")


def device_text(device: Device, choice: PriceChoice | None = None) -> str:
    """Write one device: every figure, how it is known, and from where."""
    rows = []
    for figure in FIGURES:
        text = figure_text(device, figure)
        if figure in _PEAK_NAMES and text == UNKNOWN:
            continue
        label = _LABELS.get(figure, f"{figure} peak")
        status = device.status.get(figure, UNKNOWN) if text != UNKNOWN else ""
        rows.append((label, text, str(status), device.sources.get(figure, "").removeprefix("derived: ")))
    lines = [f"{device.key}: {device.name}, {device.vendor} {device.kind}"]
    lines += [f"  {line}" for line in table(("figure", "value", "known", "from"), rows).splitlines()]
    if device.devices_per_chip > 1:
        lines.append(
            f"  a program sees {device.devices_per_chip} devices in one chip; figures are the chip's"
        )
    lines += [f"  note: {device.note}"] if device.note else []
    lines += _ridge_lines(device)
    lines.append(f"  price: {choice_text(choice)}")
    if device.aliases:
        lines.append(f"  also called {', '.join(device.aliases)}")
    lines.append(f"  {_LEGEND}")
    return "\n".join(lines)


def _ridge_lines(device: Device) -> list[str]:
    found = []
    for precision in device.peaks:
        macs = ridge(device, precision)
        if macs is not None:
            found.append(f"{significant(macs)} in {precision}")
    return [f"  roofline: memory bounds the time below {', '.join(found)} MACs a byte"] if found else []


def choice_text(choice: PriceChoice | None) -> str:
    """Write the price that money is reckoned with, and how far others are from it."""
    if choice is None:
        return "none known; add one with: explorer devices prices set DEVICE USD --date DATE --source TEXT"
    price = choice.price
    text = f"{_dollars(price.usd_per_hour)} per {price.unit} and hour,"
    text += f" {price.purchase}, {price.date.isoformat()}"
    if choice.alternatives > 1:
        text += f" ({choice.alternatives} sellers, {_dollars(choice.low)} to {_dollars(choice.high)})"
    if price.is_old():
        text += ", OLD: more than a year"
    return text


def _dollars(value: float) -> str:
    return f"{value:.2f} USD" if value >= 0.1 else f"{significant(value)} USD"


def prices_text(found: Sequence[Price], today: date | None = None) -> str:
    """Write the price book, one line a price, with its age in days; those older than a year are marked."""
    rows = []
    for price in found:
        age = f"{format_count(price.age_days(today))} d" + (" OLD" if price.is_old(today) else "")
        rows.append(
            (
                price.device,
                f"{_dollars(price.usd_per_hour)} per {price.unit}",
                str(price.purchase),
                price.region or "-",
                price.date.isoformat(),
                age,
                "shipped" if price.shipped else "yours",
                price.source,
            )
        )
    header = ("device", "price of an hour", "purchase", "region", "date", "age", "whose", "source")
    lines = [table(header, rows) if rows else "no prices"]
    lines.append("prices change by the week: set your own with `explorer devices prices set`")
    return "\n".join(lines)


def device_document(device: Device) -> Document:
    """Lay out one device; figures in SI units, null where unknown."""
    return {
        "key": device.key,
        "name": device.name,
        "vendor": device.vendor,
        "kind": device.kind,
        "aliases": list(device.aliases),
        "unit": device.unit,
        "compute_units": device.compute_units,
        "clock_ghz": device.clock_ghz,
        "peaks": {str(precision): value for precision, value in device.peaks.items()},
        "memory_bytes": device.memory_bytes,
        "bandwidth": device.bandwidth,
        "onchip_bytes": device.onchip_bytes,
        "tdp_w": device.tdp_w,
        "cores_per_device": device.cores_per_device,
        "devices_per_chip": device.devices_per_chip,
        "status": {figure: str(status) for figure, status in device.status.items()},
        "sources": dict(device.sources),
        "recalled": list(device.recalled),
        "note": device.note,
    }


def devices_document(found: Sequence[Device]) -> Document:
    """Lay out the device table."""
    return {"schema_version": SCHEMA_VERSION, "devices": [device_document(device) for device in found]}


def price_document(price: Price, today: date | None = None) -> Document:
    """Lay out one price."""
    return {
        "device": price.device,
        "usd_per_hour": price.usd_per_hour,
        "unit": price.unit,
        "date": price.date.isoformat(),
        "age_days": price.age_days(today),
        "old": price.is_old(today),
        "purchase": str(price.purchase),
        "region": price.region or None,
        "source": price.source,
        "origin": "shipped" if price.shipped else "user",
    }


def prices_document(found: Sequence[Price], today: date | None = None) -> Document:
    """Lay out the price book."""
    return {"schema_version": SCHEMA_VERSION, "prices": [price_document(price, today) for price in found]}


def choice_document(choice: PriceChoice | None) -> Document | None:
    """Lay out the price that money is reckoned with; None where there is none."""
    if choice is None:
        return None
    return {
        **price_document(choice.price),
        "low_usd_per_hour": choice.low,
        "high_usd_per_hour": choice.high,
        "alternatives": choice.alternatives,
    }


# ---- predictors --------------------------------------------------------------------------------------


def fitted_document(done: FittedPredictor) -> dict[str, object]:
    """Lay out a predictor that was written."""
    return {
        "schema_version": 1,
        "workload": str(done.workload),
        "path": done.path,
        "rows": done.rows,
        "left_out": list(done.left_out),
    }


def fitted_text(done: FittedPredictor) -> str:
    """Say what was fitted and what to do with it."""
    lines = [
        f"fitted {done.rows} measured models: {done.workload}",
        f"kept in {done.path}; used by `explorer profile MODEL --device {done.workload} --predict`",
    ]
    if done.left_out:
        lines.append(f"left out {len(done.left_out)}: {'; '.join(done.left_out[:3])}")
    return "\n".join(lines)


def calibrated_text(done: FittedPredictor, before: float | None, after: float) -> str:
    """Say how far the predictor was off on the models timed, before and after."""
    earlier = "" if before is None else f"{before:.1%} before, "
    return (
        f"{fitted_text(done)}\n"
        f"mean error on these models: {earlier}{after:.1%} after (they were used: no test)"
    )


def runs_text(workload: Workload, models: Sequence[str]) -> str:
    """Say which models to time, and how."""
    there = dataclasses.replace(workload, device="cpu" if _is_cpu(workload.device) else "cuda")
    return "\n".join(
        (
            f"on the machine with {workload.device}, time these {len(models)} models:",
            f"  explorer profile {' '.join(models)} --device {there} --classes 1000 --json > runs.json",
            "then here:",
            f"  explorer devices calibrate {workload} --measured runs.json",
        )
    )


def _is_cpu(device: str) -> bool:
    return device == "cpu" or (device not in HERE and find_device_entry(device).kind == "cpu")
