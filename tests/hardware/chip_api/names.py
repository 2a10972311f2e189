"""Checks that code which calls the chip's software uses only names of the recorded interface.

A small type inference over the syntax tree. Types of external values come from the manifest and
from annotations `Annotated[Any, "type"]`; all other values are plain, and plain values are not
looked into. External values may only go where the check can follow: into annotated functions of the
same file, recorded calls, containers that are handed over whole, and a few builtins.
"""

import ast

PLAIN = "plain"
BUILTINS = {"int", "str", "float", "len", "hasattr", "list"}


def violations(source, manifest, software="Software"):
    """What is wrong, one line for each problem."""
    return _Check(ast.parse(source), manifest, software).run()


class _Check:
    def __init__(self, tree, manifest, software):
        self.tree, self.types, self.software = tree, manifest["types"], software
        self.functions = {f.name: f for f in tree.body if isinstance(f, ast.FunctionDef)}
        self.problems = []
        self.roots = {
            field.target.id: kind
            for node in tree.body
            if isinstance(node, ast.ClassDef) and node.name == software
            for field in node.body
            if isinstance(field, ast.AnnAssign)
            for kind in manifest["modules"].values()
            if field.target.id == kind
        }

    def run(self):
        for function in self.functions.values():
            known = {}
            for argument in function.args.args:
                known[argument.arg] = self._annotated(argument.annotation)
            self.returns = self._annotated(function.returns)
            if function.name == "software":
                continue
            self._block(function.body, known)
        return self.problems

    def _wrong(self, node, text):
        self.problems.append(f"line {node.lineno}: {text}")

    def _annotated(self, annotation):
        if isinstance(annotation, ast.Name) and annotation.id == self.software:
            return self.software
        if (
            isinstance(annotation, ast.Subscript)
            and getattr(annotation.value, "id", "") == "Annotated"
        ):
            kind = annotation.slice.elts[1].value
            if kind not in self.types:
                self._wrong(annotation, f"{kind!r} is not in the manifest")
            return kind
        if annotation is None:
            return None
        return PLAIN

    def _block(self, statements, known):
        for statement in statements:
            self._statement(statement, known)

    def _statement(self, node, known):
        if isinstance(node, ast.Assign):
            kind = self._kind(node.value, known)
            for target in node.targets:
                self._assign(target, kind, known)
        elif isinstance(node, ast.For):
            kind = self._kind(node.iter, known)
            self._assign(node.target, _item(kind), known)
            self._block(node.body, known)
        elif isinstance(node, ast.If):
            self._kind(node.test, known)
            self._block(node.body, known)
            self._block(node.orelse, known)
        elif isinstance(node, ast.Return):
            kind = PLAIN if node.value is None else self._kind(node.value, known)
            if kind != (self.returns or PLAIN):
                self._wrong(node, f"returns {kind}, annotated {self.returns}")
        elif isinstance(node, ast.Expr):
            self._kind(node.value, known)
        elif isinstance(node, ast.ClassDef):
            bases = [self._kind(base, known) for base in node.bases]
            allowed = set(self.types.get(bases[0].removeprefix("class "), {}).get("overrides", ()))
            for member in node.body:
                if getattr(member, "name", "") not in allowed:
                    self._wrong(member, f"overrides what {bases[0]} does not offer")
            known[node.name] = bases[0]
        else:
            self._wrong(node, f"{type(node).__name__} is not understood by the check")

    def _assign(self, target, kind, known):
        if isinstance(target, ast.Name):
            known[target.id] = kind
        elif isinstance(target, ast.Tuple):
            for element in target.elts:
                self._assign(element, PLAIN, known)
        elif isinstance(target, ast.Subscript):
            if self._kind(target.value, known) not in (PLAIN, "any"):
                self._wrong(target, "stores into an external value")
            # A container that holds external values is handed over whole, never looked into.
            known[_root(target)] = "any"
        else:
            owner = self._kind(target.value, known)
            if target.attr not in self.types.get(owner, {}).get("settable", {}):
                self._wrong(target, f"sets {owner}.{target.attr}, which is not recorded")

    def _kind(self, node, known):
        if isinstance(node, ast.Attribute):
            return self._attribute(node, known)
        if isinstance(node, ast.Call):
            return self._call(node, known)
        if isinstance(node, ast.Name):
            return known.get(node.id, PLAIN)
        if isinstance(node, ast.Subscript):
            return _item(self._kind(node.value, known))
        if isinstance(node, (ast.List, ast.Tuple, ast.Dict, ast.Set)):
            parts = [*getattr(node, "elts", ()), *getattr(node, "keys", ()),
                     *getattr(node, "values", ())]  # fmt: skip
            kinds = {self._kind(part, known) for part in parts if part is not None}
            return PLAIN if kinds <= {PLAIN} else "any"
        if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
            inner = dict(known)
            for loop in node.generators:
                self._assign(loop.target, _item(self._kind(loop.iter, inner)), inner)
            kind = self._kind(node.elt, inner)
            return PLAIN if kind == PLAIN else f"list {kind}"
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._kind(child, known)
        return PLAIN

    def _attribute(self, node, known):
        owner = self._kind(node.value, known)
        if owner == PLAIN:
            return PLAIN
        if owner == self.software:
            if node.attr not in self.roots:
                self._wrong(node, f"{node.attr} is no module of the manifest")
            return self.roots.get(node.attr, PLAIN)
        of_class = owner.startswith("class ")
        spec = self.types.get(owner.removeprefix("class "), {})
        found = dict(spec.get("class_attributes", {}))
        if not of_class:
            found |= {**spec.get("attributes", {}), **spec.get("settable", {})}
            found |= {name: f"method {owner}.{name}" for name in spec.get("methods", {})}
        if node.attr not in found:
            self._wrong(node, f"{owner}.{node.attr} is not recorded")
        return found.get(node.attr, PLAIN)

    def _call(self, node, known):
        arguments = [(None, a) for a in node.args] + [(k.arg, k.value) for k in node.keywords]
        kinds = [self._kind(value, known) for _, value in arguments]
        callee = self._kind(node.func, known)
        if callee == PLAIN:
            return self._local(node, kinds, known)
        signature, result, name = self._signature(callee)
        if signature is None:
            self._wrong(node, f"{callee} is not recorded as something to call")
            return PLAIN
        positional = signature.get("positional", [])
        valid = {*positional, *signature.get("keywords", [])}
        if len(node.args) > len(positional):
            self._wrong(node, f"{name} takes {len(positional)} positional arguments")
        for keyword, _ in arguments:
            if keyword is not None and keyword not in valid:
                self._wrong(node, f"{name} has no recorded argument {keyword!r}")
        return result

    def _signature(self, callee):
        if callee.startswith("class "):
            kind = callee.removeprefix("class ")
            return self.types[kind].get("init"), kind, kind
        if callee.startswith("method "):
            owner, _, method = callee.removeprefix("method ").rpartition(".")
            signature = self.types[owner]["methods"][method]
            return signature, signature.get("returns", PLAIN), f"{owner}.{method}"
        signature = self.types.get(callee, {}).get("call")
        return signature, (signature or {}).get("returns", PLAIN), callee

    def _local(self, node, kinds, known):
        function = self.functions.get(getattr(node.func, "id", ""))
        if function is not None:
            wanted = [self._annotated(a.annotation) for a in function.args.args]
            for given, want in zip(kinds, wanted, strict=False):
                if given != want:
                    self._wrong(node, f"{function.name} is given {given} for {want}")
            return self._annotated(function.returns) or PLAIN
        name = getattr(node.func, "id", "")
        if name in BUILTINS:
            for kind in kinds if name in ("int", "float") else ():
                if kind != PLAIN and not self.types.get(kind, {}).get("int"):
                    self._wrong(node, f"{kind} is not recorded as a number")
            return PLAIN
        method = getattr(node.func, "attr", "")
        if method == "append":
            if kinds != [PLAIN]:
                known[_root(node.func)] = f"list {kinds[0]}"
            return PLAIN
        if any(kind not in (PLAIN,) for kind in kinds):
            self._wrong(node, f"hands {kinds} to {ast.unparse(node.func)}")
        return PLAIN


def _item(kind):
    return kind.removeprefix("list ")


def _root(node):
    while not isinstance(node, ast.Name):
        node = node.value
    return node.id
