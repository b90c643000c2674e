"""Plain mappings (YAML, JSON) to frozen dataclasses, strictly: an unknown, missing or mistyped key is an error, and so
is a number outside the bounds that its field is annotated with."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

T = TypeVar("T")


class SettingsError(ValueError):
    """A settings file says something that cannot be meant; the message names the key and what would be right."""


@dataclasses.dataclass(frozen=True)
class Within:
    """Bounds of a finite number, for ``Annotated``: from `low` to `high`, both allowed unless `above` or `below` says
    that it must lie above the one or below the other."""

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False

    def admits(self, value: float) -> bool:
        """Whether `value` keeps the bounds; NaN and infinities never do."""
        low_kept = value > self.low if self.above else value >= self.low
        high_kept = value < self.high if self.below else value <= self.high
        return math.isfinite(value) and low_kept and high_kept

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"a number above {self.low:g}" if self.above else f"{self.low:g} or more"
        low = f"above {self.low:g}" if self.above else f"from {self.low:g}"
        return f"a number {low} {'and below' if self.below else 'to'} {self.high:g}"


# What settings are made of.
Count = Annotated[int, Within(1)]
Amount = Annotated[float, Within(0)]
Positive = Annotated[float, Within(0, above=True)]
Share = Annotated[float, Within(0, 1)]


def from_mapping(cls: type[T], mapping: Mapping[str, Any], where: str) -> T:
    """Builds the dataclass `cls` from `mapping`; nested dataclasses and tuples of them are followed.

    `where` names the place in error messages, as in "recipe.optimiser".
    Raises SettingsError for unknown or missing keys, values of another type, numbers not finite or out of bounds.
    """
    if not isinstance(mapping, Mapping):
        raise SettingsError(f"{where}: got {str(mapping)[:80]!r}, expected a mapping of settings")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(mapping) - set(fields))
    if unknown:
        raise SettingsError(f"{where}: unknown setting {', '.join(unknown)}; known are {', '.join(sorted(fields))}")
    missing = sorted(name for name, field in fields.items() if name not in mapping and _required(field))
    if missing:
        raise SettingsError(f"{where}: missing setting {', '.join(missing)}")
    hints = typing.get_type_hints(cls, include_extras=True)
    return cls(**{name: _convert(hints[name], value, f"{where}.{name}") for name, value in mapping.items()})


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint`: dataclass, Optional, tuple, Literal, bool, int, float or str, the numbers with bounds
    or without."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        number = _convert(arguments[0], value, where)
        for bounds in arguments[1:]:
            if not bounds.admits(number):
                raise SettingsError(f"{where}: got {number:g}, expected {bounds}")
        return number
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(kind for kind in arguments if kind is not type(None)), value, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise SettingsError(f"{where}: got {value!r}, expected one of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        return _tuple(arguments, value, where)
    if dataclasses.is_dataclass(hint):
        return from_mapping(typing.cast(type, hint), value, where)
    return _scalar(hint, value, where)


def _tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise SettingsError(f"{where}: got {value!r}, expected a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        kinds: tuple[Any, ...] = (arguments[0],) * len(value)
    else:
        kinds = arguments
    if len(kinds) != len(value):
        raise SettingsError(f"{where}: got {len(value)} values, expected {len(kinds)}")
    return tuple(
        _convert(kind, item, f"{where}[{index}]") for index, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _scalar(hint: Any, value: Any, where: str) -> Any:
    # bool is an int to Python; a recipe that says `epochs: true` is a mistake all the same.
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise SettingsError(f"{where}: got {value}, expected a finite number")
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    raise SettingsError(f"{where}: got {value!r}, expected {getattr(hint, '__name__', hint)}")
