"""Strict stand-ins for the chip's software, generated from the recorded interface.

Every type of a manifest becomes a class that knows its recorded names and arguments and refuses all
others. What methods return is up to the handlers of a test.
"""

import inspect
import json
from pathlib import Path
from typing import ClassVar

FOLDER = Path(__file__).parent


class UnknownName(TypeError, AttributeError):
    """A name or argument that the recorded interface does not have."""


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


class Strict:
    _spec: ClassVar[dict]
    _stubs: ClassVar["Stubs"]

    def __getattr__(self, name):
        handler = self._stubs.handlers.get(f"{type(self).__name__}.{name}")
        if handler is not None and name in self._spec.get("attributes", {}):
            return handler(self)
        raise UnknownName(f"{type(self).__name__} has no recorded attribute {name!r}")

    def __int__(self):
        if not self._spec.get("int"):
            raise UnknownName(f"{type(self).__name__} is not recorded as a number")
        return self._number

    def __setattr__(self, name, value):
        if not name.startswith("_") and name not in self._spec.get("settable", {}):
            raise UnknownName(f"{type(self).__name__}.{name} is not recorded as settable")
        object.__setattr__(self, name, value)


class Stubs:
    """Classes for all types of a manifest, and a log of what was called."""

    def __init__(self, manifest, handlers=None):
        self.manifest, self.handlers, self.log = manifest, handlers or {}, []
        self.types = {name: self._class(name, spec) for name, spec in manifest["types"].items()}
        for name, spec in manifest["types"].items():
            for attribute, kind in spec.get("class_attributes", {}).items():
                type.__setattr__(self.types[name], attribute, self._value(kind, attribute))

    def module(self, name):
        return self.make(self.manifest["modules"][name])

    def make(self, kind, **attributes):
        """An object of a type as the software would return it, with recorded attributes."""
        made = object.__new__(self.types[kind])
        spec = self.manifest["types"][kind]
        known = {**spec.get("attributes", {}), **spec.get("settable", {})}
        if unknown := attributes.keys() - known.keys():
            raise UnknownName(f"{kind} has no recorded attributes {sorted(unknown)}")
        for name, own in spec.get("attributes", {}).items():
            if not own.startswith("list ") or name in attributes:
                object.__setattr__(made, name, attributes.get(name, self._value(own, name)))
        for name in spec.get("settable", {}):
            object.__setattr__(made, name, attributes.get(name))
        return made

    def called(self, name):
        """The arguments of all calls of a method or class."""
        return [arguments for called, arguments in self.log if called == name]

    def _value(self, kind, name):
        if kind.startswith("class "):
            return self.types[kind.removeprefix("class ")]
        return self.make(kind) if kind in self.manifest["types"] else f"<{name}>"

    def _class(self, name, spec):
        def create(own, *args, **kwargs):
            arguments = bind(name, spec["init"], args, kwargs)
            for attribute, value in vars(self.make(name)).items():
                object.__setattr__(own, attribute, value)
            own._arguments = arguments
            self.log.append((name, arguments))

        def refuse(own, *args, **kwargs):
            raise UnknownName(f"{name} is not recorded as something that can be made")

        def allow(cls, **kwargs):
            if extra := vars(cls).keys() - set(spec.get("overrides", ())) - DUNDERS:
                raise UnknownName(f"{name} has nothing to override named {sorted(extra)}")

        members = {"_spec": spec, "_stubs": self, "__init_subclass__": classmethod(allow),
                   "__init__": create if "init" in spec else refuse}  # fmt: skip
        methods = dict(spec.get("methods", {}))
        if "call" in spec:
            methods["__call__"] = spec["call"]
        for method, signature in methods.items():
            members[method] = self._method(f"{name}.{method}", signature)
        return type(Strict)(name, (Strict,), members)

    def _method(self, name, signature):
        def method(own, *args, **kwargs):
            arguments = bind(name, signature, args, kwargs)
            self.log.append((name, arguments))
            if name in self.handlers:
                return self.handlers[name](own, **arguments)
            returns = signature.get("returns")
            return None if returns is None else self._value(returns, name)

        return method


DUNDERS = {"__module__", "__qualname__", "__doc__", "__firstlineno__", "__static_attributes__"}


def bind(name, signature, args, kwargs):
    """The arguments by name, or an UnknownName."""
    kinds = {
        "positional": inspect.Parameter.POSITIONAL_OR_KEYWORD,
        "keywords": inspect.Parameter.KEYWORD_ONLY,
    }
    parameters = [
        inspect.Parameter(parameter, kind, default=None)
        for group, kind in kinds.items()
        for parameter in signature.get(group, ())
    ]
    try:
        bound = inspect.Signature(parameters).bind(*args, **kwargs).arguments
    except TypeError as error:
        raise UnknownName(f"{name}: {error}") from error
    for argument, valid in signature.get("values", {}).items():
        if bound.get(argument) not in (None, *valid):
            raise UnknownName(f"{name}: {argument}={bound[argument]!r} is not one of {valid}")
    return dict(bound)
