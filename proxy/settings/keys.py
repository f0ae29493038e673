"""Every key of the configuration, found by walking the models: documentation and suggestions cannot fall behind them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from proxy.settings.model import Settings
from proxy.settings.problems import join_key

_SUFFIXES = {tuple: "[]", Mapping: ".<name>"}


@dataclass(frozen=True, slots=True)
class Key:
    """`path` with `[]` for a list's items and `<name>` for a mapping's free keys; `parent` is empty at the top."""

    path: str
    parent: str
    name: str
    is_required: bool
    default: object


@cache
def keys() -> tuple[Key, ...]:
    """Return every key once, in the order of the models; one that several kinds of credential have is that of the first."""
    found: dict[str, Key] = {}
    for key in _keys_of(Settings, ""):
        found.setdefault(key.path, key)
    return tuple(found.values())


@cache
def names_below(parent: str) -> tuple[str, ...]:
    """Return the names that are known directly below a path."""
    return tuple(key.name for key in keys() if key.parent == parent)


def _keys_of(model: type[BaseModel], parent: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        path = join_key(parent, name)
        is_required = field.is_required()
        yield Key(path, parent, name, is_required, None if is_required else field.get_default(call_default_factory=True))
        for below, suffix in _models_in(field.annotation):
            yield from _keys_of(below, path + suffix)


def _models_in(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    origin = get_origin(annotation)
    if origin is None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation, ""
        return
    arguments = get_args(annotation)
    for argument in arguments[:1] if origin is Annotated else arguments:
        yield from ((model, _SUFFIXES.get(origin, "") + suffix) for model, suffix in _models_in(argument))
