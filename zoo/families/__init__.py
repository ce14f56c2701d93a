"""Networks by family: one file each, with frozen config, module and published variants."""

import importlib
import pkgutil

from zoo.registry import Family


def all_families() -> tuple[Family, ...]:
    """Import every module of this package and return what each calls ``FAMILY`` or ``FAMILIES``."""
    found: list[Family] = []
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        if hasattr(loaded, "FAMILY"):
            found.append(loaded.FAMILY)
        found.extend(getattr(loaded, "FAMILIES", ()))
    return tuple(found)
