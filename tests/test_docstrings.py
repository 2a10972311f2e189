"""Every public name says what it takes and returns, with shapes and units.

The rules: each parameter is named in the docstring; an array parameter has its shape in brackets
or is called scalar or unbatched; functions that return something say what; classes list their
fields as arguments or attributes; where arrays or numbers go in or come out, a unit is named, or
it says dimensionless.
"""

import importlib
import inspect
import re
from pathlib import Path
from typing import get_origin

import equinox as eqx
import pytest

PACKAGE = Path(__file__).parents[1] / "plasticjax"
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
UNIT = re.compile(
    r"\b(dimensionless|units?|ms|(?<!')s|seconds?|us|mV|nS|pA|pF|MOhm|um|kHz|Hz|tau_syn|tau_mem|LSB"
    r"|percent|pixels?|radians?|bytes?|points?|inches)\b|%"
)
SHAPE = re.compile(r"\[[^\]]*\]|\bscalars?\b|\bunbatched\b|\bsame shape\b", re.IGNORECASE)
ARRAY = re.compile(r"\b(Float|Int|Integer|Inexact|Real|Num|Bool|Shaped|UInt\w*|Array|ArrayLike)\b")
NUMBER = re.compile(r"\b(float|Float|Inexact|Real|Num|Array|ArrayLike)\b")


def _public():
    for room in ROOMS:
        module = importlib.import_module(f"plasticjax.{room}")
        for name in getattr(module, "__all__", ()):
            yield f"{room}.{name}", getattr(module, name)


def _callables():
    """Yields every public function, class and method defined here, with its documentation."""
    for name, thing in _public():
        if inspect.isclass(thing):
            yield name, thing, inspect.getdoc(thing) or ""
            for method_name, method in vars(thing).items():
                method = getattr(method, "__func__", method)
                if not method_name.startswith("_") and inspect.isfunction(method):
                    yield f"{name}.{method_name}", method, inspect.getdoc(method) or ""
        elif callable(thing) and get_origin(thing) is None:
            documented = type(thing).__call__ if isinstance(thing, eqx.Module) else thing
            yield name, thing, inspect.getdoc(documented) or ""


def problems(thing, doc):
    """Returns what is missing in the documentation of a function or class."""
    if not doc:
        return ["no docstring"]
    if inspect.isclass(thing) and issubclass(thing, (Exception, tuple)):
        return []
    is_protocol = getattr(thing, "_is_protocol", False)
    if inspect.isclass(thing) and (is_protocol or thing.__init__ is object.__init__):
        return []
    found = []
    signature = inspect.signature(thing)
    annotations = {}
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls") or parameter.name.startswith("_"):
            continue
        annotations[parameter.name] = _text(parameter.annotation)
        if not re.search(rf"\b{re.escape(parameter.name)}\b", doc):
            found.append(f"{parameter.name} is not described")
    sections = ("Args:", "Attributes:") if inspect.isclass(thing) else ("Args:",)
    if annotations and not any(section in doc for section in sections):
        found.append("no Args section")
    returned = "" if inspect.isclass(thing) else _text(signature.return_annotation)
    if returned not in ("", "None") and not re.search(r"\bReturns?:?\b", doc):
        found.append("does not say what it returns")
    if any(ARRAY.search(text) for text in annotations.values()) and not SHAPE.search(doc):
        found.append("takes arrays and gives no shape")
    texts = [*annotations.values(), returned]
    if any(NUMBER.search(text) for text in texts) and not UNIT.search(doc):
        found.append("gives no unit")
    return found


def _text(annotation):
    if annotation is inspect.Parameter.empty:
        return ""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_have_docstrings_and_public_names(room):
    module = importlib.import_module(f"plasticjax.{room}")
    assert module.__doc__
    assert module.__all__


@pytest.mark.parametrize(
    "name, thing, doc", [pytest.param(*case, id=case[0]) for case in _callables()]
)
def test_public_names_are_documented(name, thing, doc):
    assert problems(thing, doc) == []


def _decay(time: float, rates: "Float[Array, ' n']") -> float:
    return time


GOOD = """Decay.

Args:
    time: how long, ms.
    rates: one rate per neuron, `[n]`, in kHz.

Returns:
    The remaining part, dimensionless.
"""


@pytest.mark.parametrize(
    "doc, problem",
    [
        ("", "no docstring"),
        (GOOD.replace("rates: one", "one"), "rates is not described"),
        (GOOD.replace("Args:", ""), "no Args section"),
        (GOOD.replace("Returns:", ""), "does not say what it returns"),
        (GOOD.replace("[n]", "n"), "takes arrays and gives no shape"),
        (GOOD.replace("ms", "").replace("kHz", "").replace("dimensionless", ""), "gives no unit"),
    ],
)
def test_the_rules_find_what_is_missing(doc, problem):
    assert problems(_decay, GOOD) == []
    assert problems(_decay, doc) == [problem]
