"""What experiments that evolve rules share: known rules as formulas, and curves of fitness."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from plasticjax.evolution import (
    Evolved,
    GenomeSpec,
    Objective,
    Program,
    active_nodes,
    compact,
    from_expression,
    to_sympy,
)

# One formula, or one for each spec of individuals with several genomes.
Formula = str | Sequence[str]


def known_rules(specs: PyTree, formulas: Sequence[Formula]) -> PyTree:
    """Individuals [formulas] that compute what the formulas say."""
    leaves, structure = jax.tree.flatten(specs)

    def individual(formula):
        parts = [formula] if isinstance(formula, str) else formula
        pairs = zip(parts, leaves, strict=True)
        return structure.unflatten([from_expression(part, spec) for part, spec in pairs])

    return jax.tree.map(lambda *genes: jnp.stack(genes), *map(individual, formulas))


def judge(objective: Objective, formulas: Sequence[Formula]) -> Float[Array, " formulas"]:
    """Fitness of rules that are given as formulas; all meet the same tasks and the same noise."""
    individuals = known_rules(objective.specs, formulas)
    keys = jnp.broadcast_to(jax.random.key(0), len(formulas))
    return eqx.filter_jit(objective.evaluate)(individuals, keys)


def fitness_curves(
    ax, history: Float[np.ndarray, "generations seeds"], known: Mapping[str, float]
) -> int:
    """Draws the champions' fitness, the best search in colour, beside that of known rules.

    Returns the number of the best search.
    """
    finite = np.where(np.isfinite(history), history, np.nan)
    last = np.array(
        [one[np.isfinite(one)][-1] if np.isfinite(one).any() else -np.inf for one in history.T]
    )
    best = int(np.argmax(last))
    for seed, one in enumerate(finite.T):
        shown = {"color": "C0", "lw": 1.5, "zorder": 3} if seed == best else {"color": "0.6"}
        ax.plot(one, **{"lw": 0.8, **shown})
    styles = ("--", ":", "-.", (0, (5, 1)))
    for index, (label, fitness) in enumerate(known.items()):
        ax.axhline(
            fitness, color=f"C{1 + index}", ls=styles[index % len(styles)], lw=1, label=label
        )
    ax.set(xlabel="generation", ylabel="fitness of the champion")
    if known:
        ax.legend(frameon=False, fontsize=7, loc="lower right")
    return best


def fitness_bars(
    ax,
    fitness: Mapping[str, Float[Array | np.ndarray, " environments"]],
    colours: Mapping[str, str],
) -> None:
    """Bars of the mean fitness of rules, with the standard deviation over environments."""
    values = np.stack([np.asarray(one) for one in fitness.values()])
    values = np.where(np.isfinite(values), values, np.nan)
    places = np.arange(len(values))
    colour = [colours[name] for name in fitness]
    ax.barh(places, values.mean(axis=1), xerr=values.std(axis=1), color=colour, alpha=0.6)
    ax.set_yticks(places, list(fitness), fontsize=7)
    ax.invert_yaxis()


def champions_of(found: Evolved, specs: PyTree) -> PyTree:
    """Champions of the searches [seeds]; prints their fitness and their formulas."""
    champions = jax.tree.map(jnp.asarray, found.state.champions)
    for seed, fitness in enumerate(found.fitness):
        one = jax.tree.map(lambda leaf, seed=seed: leaf[seed], champions)
        rules = jax.tree.leaves(jax.tree.map(lambda spec, own: formula(own, spec), specs, one))
        print(f"seed {seed}: fitness {fitness:.3f}, {'; '.join(rules)}")
    return champions


def everywhere(
    function: Callable, specs: PyTree, individuals: PyTree, environments: PyTree
) -> PyTree:
    """`function(rules, environment)` of all individuals in all environments, these axes first.

    The individuals are concrete, so one program length is compiled.
    """
    short = jax.tree.map(_shortest, specs, individuals)

    def test(individual, environment):
        rules = jax.tree.map(
            lambda spec, program: Program(program, spec, "vmap_select"), specs, individual
        )
        return function(rules, environment)

    over = jax.vmap(jax.vmap(test, in_axes=(None, 0)), in_axes=(0, None))
    return jax.jit(over)(short, environments)


def fitness_each(
    objective: Objective, individuals: PyTree
) -> Float[Array, "individuals environments"]:
    """Fitness of individuals in each environment, where `judge` gives what they make together."""

    def test(rules, environment):
        found = objective.fitness(rules, environment, jax.random.key(0))
        return jnp.where(jnp.isfinite(found), found, -jnp.inf)

    return everywhere(test, objective.specs, individuals, objective.environments)


def _shortest(spec, genomes):
    active = jax.jit(jax.vmap(partial(active_nodes, spec)))(genomes)
    length = max(1, int(jnp.max(jnp.sum(active, axis=1))))
    return jax.jit(jax.vmap(lambda genome: compact(spec, genome, length)))(genomes)


def last_fitness(history: Float[np.ndarray, "generations seeds"]) -> Float[np.ndarray, " seeds"]:
    """Fitness of the champions in the last generation before all searches stopped."""
    return history[~np.isnan(history).all(axis=1)][-1]


def formula(genome: PyTree, spec: GenomeSpec) -> str:
    """A champion as a formula, as simple as sympy makes it in a second."""
    return str(to_sympy(Program(genome, spec), simplify=True, time_limit=1.0))


def latex_formula(genome: PyTree, spec: GenomeSpec) -> str:
    """The same in LaTeX."""
    from sympy import latex

    return latex(to_sympy(Program(genome, spec), simplify=True, time_limit=1.0))
