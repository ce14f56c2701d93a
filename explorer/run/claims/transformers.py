"""Transformer parts that claims speak of, on images ``[example, channel, height, width]``."""

import torch
import torch.nn.functional as F
from torch import nn


class MultiHead2d(nn.Module):
    """Self-attention over all pixels with keys and values of each head, by 1x1 convolutions."""

    def __init__(self, channels: int, heads: int, key: int) -> None:
        super().__init__()
        self.heads = heads
        self.inside = nn.Conv2d(channels, 3 * heads * key, 1, bias=False)
        self.outside = nn.Conv2d(heads * key, channels, 1, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the same shape."""
        height, width = images.shape[-2:]
        rows = self.inside(images).flatten(2).unflatten(1, (3, self.heads, -1)).transpose(3, 4)
        seen = F.scaled_dot_product_attention(rows[:, 0], rows[:, 1], rows[:, 2])
        return self.outside(seen.transpose(2, 3).flatten(1, 2).unflatten(2, (height, width)))


class _Attention(nn.Module):
    """One token's attention to a cache: grouped queries, keys and values of the tokens before it."""

    def __init__(self, features: int, heads: int, shared: int, tokens: int) -> None:
        super().__init__()
        self.heads, self.shared, self.key = heads, shared, features // heads
        self.cache: torch.Tensor
        self.norm = nn.RMSNorm(features)
        self.queries = nn.Linear(features, features, bias=False)
        self.pairs = nn.Linear(features, 2 * shared * self.key, bias=False)
        self.outside = nn.Linear(features, features, bias=False)
        self.register_buffer("cache", torch.randn(2, 1, shared, tokens, self.key))

    def forward(self, token: torch.Tensor) -> torch.Tensor:
        rows = self.norm(token)
        queries = self.queries(rows).unflatten(1, (self.heads, 1, self.key))
        new = self.pairs(rows).unflatten(1, (2, self.shared, 1, self.key)).transpose(0, 1)
        keys, values = torch.cat((self.cache.expand(-1, len(token), -1, -1, -1), new), 3)
        seen = F.scaled_dot_product_attention(queries, keys, values, enable_gqa=True)
        return token + self.outside(seen.flatten(1))


class _Gated(nn.Module):
    """Feed-forward layer with a SiLU gate."""

    def __init__(self, features: int, inside: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(features)
        self.gate = nn.Linear(features, inside, bias=False)
        self.wide = nn.Linear(features, inside, bias=False)
        self.narrow = nn.Linear(inside, features, bias=False)

    def forward(self, token: torch.Tensor) -> torch.Tensor:
        rows = self.norm(token)
        return token + self.narrow(F.silu(self.gate(rows)) * self.wide(rows))


class Decoder(nn.Module):
    """One token's step through layers of Llama-2-70B's shape at an eighth of its width, with 2,048 cached.

    Args:
        layers: feed-forward layers.
        attending: how many of them, the first ones, have an attention layer before them.
    """

    def __init__(self, layers: int, *, attending: int) -> None:
        super().__init__()
        features, inside, heads, shared, tokens = 1024, 3584, 8, 1, 2048
        parts: list[nn.Module] = []
        for layer in range(layers):
            if layer < attending:
                parts.append(_Attention(features, heads, shared, tokens))
            parts.append(_Gated(features, inside))
        self.parts = nn.Sequential(*parts)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map one token as ``[example, feature, 1, 1]`` to ``[example, feature]``."""
        return self.parts(images.flatten(1))
