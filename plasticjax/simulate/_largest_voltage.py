"""The largest potential of neurons that never fire, such as leaky readouts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._arrival_order import arrival_order
from ._circuit import InputSpikes, SpikingCircuit, pose, resting
from ._membrane import Membrane, _extremum, flow, respond
from ._solve_events import check_size


class LargestVoltage(NamedTuple):
    """What `largest_voltage` returns.

    Attributes:
        voltage: largest potential of each neuron, [post]; differentiable (voltage).
        time: when it is reached, the earliest time if there are several, [post]; without derivative
            (unit of the time constants).
    """

    voltage: Float[Array, " post"]
    time: Float[Array, " post"]


def largest_voltage(
    circuit: SpikingCircuit, inputs: InputSpikes, *, t_end: float
) -> LargestVoltage:
    r"""Largest potential $\max_{0 \le t \le T} V_i(t)$ of each neuron of a layer that never fires.

    Between two arrivals a potential has at most one extremum, in closed form; the maximum is
    therefore exact, without a grid, in time linear in the arrivals. Thresholds, reset potentials
    and refractory times are not looked at.

    Derivatives are first ones, in forward and reverse mode, with respect to weights, input times,
    delays, time constants, leak, bias and initial state: those of the potential at the time of the
    maximum, which is held. Where the maximum is a corner, because inhibition arrives there, it
    moves with that arrival. Where two maxima are equal, or two arrivals share the corner, the
    derivative is that of one of them.

    Source: Wunderlich & Pehle (2021), Sci. Rep. 11, 12829, for losses on the largest potential.

    Args:
        circuit: neurons and input synapses; `recurrent` must be `None`.
        inputs: input spikes, times [spikes] in any order, `inf` for none (unit of the time
            constants).
        t_end: end T, positive and finite (same unit).

    Returns:
        The largest potentials and their times, [post].

    Raises:
        ValueError: as `solve_layer`. What is invalid but only known inside of `jit` makes the
            potentials NaN.
    """
    check_size(t_end, 1)
    if circuit.recurrent is not None:
        raise ValueError("circuit.recurrent must be None for the largest voltage of a layer")
    problem, sources = pose(circuit, inputs)
    arrivals = problem.times + problem.delays[:, sources]
    weights = problem.weights[:, sources]
    order = jax.vmap(arrival_order)(jax.lax.stop_gradient(arrivals))
    shared = order.shape[0] == 1
    if shared:
        arrivals, order = arrivals[0], order[0]

    def largest(membrane, arrivals, weights, order):
        arrivals, weights = jnp.append(arrivals[order], jnp.inf), jnp.append(weights[order], 0)
        peak = _find_peak(*jax.lax.stop_gradient((membrane, arrivals, weights)), t_end)
        time = jnp.where(peak.corner >= 0, arrivals[peak.corner], peak.time)
        return respond(membrane, time, 0.0, False, arrivals, weights).potential, peak.time

    axes = None if shared else 0
    voltage, time = jax.vmap(largest, (0, axes, 0, axes))(
        problem.membrane, arrivals, weights, order
    )
    valid = ~jnp.any(jnp.isnan(problem.times))
    return LargestVoltage(jnp.where(valid, voltage + resting(circuit), jnp.nan), time)


class Peak(NamedTuple):
    """The highest point so far of one neuron."""

    voltage: Float[Array, ""]
    time: Float[Array, ""]
    corner: Int[Array, ""]  # the arrival that ends the rise, -1 for none


class Walk(NamedTuple):
    """State of one neuron, right after its last arrival."""

    clock: Float[Array, ""]
    voltage: Float[Array, ""]
    current: Float[Array, ""]
    taken: Int[Array, ""]
    ended: Bool[Array, ""]
    peak: Peak


def _find_peak(membrane: Membrane, arrivals, weights, t_end) -> Peak:
    """The first highest point of the potential of one neuron, given its arrivals in their order,
    the last of which comes never."""

    def visit(walk: Walk) -> Walk:
        arrival = arrivals[walk.taken]
        ended = ~(arrival < t_end)
        until = jnp.where(ended, t_end, arrival)
        gap = until - walk.clock
        turn = _extremum(membrane, walk.voltage, walk.current)
        turns = (turn > 0) & (turn < gap) & (walk.current > 0)
        top, _ = flow(membrane, walk.voltage, walk.current, jnp.where(turns, turn, 0))
        voltage, current = flow(membrane, walk.voltage, walk.current, gap)
        inside = Peak(top, walk.clock + turn, jnp.full_like(walk.taken, -1))
        at_end = Peak(voltage, until, jnp.where(ended, -1, walk.taken))
        peak = _higher(at_end, _higher(inside, walk.peak, turns), True)
        current = current + weights[walk.taken]
        return Walk(until, voltage, current, walk.taken + 1, ended, peak)

    zero, none = jnp.zeros_like(membrane.voltage), jnp.full((), -1, jnp.int32)
    begin = Peak(membrane.voltage, zero, none)
    walk = Walk(zero, membrane.voltage, membrane.current, none + 1, jnp.zeros((), bool), begin)
    return jax.lax.while_loop(lambda walk: ~walk.ended, visit, walk).peak


def _higher(new: Peak, old: Peak, exists) -> Peak:
    higher = exists & (new.voltage > old.voltage)
    return jax.tree.map(lambda a, b: jnp.where(higher, a, b), new, old)
