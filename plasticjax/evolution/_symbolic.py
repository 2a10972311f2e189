"""Programs as formulas: sympy, LaTeX, Python source, JSON."""

import json
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from ._evaluate import evaluate, structure_of
from ._evolved import Program
from ._genome import Genomes, from_dna, parameters_of, to_dna
from ._primitives import ADD, DIV, IF_ELSE, MUL, POW, SUB, Primitive, constant, parameter
from ._spec import GenomeSpec


def input_names(spec: GenomeSpec) -> tuple[str, ...]:
    """Names of the inputs in formulas: the last part of a path, or all of it where two would clash.

    Args:
        spec: the search space.

    Returns:
        One Python identifier per input, such as `"w"` for `"syn.w"` or `"syn_w"`.

    Raises:
        ValueError: if even whole paths give the same name, such as `a.0` and `a_0`.
    """
    short = [path.split(".")[-1] for path in spec.inputs]
    fits = len(set(short)) == len(short) and all(name.isidentifier() for name in short)
    names = short if fits else [path.replace(".", "_") for path in spec.inputs]
    if len(set(names)) < len(names):
        raise ValueError(f"inputs {spec.inputs} have no different names in formulas")
    return tuple(names)


def to_sympy(program: Program, simplify: bool = False, time_limit: float = 10.0) -> Any:
    """The formula of a program.

    Args:
        program: an unbatched, concrete program.
        simplify: whether to simplify. The result is kept only if it takes less than the time limit,
            raises nothing, and agrees with the program on 100 seeded points where both are finite;
            else the formula as it is in the graph is returned.
        time_limit: seconds for the simplification.

    Returns:
        A sympy expression over `input_names`, or a tuple of them for several outputs.
    """
    from sympy import Float, Symbol

    spec = program.spec
    structure, rows = structure_of(spec, program.genome)
    theta = np.asarray(program.genome.theta)
    known: list[Any] = [Symbol(name, real=True) for name in input_names(spec)]
    for node, (op, addresses) in zip(rows, structure.nodes, strict=True):
        primitive = spec.primitives[op]
        numbers = [Float(_shortest(theta[node, slot])) for slot in range(len(primitive.parameters))]
        known.append(_symbolic(primitive, [*(known[a] for a in addresses), *numbers]))
    raw = [known[address] for address in structure.out]
    if simplify:
        raw = _simplified(program, raw, time_limit)
    return raw[0] if spec.outputs == 1 else tuple(raw)


def _shortest(number):
    """The number with as many digits as its own precision has: 0.1 and not 0.10000000149."""
    return float(str(number))


def _symbolic(primitive, values):
    from sympy import Function

    make = primitive.symbolic if primitive.symbolic is not None else Function(primitive.name)
    return make(*values)


def _simplified(program, raw, time_limit):
    from sympy import simplify

    try:
        shorter = _within(time_limit, lambda: [simplify(expression.doit()) for expression in raw])
    except Exception:
        # sympy raises many kinds of errors on legal programs, such as choices between constants.
        return raw
    return shorter if _agrees(program, shorter) else raw


def _within(seconds, work):
    """Runs `work`, with a `TimeoutError` at the first Python call after the deadline."""
    deadline = time.monotonic() + seconds

    def look(*_):
        if time.monotonic() > deadline:
            raise TimeoutError(f"took longer than {seconds} s")

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        return work()
    finally:
        sys.setprofile(before)


def _agrees(program, expressions):
    from sympy import Symbol, lambdify

    names = [Symbol(name, real=True) for name in input_names(program.spec)]
    points = np.random.default_rng(0).uniform(-3, 3, (100, len(names)))
    with jax.enable_x64(True):
        genome = type(program.genome)(*[np.asarray(part) for part in program.genome])
        genome = genome._replace(theta=genome.theta.astype(np.float64))
        expected = np.asarray(evaluate(program.spec, genome, points, program.method))
    for output, expression in enumerate(expressions):
        try:
            with np.errstate(all="ignore"):
                found = lambdify(names, expression, "numpy")(*points.T)
            found = np.broadcast_to(np.asarray(found, float), 100)
        except Exception:
            return False
        compared = np.isfinite(found) & np.isfinite(expected[:, output])
        # A formula that is nowhere finite together with the program has not been verified.
        if not compared.any() or not np.allclose(
            found[compared], expected[compared, output], rtol=1e-8, atol=1e-10
        ):
            return False
    return True


def to_latex(
    program: Program, simplify: bool = True, names: Mapping[str, str] | None = None
) -> str:
    """The formula of a program in LaTeX.

    Args:
        program: an unbatched, concrete program.
        simplify: whether to simplify, see `to_sympy`.
        names: LaTeX for the names of inputs, such as `{"w": r"w_{ij}"}`.

    Returns:
        One formula, or several separated by `,\\;`.
    """
    from sympy import Symbol, latex

    made = to_sympy(program, simplify)
    symbols = {Symbol(name, real=True): text for name, text in (names or {}).items()}
    formulas = made if isinstance(made, tuple) else (made,)
    return r",\; ".join(latex(formula, symbol_names=symbols) for formula in formulas)


def to_source(program: Program, name: str = "rule") -> str:
    """A Python function that computes what the program computes, with JAX only where it is needed.

    It has IEEE semantics; primitives of your own without a `source` template are called by name.

    Args:
        program: an unbatched, concrete program.
        name: name of the function.

    Returns:
        Source text.

    Raises:
        ValueError: if the name is no identifier or the program is not IEEE.
    """
    spec = program.spec
    if not name.isidentifier():
        raise ValueError(f"name must be a Python identifier, got {name!r}")
    if spec.semantics == "protected" or spec.power != "nan":
        raise ValueError(
            "source is written for IEEE numbers, not for "
            f"semantics = {spec.semantics!r} with power = {spec.power!r}"
        )
    structure, rows = structure_of(spec, program.genome)
    theta = np.asarray(program.genome.theta)
    known = list(input_names(spec))
    taken = set(known)
    lines = [f"def {name}({', '.join(known)}):"]
    for node, (op, addresses) in zip(rows, structure.nodes, strict=True):
        primitive = spec.primitives[op]
        numbers = [f"({_shortest(theta[node, s])!r})" for s in range(len(primitive.parameters))]
        values = [*(known[address] for address in addresses), *numbers]
        template = primitive.source
        call = f"{primitive.name}({', '.join(values)})"
        variable = f"v{len(lines) - 1}"
        while variable in taken:
            variable += "_"
        taken.add(variable)
        lines.append(f"    {variable} = {template.format(*values) if template else call}")
        known.append(variable)
    lines.append(f"    return {', '.join(known[address] for address in structure.out)}")
    text = "\n".join(lines) + "\n"
    return f"import jax.numpy as jnp\n\n\n{text}" if "jnp." in text else text


def to_json(program: Program) -> str:
    """The program with its spec, as text that `from_json` reads.

    Args:
        program: an unbatched, concrete program with a genome that is not compacted.

    Returns:
        JSON.

    Raises:
        ValueError: if the genome is compacted.
    """
    spec, genome = program.spec, program.genome
    if not isinstance(genome, Genomes):
        raise ValueError("program must hold a genome that is not compacted: its dna is written")
    document = {
        "spec": spec.describe(),
        "dna": np.asarray(to_dna(spec, genome)).tolist(),
        "parameters": parameters_of(spec, genome),
    }
    return json.dumps(document, indent=1)


def from_json(text: str, primitives: Iterable[Primitive] = ()) -> Program:
    """Reads a program.

    Args:
        text: JSON that `to_json` wrote.
        primitives: those that the program may use besides `ADD`, `SUB`, `MUL`, `DIV`, `POW`,
            `IF_ELSE`, constants and `parameter()`.

    Returns:
        The program.

    Raises:
        ValueError: if the text is no such document or names a primitive that is not known.
    """
    known = {p.name: p for p in (ADD, SUB, MUL, DIV, POW, IF_ELSE, parameter())}
    try:
        document = json.loads(text)
        fields = dict(document["spec"])
        names = fields["primitives"]
        known |= {name: constant(value, name) for name, value in fields.pop("constants").items()}
        known |= {primitive.name: primitive for primitive in primitives}
        fields["inputs"] = tuple(fields["inputs"])
        dna, parameters = document["dna"], document["parameters"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"text is not a program in JSON: {error!r}") from error
    unknown = sorted(set(names) - known.keys())
    if unknown:
        raise ValueError(
            f"primitives {', '.join(unknown)} are not known; pass them as primitives, "
            f"known are {', '.join(sorted(known))}"
        )
    fields["primitives"] = tuple(known[name] for name in names)
    try:
        spec = GenomeSpec(**fields)
    except TypeError as error:
        raise ValueError(f"text is not a program in JSON: {error}") from error
    return Program(from_dna(spec, np.asarray(dna), parameters), spec)
