"""Transformers fine-tuned into a supernet: layers, heads, hidden features (InstaTune, arXiv 2308.15609)."""

from abc import ABC
from dataclasses import dataclass
from typing import Any

from zoo.supernets.rows import Row, RowSpace, same

HEAD_FEATURES = 64


@dataclass(frozen=True, kw_only=True)
class ElasticEncoder(RowSpace, ABC):
    """An encoder whose depth, heads and hidden features are free, layer by layer; its width is not."""

    embed: int = 768
    depths: tuple[int, ...]
    heads: tuple[int, ...] = (6, 8, 10, 12)
    hidden: tuple[int, ...] = (1024, 2048, 3072)

    @property
    def decisions(self) -> tuple[str, ...]:
        """Depth, heads, hidden features."""
        return (
            f"layers: {self.depths}",
            f"heads of each layer, of {HEAD_FEATURES} features: {self.heads}",
            f"hidden features of each layer: {self.hidden}",
        )

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """Depth; heads and hidden features of each layer."""
        first = Row("depth", (self.depths,))
        if lead is None:
            return (first,)
        return first, same("heads", self.heads, lead[0]), same("hidden", self.hidden, lead[0])
