"""One neuron with smooth dynamics during one step of the integrator."""

from functools import partial
from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from ._if_any import if_any

HALVINGS = 30
NEWTON_STEPS = 3


def field(neuron, t, y, drive, held):
    """The vector field, zero for what is clamped while the neuron is `held`."""

    def component(y, rate, clamped):
        return jnp.where(held & clamped, 0, jnp.broadcast_to(rate, y.shape).astype(y.dtype))

    return jax.tree.map(component, y, neuron.vector_field(t, y, drive), neuron.clamped)


def slope(neuron, t, y, drive):
    """Margin and its derivative in time for a neuron that is not held."""
    return jax.jvp(neuron.threshold_margin, (y,), (field(neuron, t, y, drive, False),))


class Advance(NamedTuple):
    state: PyTree
    error: PyTree
    dense: PyTree  # begin, end and stages, what the interpolation is made of


def advance(solver: diffrax.AbstractERK, neuron, t, y, drive, held, length) -> Advance:
    """One step of the method from t over `length`, of its stages one after the other.

    Not `solver.step`: its loop over stages passes only one of the modes of differentiation.
    """
    tableau = solver.tableau
    assert isinstance(tableau, diffrax.ButcherTableau), "not an implicit-explicit method"
    count = len(tableau.b_sol)
    rows = np.zeros((count, count))
    for number, row in enumerate(tableau.a_lower, start=1):
        rows[number, :number] = row

    def stage(stages, entry):
        number, row, node = entry
        inside = _combine(y, row, stages)
        rate = field(neuron, t + node * length, inside, drive, held)
        return jax.tree.map(lambda k, f: k.at[number].set(length * f), stages, rate), None

    begin = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape), leaf.dtype), y)
    entries = (
        jnp.arange(count),
        jnp.asarray(rows, length.dtype),
        jnp.asarray(np.append(0, tableau.c), length.dtype),
    )
    stages, _ = jax.lax.scan(stage, begin, entries)
    end = _combine(y, tableau.b_sol, stages)
    error = _weigh(tableau.b_error, stages)
    dense = jax.tree.map(lambda y, end, k: jnp.concatenate([y[None], end[None], k]), y, end, stages)
    return Advance(end, error, dense)


def _combine(y, factors, stages):
    """`y` plus the stages with these factors."""
    return jax.tree.map(jnp.add, y, _weigh(factors, stages))


def _weigh(factors, stages):
    """The sum of the stages with these factors.

    Not a matrix product, which sums in another order if it is one of a batch.
    """

    def add(stages):
        column = jnp.asarray(factors, stages.dtype).reshape(-1, *(1,) * (stages.ndim - 1))
        return jnp.sum(column * stages, axis=0)

    return jax.tree.map(add, stages)


class Crossing(NamedTuple):
    low: Float[Array, "..."]
    high: Float[Array, "..."]
    exists: Bool[Array, "..."]


def find_crossing(solver, neuron, y, step: Advance, parts: int, free) -> Crossing:
    """The first upward crossing of the margin within a step, as its interpolation shows it, between
    two places given as shares of the step.

    Looks at the ends of `parts` equal parts. If the margin has the same sign at both ends of a
    part, but its slopes say that it turns in between, the turning point is looked at too. So no
    crossing is missed whose part has a single extremum.
    """
    dtype = jax.tree.leaves(y)[0].dtype
    with jax.ensure_compile_time_eval():
        marks = jnp.arange(parts + 1, dtype=dtype) / parts
        shares = jax.vmap(partial(_shares, solver))(marks)
    margins, slopes = jax.vmap(partial(_margin, neuron, step))(shares)
    margins = margins.at[0].set(neuron.threshold_margin(y))
    margins = margins.at[-1].set(neuron.threshold_margin(step.state))
    low, high = marks[:-1], marks[1:]
    before, after, rate_before, rate_after = margins[:-1], margins[1:], slopes[:-1], slopes[1:]
    below, above = (before < 0) & (after < 0), (before >= 0) & (after >= 0)
    peaks = below & (rate_before > 0) & (rate_after < 0)
    dips = above & (rate_before < 0) & (rate_after > 0)
    # Where the tangents at both ends meet is the most that a single extremum can reach.
    bend = jnp.where(peaks | dips, rate_before - rate_after, 1)
    meet = (after - before - rate_after * (high - low)) / bend
    beyond = before + rate_before * meet
    turns = free & ((peaks & (beyond > 0)) | (dips & (beyond < 0)))

    def turning_point(low, high, sign):
        find = lambda x: -sign * _look(solver, neuron, step, x)[1]  # noqa: E731
        place = _bisect(find, low, high)[1]
        return place, _look(solver, neuron, step, place)[0]

    sign = jnp.where(peaks, 1, -1).astype(dtype)
    turning = jax.vmap(turning_point)
    turn, at_turn = if_any(jnp.any(turns), turning, (low, before), (low, high, sign))
    peaks, dips = peaks & turns & (at_turn > 0), dips & turns & (at_turn < 0)
    crosses = free & (((before < 0) & (after >= 0)) | peaks | dips)
    first = jnp.argmax(crosses)
    low = jnp.where(dips, turn, low)[first]
    high = jnp.where(peaks, turn, high)[first]
    return Crossing(low, high, jnp.any(crosses))


def crossing_time(solver, neuron, t, y, drive, step: Advance, length, crossing: Crossing):
    """When it crosses: bisection on the interpolation, then Newton's method on steps of the
    integrator that end at the crossing, so that the interpolation adds no error. The slope comes
    with the field, and few steps square the error of the start away."""
    low, high = _bisect(lambda x: _look(solver, neuron, step, x)[0], crossing.low, crossing.high)
    start = length * ((low + high) / 2)

    def improve(_, s):
        end = advance(solver, neuron, t, y, drive, False, s).state
        margin, rate = slope(neuron, t + s, end, drive)
        rises = crossing.exists & (rate > 0)
        return s - jnp.where(rises, margin, 0) / jnp.where(rises, rate, 1)

    refined = jax.lax.fori_loop(0, NEWTON_STEPS, improve, start)
    # Where the margin grazes zero, Newton's method may leave; then the interpolation decides.
    inside = (refined >= 0) & (refined <= length)
    near = jnp.abs(refined - start) <= length * (crossing.high - crossing.low)
    return jnp.where(inside & near, refined, start)


def _look(solver, neuron, step: Advance, place):
    """Margin at a place of a step, a share of its length, and its derivative by that share."""
    return _margin(neuron, step, _shares(solver, place))


def _margin(neuron, step: Advance, shares):
    state, rate = (_weigh(factors, step.dense) for factors in shares)
    return jax.jvp(neuron.threshold_margin, (state,), (rate,))


def _shares(solver, place):
    """What begin, end and stages of a step count for at a place, and the derivatives.

    diffrax's interpolation is linear in them, so it shows that for unit vectors; exactly, since
    each of its sums then has a single term that is not zero.
    """
    unit = jnp.eye(len(solver.tableau.b_sol) + 2, dtype=place.dtype)
    ends = {"y0": unit[0], "y1": unit[1], "k": unit[2:]}
    zero, one = jnp.zeros_like(place), jnp.ones_like(place)
    path = solver.interpolation_cls(t0=zero, t1=one, **ends)
    return jax.jvp(path.evaluate, (place,), (one,))


def _bisect(function, low, high):
    """Narrows down where a function rises through zero."""

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        short = function(middle) < 0
        return jnp.where(short, middle, low), jnp.where(short, high, middle)

    return jax.lax.fori_loop(0, HALVINGS, halve, (low, high))
