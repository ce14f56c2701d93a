"""Parts of vision transformers that several search spaces are made of."""

import torch
import torch.nn.functional as F
from torch import nn

from zoo.registry import ZooError


class PatchTokens(nn.Module):
    """One convolution over patches, a class token in front, learnt positions."""

    def __init__(self, in_channels: int, embed: int, side: int, patch: int) -> None:
        super().__init__()
        self.side = side
        self.project = nn.Conv2d(in_channels, embed, patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, embed))
        self.positions = nn.Parameter(torch.randn(1, 1 + (side // patch) ** 2, embed) * 0.02)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to ``[example, token, feature]``.

        Raises:
            ZooError: images of another size than the positions were learnt for.
        """
        if tuple(images.shape[-2:]) != (self.side, self.side):
            raise ZooError(f"this network learnt positions for {self.side} pixels, got {images.shape[-1]}")
        tokens = self.project(images).flatten(2).transpose(1, 2)
        return torch.cat((self.token.expand(tokens.shape[0], -1, -1), tokens), dim=1) + self.positions


class Attention(nn.Module):
    """Self-attention of heads of any width."""

    def __init__(self, embed: int, heads: int, head_features: int) -> None:
        super().__init__()
        self.heads, self.head_features = heads, head_features
        self.qkv = nn.Linear(embed, 3 * heads * head_features)
        self.project = nn.Linear(heads * head_features, embed)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map ``[example, token, feature]`` to the same shape."""
        query, key, value = split_heads(self.qkv(tokens), self.heads, self.head_features)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.project(mixed.transpose(1, 2).flatten(2))


def split_heads(
    together: torch.Tensor, heads: int, features: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries, keys and values ``[example, head, token, feature]`` of ``[example, token, all]``."""
    examples, tokens, _ = together.shape
    query, key, value = together.view(examples, tokens, 3, heads, features).permute(2, 0, 3, 1, 4).unbind(0)
    return query, key, value


class EncoderBlock(nn.Module):
    """Attention and two linear layers, each behind a layer norm and beside a shortcut."""

    def __init__(self, embed: int, heads: int, head_features: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(embed), nn.LayerNorm(embed)
        self.attention: nn.Module = Attention(embed, heads, head_features)
        self.mlp = nn.Sequential(nn.Linear(embed, hidden), nn.GELU(), nn.Linear(hidden, embed))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map ``[example, token, feature]`` to the same shape."""
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class TokenHead(nn.Module):
    """Layer norm, then a linear layer of the class token or of the mean of all others."""

    def __init__(self, embed: int, num_classes: int, mean: bool) -> None:
        super().__init__()
        self.mean = mean
        self.norm = nn.LayerNorm(embed)
        self.linear = nn.Linear(embed, num_classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map ``[example, token, feature]`` to ``[example, class]``."""
        tokens = self.norm(tokens)
        return self.linear(tokens[:, 1:].mean(dim=1) if self.mean else tokens[:, 0])
