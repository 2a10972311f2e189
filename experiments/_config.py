"""Change the fields of a Config from the command line, and name a Config by its content."""

import dataclasses
import hashlib
import json
import types
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ._errors import UserError, unknown

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def override(config: Any, assignments: Sequence[str]) -> Any:
    """Return `config` with the given `field=value` texts applied.

    Values are read by the type of their field: numbers, words, `true` and `false`, `none` where a
    field is optional, and tuples as `1,2,3`.
    """
    hints = get_type_hints(type(config))
    fields = [field.name for field in dataclasses.fields(config)]
    changes = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not equals:
            raise UserError(f"--set takes field=value, not {assignment!r}")
        if name not in fields:
            raise unknown("field", name, fields)
        try:
            changes[name] = _parse(text.strip(), hints[name])
        except ValueError:
            raise UserError(
                f"{name}={text.strip()} is not valid; {_describe(hints[name])} is expected"
            ) from None
    return replace(config, **changes)


def replace(config: Any, **changes: Any) -> Any:
    """Return `config` with changed fields; what the Config itself refuses is a `UserError`."""
    try:
        return dataclasses.replace(config, **changes)
    except ValueError as error:
        raise UserError(str(error)) from error


def fingerprint(experiment: str, config: Any, key: int) -> str:
    """Return a short name that is the same exactly if experiment, config and key are."""
    content = {"experiment": experiment, "config": dataclasses.asdict(config), "key": key}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _parse(text: str, hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if hint is bool:
        if text.lower() not in _TRUTH:
            raise ValueError
        return _TRUTH[text.lower()]
    if hint is float:
        value = float(text)
        if value != value:
            raise ValueError
        return value
    if hint in (int, str):
        return hint(text)
    if hint is types.NoneType:
        if text.lower() != "none":
            raise ValueError
        return None
    if origin is Literal:
        return _first(text, args, _literal)
    if origin in (Union, types.UnionType):
        # None and numbers are tried before words, which take any text.
        order = (types.NoneType, bool, int, float)
        rank = {arg: order.index(arg) if arg in order else len(order) for arg in args}
        return _first(text, sorted(args, key=lambda arg: (arg is str, rank[arg])), _parse)
    if origin is tuple:
        parts = [part.strip() for part in text.strip("()").split(",") if part.strip()]
        hints = args[:1] * len(parts) if args[1:] == (...,) else args
        if len(hints) != len(parts):
            raise ValueError
        return tuple(_parse(part, each) for part, each in zip(parts, hints, strict=True))
    raise UserError(f"a field of type {_describe(hint)} cannot be set on the command line")


def _first(text: str, choices: Sequence[Any], parse: Any) -> Any:
    for choice in choices:
        try:
            return parse(text, choice)
        except ValueError:
            continue
    raise ValueError


def _literal(text: str, choice: Any) -> Any:
    if text != str(choice):
        raise ValueError
    return choice


def _describe(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if hint is types.NoneType:
        return "none"
    if origin is Literal:
        return " or ".join(str(choice) for choice in args)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(arg) for arg in args)
    if origin is tuple:
        if args[1:] == (...,):
            return f"comma-separated {_describe(args[0])}s"
        return f"({', '.join(_describe(arg) for arg in args)})"
    return getattr(hint, "__name__", str(hint))
