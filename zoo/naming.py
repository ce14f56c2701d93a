"""Variant names for families with many knobs: a published name, or the prefix and the knobs that differ.

``resnext-depth101-cardinality64`` is family prefix ``resnext``, then each knob that is not the base
variant's, in the order of the config's fields. Numbers follow the knob's name at once, lists are joined by
``+`` (``depths3+4+6+3``), words follow an underscore (``attention_none``), yes and no are 1 and 0.
"""

import dataclasses
import difflib
import typing
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from zoo.knobs import shortest
from zoo.registry import ZooError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Names of the configs of one family; the config class has defaults for all fields: the base variant.

    Fields are ``int``, ``float``, ``bool``, ``str`` or ``tuple`` of ``int`` or ``float``.
    """

    prefix: str
    """How names start: lower-case, without a dash."""
    config_class: type
    variants: Mapping[str, Any]
    """Published name -> config. The first name of a config is its canonical one."""

    def parse(self, text: str) -> Any | None:
        """Return the config that ``text`` names; None when it is no name of this family.

        Raises:
            ZooError: the prefix is this family's, but a knob is not, or its value cannot be.
        """
        text = text.lower()
        if text in self.variants:
            return self.variants[text]
        if text != self.prefix and not text.startswith(f"{self.prefix}-"):
            return None
        given: dict[str, Any] = {}
        for word in text.split("-")[1:]:
            knob = self._knob(word, text)
            if knob in given:
                raise ZooError(f"{text!r} gives the knob {knob!r} twice")
            given[knob] = self._value(knob, word[len(knob) :], text)
        return self.config_class(**given)

    def format(self, config: Any) -> str:
        """Return the canonical name of ``config``: the published one, or prefix and knobs."""
        for name, known in self.variants.items():
            if known == config:
                return name
        words = [self.prefix]
        for field in dataclasses.fields(self.config_class):
            value = getattr(config, field.name)
            if value != field.default:
                words.append(field.name + _text(value))
        return "-".join(words)

    def near(self, text: str) -> tuple[str, ...]:
        """Return published names like ``text``."""
        return tuple(difflib.get_close_matches(text.lower(), self.variants, n=3, cutoff=0.75))

    def _knob(self, word: str, text: str) -> str:
        fits = [f.name for f in dataclasses.fields(self.config_class) if word.startswith(f.name)]
        if not fits:
            known = ", ".join(field.name for field in dataclasses.fields(self.config_class))
            near = self.near(text)
            hint = f"did you mean {', '.join(near)}? " if near else ""
            raise ZooError(
                f"{text!r} is no {self.prefix}: {hint}{word!r} starts with none of its knobs {known}"
            )
        return max(fits, key=len)

    def _value(self, knob: str, text: str, name: str) -> Any:
        kind = typing.get_type_hints(self.config_class)[knob]
        try:
            return _READERS.get(kind, _read_tuple(kind))(text)
        except (ValueError, KeyError):
            raise ZooError(
                f"{text!r} in {name!r} is no value of the knob {knob!r}: {_WANTED[_shape(kind)]}"
            ) from None


_WANTED = {
    "int": "wanted a whole number",
    "float": "wanted a number",
    "bool": "wanted 0 or 1",
    "str": "wanted a word after an underscore",
    "tuple": "wanted numbers joined by +",
}


def _shape(kind: Any) -> str:
    return "tuple" if typing.get_origin(kind) is tuple else kind.__name__


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str):
        return f"_{value}"
    if isinstance(value, tuple):
        return "+".join(_text(one) for one in value)
    # no exponent: its minus would part the name
    return format(Decimal(shortest(value)), "f")


def _read_int(text: str) -> int:
    return int(text)


def _read_float(text: str) -> float:
    return float(text)


def _read_bool(text: str) -> bool:
    return {"0": False, "1": True}[text]


def _read_word(text: str) -> str:
    if not text.startswith("_") or len(text) == 1:
        raise ValueError(text)
    return text[1:]


_READERS: Mapping[Any, Callable[[str], Any]] = {
    int: _read_int,
    float: _read_float,
    bool: _read_bool,
    str: _read_word,
}


def _read_tuple(kind: Any) -> Callable[[str], tuple[Any, ...]]:
    def read(text: str) -> tuple[Any, ...]:
        reader = _READERS[typing.get_args(kind)[0]]
        return tuple(reader(part) for part in text.split("+"))

    return read
