"""The fixed sample of architectures that the counters are compared on, and the rule it was drawn by."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

SAMPLE_FILE = Path(__file__).with_name("sample.txt")
SIZE = 150


def draw(names_by_module: Mapping[str, Sequence[str]], size: int = SIZE) -> tuple[str, ...]:
    """Return ``size`` names: one of every source module of timm in turn, large modules first.

    Within a module names come in the order of their SHA-256, so nobody chose them. Every module is in
    the sample before any is in it twice.

    Raises:
        ValueError: there are fewer names than asked for.
    """
    total = sum(len(names) for names in names_by_module.values())
    if total < size:
        raise ValueError(f"a sample of {size} was asked for; there are {total} names")
    modules = sorted(names_by_module, key=lambda module: (-len(names_by_module[module]), module))
    queues = [sorted(names_by_module[module], key=_digest) for module in modules]
    drawn: list[str] = []
    for place in range(max(map(len, queues))):
        drawn += [queue[place] for queue in queues if place < len(queue)]
    return tuple(drawn[:size])


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def read(path: Path = SAMPLE_FILE) -> tuple[str, ...]:
    """Return the names in ``path``, one a line, lines that start with # left out."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def timm_names_by_module() -> dict[str, list[str]]:
    """Return every architecture that the installed timm lists, by the source module it is in."""
    from zoo.families.timm_bridge import declare_torchvision_ops

    declare_torchvision_ops()
    import timm

    return {module: timm.list_models(module=module) for module in timm.list_modules()}
