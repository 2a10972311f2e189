"""A classifier by the first spike, with stochastic hidden neurons: Gardner & Grüning (2021)."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from plasticjax.simulate import double_exponential

Value = float | Float[Array, ""]


class EscapeTrace(NamedTuple):
    """What happens in an `EscapeNoiseLayer` at each step.

    Attributes:
        responses: post-synaptic potentials of unit weights, [steps, pre] (mV).
        potential: membrane potentials, [steps, post] (mV).
        spikes: 1 for a spike, else 0, [steps, post] (dimensionless).
    """

    responses: Float[Array, "steps pre"]
    potential: Float[Array, "steps post"]
    spikes: Float[Array, "steps post"]


class EscapeNoiseLayer(eqx.Module):
    r"""Neurons that fire at random, the more often the higher their potential.

    $$u_i = \sum_j w_{ij}\, (\epsilon * S_j) + \kappa * S_i, \qquad
    \epsilon(s) = \epsilon_0 (e^{-s/\tau_m} - e^{-s/\tau_s}), \quad
    \kappa(s) = \kappa_0 e^{-s/\tau_m}$$

    In each step a neuron fires with probability $1 - e^{-\rho\, dt}$,
    $\rho = \rho_0 e^{(u - \vartheta) / \Delta u}$. Source: Gardner & Grüning (2021), Front. Comput.
    Neurosci. 15, 617862.

    Attributes:
        weights: synapses, [post, pre] (dimensionless).
        tau_mem: $\tau_m$, scalar (ms).
        tau_syn: $\tau_s$, scalar, another than $\tau_m$ (ms).
        threshold: $\vartheta$ (mV).
        response: $\epsilon_0$; 4 mV makes the peak 1 mV (mV).
        reset: $\kappa_0$ (mV).
        width: $\Delta u$ (mV).
        rate: $\rho_0$, the rate at threshold (kHz).
        dt: step (ms).
    """

    weights: Float[Array, "post pre"]
    tau_mem: Value = 10.0
    tau_syn: Value = 5.0
    threshold: Value = 15.0
    response: Value = 4.0
    reset: Value = -15.0
    width: Value = 1.0
    rate: Value = 0.01
    dt: float = eqx.field(static=True, default=1.0)

    def responses(self, spikes: Float[Array, "steps pre"]) -> Float[Array, "steps pre"]:
        """Post-synaptic potentials of unit weights.

        Args:
            spikes: [steps, pre] (dimensionless).

        Returns:
            The potentials, [steps, pre] (mV).
        """
        found = double_exponential(spikes, rise=self.tau_syn, decay=self.tau_mem, dt=self.dt)
        return self.response * (self.tau_mem - self.tau_syn) * found

    def __call__(self, spikes: Float[Array, "steps pre"], *, key: Key[Array, ""]) -> EscapeTrace:
        """Runs the layer from rest.

        Args:
            spikes: what arrives in each step, [steps, pre] (dimensionless).
            key: random key of the spikes.

        Returns:
            The trace.
        """
        # The filter is linear: only if somebody asks for the responses are all inputs filtered.
        responses = self.responses(spikes)
        driven = self.responses(spikes @ self.weights.T)
        chances = jax.random.uniform(key, driven.shape, driven.dtype)

        def step(own, entry):
            driven, chance = entry
            potential = driven + self.reset * own
            fired = (chance < -jnp.expm1(-self._hazard(potential))).astype(driven.dtype)
            return self._after(own, fired), (potential, fired)

        begin = jnp.zeros(driven.shape[1], driven.dtype)
        _, (potential, fired) = jax.lax.scan(step, begin, (driven, chances))
        return EscapeTrace(responses, potential, fired)

    def log_likelihood(
        self, spikes: Float[Array, "steps pre"], fired: Float[Array, "steps post"]
    ) -> Float[Array, ""]:
        """Logarithm of the probability that the neurons fire like this, given their input.

        Args:
            spikes: what arrives in each step, [steps, pre] (dimensionless).
            fired: spikes of the neurons themselves, [steps, post] (dimensionless).

        Returns:
            The log likelihood, scalar (nats).
        """
        driven = self.responses(spikes @ self.weights.T)

        def step(own, entry):
            driven, fired = entry
            hazard = self._hazard(driven + self.reset * own)
            log = jnp.where(fired > 0, jnp.log(-jnp.expm1(-hazard)), -hazard)
            return self._after(own, fired), jnp.sum(log)

        begin = jnp.zeros(driven.shape[1], driven.dtype)
        return jnp.sum(jax.lax.scan(step, begin, (driven, fired))[1])

    def _hazard(self, potential):
        return self.dt * self.rate * jnp.exp((potential - self.threshold) / self.width)

    def _after(self, own, fired):
        return jnp.exp(-self.dt / jnp.asarray(self.tau_mem, own.dtype)) * (own + fired)


class LatencyTrace(NamedTuple):
    """What happens in a `LatencyNetwork`.

    Attributes:
        hidden: the trace of the hidden layer.
        responses: post-synaptic potentials of the hidden spikes for unit weights, [steps, hidden]
            (mV).
        potential: potentials of the label neurons before their first spike, [steps, classes] (mV).
    """

    hidden: EscapeTrace
    responses: Float[Array, "steps hidden"]
    potential: Float[Array, "steps classes"]


class LatencyNetwork(eqx.Module):
    """Stochastic hidden neurons and label neurons without noise, whose first spike counts.

    Attributes:
        hidden: the hidden layer; label neurons share its membrane and threshold.
        readout: synapses of the label neurons, [classes, hidden] (dimensionless).
    """

    hidden: EscapeNoiseLayer
    readout: Float[Array, "classes hidden"]

    def __call__(self, spikes: Float[Array, "steps pre"], *, key: Key[Array, ""]) -> LatencyTrace:
        """Runs the network from rest.

        Args:
            spikes: input, [steps, pre] (dimensionless).
            key: random key of the hidden spikes.

        Returns:
            The trace.
        """
        hidden = self.hidden(spikes, key=key)
        responses = self.hidden.responses(hidden.spikes)
        return LatencyTrace(hidden, responses, responses @ self.readout.T)


def latency_network(
    sizes: Sequence[int],
    *,
    key: Key[Array, ""],
    hidden_mean: float = 1.0,
    readout_mean: float = 1.0,
    dtype: str = "float32",
) -> LatencyNetwork:
    """A network with random weights, uniform between 0 and twice their mean.

    Args:
        sizes: numbers of inputs, hidden neurons and classes.
        key: scalar random key.
        hidden_mean: mean weight of the hidden layer (dimensionless).
        readout_mean: mean weight of the label neurons (dimensionless).
        dtype: of the weights.

    Returns:
        The network.

    Raises:
        ValueError: if there are not three sizes.
    """
    if len(sizes) != 3:
        raise ValueError(f"sizes is {tuple(sizes)}; expected inputs, hidden neurons, classes")
    inputs, hidden, classes = sizes
    first, second = jax.random.split(key)
    below = 2 * hidden_mean * jax.random.uniform(first, (hidden, inputs), dtype)
    above = 2 * readout_mean * jax.random.uniform(second, (classes, hidden), dtype)
    return LatencyNetwork(EscapeNoiseLayer(below), above)


def crossing_steps(
    potential: Float[Array, "steps classes"], threshold: Value
) -> Float[Array, " classes"]:
    """When each potential first reaches the threshold, linearly interpolated between steps.

    Args:
        potential: [steps, classes] (unit of the threshold).
        threshold: scalar (mV or dimensionless, as the potential).

    Returns:
        Crossings, [classes], in steps from the first one, `inf` for none; differentiable
        (dimensionless).
    """
    reached = potential >= threshold
    after = jnp.argmax(reached, axis=0)
    before = jnp.maximum(after - 1, 0)
    columns = jnp.arange(potential.shape[1])
    low, high = potential[before, columns], potential[after, columns]
    inside = reached.any(axis=0) & (after > 0)
    part = jnp.where(inside, threshold - low, 0) / jnp.where(inside, high - low, 1)
    found = before.astype(potential.dtype) + part
    return jnp.where(reached.any(axis=0), found, jnp.inf)


def latency_gradient(
    network: LatencyNetwork,
    spikes: Float[Array, "steps pre"],
    label: Int[Array, ""],
    *,
    key: Key[Array, ""],
    nu: float | Float[Array, ""] = 2.0,
    trace: LatencyTrace | None = None,
) -> LatencyNetwork:
    r"""The rule of Gardner & Grüning for the cross-entropy of first spikes.

    With $a_k = \mathrm{softmax}_k(-\tau_k / \nu)$ and first spikes $\tau_k$ of the label neurons,

    $$\Delta w_{kj} \propto (y_k - a_k)\, (\epsilon * S_j)(\tau_k), \qquad
    \Delta w_{jl} \propto \frac{1}{\Delta u} \sum_k (y_k - a_k)\, w_{kj}\,
    \big([S_j (\epsilon * S_l)] * \epsilon\big)(\tau_k).$$

    The first is the derivative of the loss but for the positive factor $1 / \nu \dot u_k$. The
    second takes $S_j (\epsilon * S_l) / \Delta u$ for the derivative of a stochastic spike train,
    which is that of its logarithm of the likelihood. A label neuron that stays silent counts as one
    that fires a membrane time constant after the end, and is read at the end.

    Args:
        network: the network.
        spikes: input of one sample, [steps, pre] (dimensionless).
        label: the true class, scalar.
        key: random key of the hidden spikes.
        nu: $\nu$, width of the softmax, scalar (ms).
        trace: `network(spikes, key=key)`, if that is known already.

    Returns:
        What to subtract, in the place of the weights; `None` for the rest.

    Source: Gardner & Grüning (2021), Front. Comput. Neurosci. 15, 617862; structure derived again.
    """
    trace = network(spikes, key=key) if trace is None else trace
    factors = latency_factors(network, trace, label, nu=nu)
    nothing = jax.tree.map(lambda leaf: None, network)
    return eqx.tree_at(
        lambda net: (net.hidden.weights, net.readout),
        nothing,
        (factors.eligible.T @ spikes, factors.readout),
        is_leaf=lambda leaf: leaf is None,
    )


class LatencyFactors(NamedTuple):
    """What `latency_gradient` is made of.

    Attributes:
        eligible: the gradient by the hidden weights is its product with the input spikes, $E^T S$,
            [steps, hidden] (dimensionless).
        readout: the gradient by the weights of the label neurons, [classes, hidden]
            (dimensionless).
    """

    eligible: Float[Array, "steps hidden"]
    readout: Float[Array, "classes hidden"]


def latency_factors(
    network: LatencyNetwork,
    trace: LatencyTrace,
    label: Int[Array, ""],
    *,
    nu: float | Float[Array, ""] = 2.0,
) -> LatencyFactors:
    """The factors of `latency_gradient`, whose product a batch can form and sum all at once.

    Args:
        network: the network.
        trace: what it did with the input of one sample.
        label: the true class, scalar.
        nu: as for `latency_gradient`, scalar (ms).

    Returns:
        The factors.

    Source: as for `latency_gradient`.
    """
    hidden = network.hidden
    steps = len(trace.potential)
    crossing = crossing_steps(trace.potential, hidden.threshold)
    fired = jnp.isfinite(crossing)
    times = hidden.dt * jnp.where(fired, crossing, steps - 1)
    times = jnp.where(fired, times, times + hidden.tau_mem)
    error = jax.nn.one_hot(label, times.size, dtype=times.dtype) - jax.nn.softmax(-times / nu)

    # The readings at the crossings, as weights of the steps: [classes, steps].
    at = jnp.where(fired, crossing, steps - 1)
    readings = jnp.maximum(1 - jnp.abs(jnp.arange(steps) - at[:, None]), 0)
    by_readout = -error[:, None] * (readings @ trace.responses)

    def filter_back(values):
        return hidden.responses(values[::-1])[::-1]

    # A later reading of a filtered product is an earlier product of the reading filtered back, and
    # so for the filtered input.
    signal = jnp.einsum("k,kj,tk->tj", error, network.readout, filter_back(readings.T))
    eligible = -filter_back(signal * trace.hidden.spikes) / hidden.width
    return LatencyFactors(eligible, by_readout)
