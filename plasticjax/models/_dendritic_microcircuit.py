"""Cortical microcircuits whose apical dendrites hold the error, with prospective rates or without.

Hidden layers have pyramidal cells with a basal and an apical dendrite, and one interneuron for each
pyramidal cell of the layer above, which learns to predict it. What the interneurons cannot predict
stays in the apical dendrites and teaches the basal synapses.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from ._microcircuit_types import (
    MicrocircuitCarry,
    MicrocircuitInputs,
    MicrocircuitLearningRates,
    MicrocircuitOutputs,
    MicrocircuitVoltages,
    MicrocircuitWeights,
    Scalar,
    softplus_rate,
)


class DendriticMicrocircuit(eqx.Module):
    """Dynamics and plasticity of a cortical microcircuit; a stepper of `scan_steps`.

    All cells have unit capacitance and leak to 0. In a step of width dt every compartment is
    computed from what the neurons showed after the previous step; then potentials and weights move
    at once. With latent equilibrium a neuron shows the prospective potential u + tau du/dt, which
    is the steady state of its soma, and the output cells see the target of the previous step.
    Without it a neuron shows u. Source: Sacramento et al. (2018), NeurIPS; Haider et al. (2021),
    NeurIPS, whose constants are the defaults.

    Attributes:
        prospective: latent equilibrium (True) or the original model; may be a traced scalar.
        learning_rates: rates of the plastic projections (1/ms); None: all weights are fixed.
        g_leak: leak conductance (1/ms).
        g_basal: coupling of the basal dendrite to the soma of a pyramidal cell (1/ms).
        g_apical: coupling of the apical dendrite (1/ms).
        g_dendrite: coupling of the dendrite of an interneuron (1/ms).
        g_som: conductance by which a target reaches the soma of an output cell, and the paired
            pyramidal cell that of an interneuron (1/ms).
        dt: step width (ms).
        limits: largest magnitude of the upward weights to hidden and to output cells, enforced
            after each update (dimensionless).
        rate: rate of a neuron as a function of its potential, elementwise.
    """

    prospective: bool | Bool[Array, ""] = True
    learning_rates: MicrocircuitLearningRates | None = None
    g_leak: Scalar = 0.03
    g_basal: Scalar = 0.1
    g_apical: Scalar = 0.06
    g_dendrite: Scalar = 0.1
    g_som: Scalar = 0.06
    dt: Scalar = 0.1
    limits: tuple[float, float] = eqx.field(static=True, default=(4.0, 5.0))
    rate: Callable[[Array], Array] = eqx.field(static=True, default=softplus_rate)

    def __check_init__(self):
        """Raises: ValueError for constants out of range."""
        for name in ("g_leak", "g_basal", "g_apical", "g_dendrite", "g_som", "dt"):
            value = getattr(self, name)
            positive = name in ("g_leak", "g_basal", "g_dendrite", "dt")
            if isinstance(value, float | int) and not (value > 0 if positive else value >= 0):
                need = "be positive" if positive else "not be negative"
                raise ValueError(f"{name}={value} must {need}")
        if not all(limit > 0 for limit in self.limits):
            raise ValueError(f"limits={self.limits} must be positive")

    def init_weights(self, sizes: Sequence[int], *, key: Key[Array, ""]) -> MicrocircuitWeights:
        """Uniform weights in (-1, 1) up and down, with interneurons in the self-predicting state.

        Args:
            sizes: number of inputs, then of pyramidal cells per layer.
            key: random key, scalar; layer k uses `fold_in(key, k)`.

        Returns:
            The weights (dimensionless), in the default float dtype of JAX.

        Raises:
            ValueError: if `sizes` has no output layer or an empty layer.
        """
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(
                f"sizes={tuple(sizes)} must give the number of inputs and of cells in each of one "
                "or more layers, all at least 1"
            )
        up, down = [], []
        for k, (pre, post) in enumerate(itertools.pairwise(sizes)):
            upward, downward = jax.random.split(jax.random.fold_in(key, k))
            up.append(jax.random.uniform(upward, (post, pre), minval=-1, maxval=1))
            if k > 0:
                down.append(jax.random.uniform(downward, (pre, post), minval=-1, maxval=1))
        return self.self_predicting(tuple(up), tuple(down))

    def self_predicting(
        self,
        up: tuple[Float[Array, "_post _pre"], ...],
        down: tuple[Float[Array, "_own _above"], ...],
    ) -> MicrocircuitWeights:
        """Weights with which interneurons mirror the layer above and cancel it in apical dendrites.

        Without a target, apical potentials and all weight changes are then zero once the input is
        constant. Source: Sacramento et al. (2018).

        Args:
            up: upward weights, one array [post, pre] per layer (dimensionless).
            down: downward weights, one array [own, above] per hidden layer.

        Returns:
            `up` and `down` with the weights of the interneurons.

        Raises:
            ValueError: if the shapes do not fit each other.
        """
        _check_layers(up, down)
        ip = tuple(
            weights
            * self._attenuation(k, len(up))
            * ((self.g_leak + self.g_dendrite) / self.g_dendrite)
            for k, weights in enumerate(up)
            if k > 0
        )
        return MicrocircuitWeights(tuple(up), tuple(down), ip, tuple(-weights for weights in down))

    def initial(self, weights: MicrocircuitWeights) -> MicrocircuitCarry:
        """Carry of a circuit at rest.

        Args:
            weights: the synaptic weights (dimensionless).

        Returns:
            Zero potentials in the dtype of the weights. The target before the first step is zero
            and counts as nudging.

        Raises:
            ValueError: if the shapes of the weights do not fit each other.
        """
        _check_layers(weights.up, weights.down)
        for name, arrays, shapes in (
            ("ip", weights.ip, [w.shape for w in weights.up[1:]]),
            ("pi", weights.pi, [w.shape for w in weights.down]),
        ):
            if [w.shape for w in arrays] != shapes:
                raise ValueError(
                    f"weights.{name} has shapes {[w.shape for w in arrays]}; expected {shapes}"
                )

        def rest(weights):
            zeros = jnp.zeros(weights.shape[:1], weights.dtype)
            return MicrocircuitVoltages(zeros, zeros)

        pyramids = tuple(map(rest, weights.up))
        return MicrocircuitCarry(
            weights, pyramids, tuple(map(rest, weights.ip)), pyramids[-1].soma, jnp.array(True)
        )

    def __call__(
        self, carry: MicrocircuitCarry, inputs: MicrocircuitInputs
    ) -> tuple[MicrocircuitCarry, MicrocircuitOutputs]:
        """One step of width dt.

        Args:
            carry: carry of the previous step.
            inputs: input rates [inputs], target [outputs] and nudging flag of this step.

        Returns:
            The next carry and what the step shows.

        Raises:
            ValueError: if the inputs or the learning rates do not fit the weights.
        """
        _check_inputs(carry, inputs)
        now = self._compartments(carry, inputs.rates)
        target = jnp.where(self.prospective, carry.target, inputs.target)
        nudged = jnp.where(self.prospective, carry.nudged, inputs.nudged)

        pyramids, interneurons = [], []
        for k, apical in enumerate(now.apical):
            total = self.g_leak + self.g_basal + self.g_apical
            drive = self.g_basal * now.basal[k] + self.g_apical * apical
            pyramids.append(self._move(carry.pyramids[k], drive / total, total))
            total = self.g_leak + self.g_dendrite + self.g_som
            drive = self.g_dendrite * now.dendrite[k] + self.g_som * carry.pyramids[k + 1].shown
            interneurons.append(self._move(carry.interneurons[k], drive / total, total))
        # Output cells keep their time constant when they are not nudged, as in the reference.
        total = self.g_leak + self.g_basal + self.g_som
        drive = self.g_basal * now.basal[-1]
        free, taught = drive / (self.g_leak + self.g_basal), (drive + self.g_som * target) / total
        pyramids.append(self._move(carry.pyramids[-1], jnp.where(nudged, taught, free), total))

        weights = carry.weights
        if self.learning_rates is not None:
            weights = self._learn(self.learning_rates, weights, now, pyramids, interneurons)
        after = MicrocircuitCarry(
            weights,
            tuple(pyramids),
            tuple(interneurons),
            jnp.asarray(inputs.target, carry.target.dtype),
            jnp.asarray(inputs.nudged, bool),
        )
        outputs = MicrocircuitOutputs(
            tuple(cells.shown for cells in pyramids),
            tuple(cells.shown for cells in interneurons),
            now.apical,
        )
        return after, outputs

    def _compartments(self, carry: MicrocircuitCarry, inputs: Array) -> "_Compartments":
        rates = [self.rate(cells.shown) for cells in carry.pyramids]
        lateral = [self.rate(cells.shown) for cells in carry.interneurons]
        weights, below = carry.weights, (inputs, *rates[:-1])
        return _Compartments(
            below,
            tuple(lateral),
            tuple(map(_matvec, weights.up, below)),
            tuple(
                _matvec(weights.down[k], rates[k + 1]) + _matvec(weights.pi[k], lateral[k])
                for k in range(len(lateral))
            ),
            tuple(map(_matvec, weights.ip, rates[:-1])),
        )

    def _move(
        self, cells: MicrocircuitVoltages, steady: Array, conductance: Scalar
    ) -> MicrocircuitVoltages:
        soma = cells.soma + self.dt * conductance * (steady - cells.soma)
        # u + tau du/dt is the steady state, here without the rounding of the sum.
        return MicrocircuitVoltages(soma, jnp.where(self.prospective, steady, soma))

    def _learn(
        self,
        eta: MicrocircuitLearningRates,
        weights: MicrocircuitWeights,
        now: "_Compartments",
        pyramids: Sequence[MicrocircuitVoltages],
        interneurons: Sequence[MicrocircuitVoltages],
    ) -> MicrocircuitWeights:
        """Changes from the new potentials and the compartments and rates that led to them."""
        _check_learning_rates(eta, weights)

        def learned(weights, eta, post, pre):
            return weights + (self.dt * eta * post[:, None] * pre).astype(weights.dtype)

        up, ip, pi = [], list(weights.ip), list(weights.pi)
        for k, cells in enumerate(pyramids):
            predicted = self._attenuation(k, len(pyramids)) * now.basal[k]
            error = self.rate(cells.shown) - self.rate(predicted)
            limit = self.limits[0] if k < len(interneurons) else self.limits[1]
            change = learned(weights.up[k], eta.up[k], error, now.below[k])
            up.append(jnp.clip(change, -limit, limit))
        for k, cells in enumerate(interneurons):
            if eta.ip is not None:
                predicted = self.g_dendrite / (self.g_leak + self.g_dendrite) * now.dendrite[k]
                error = self.rate(cells.shown) - self.rate(predicted)
                ip[k] = learned(ip[k], eta.ip[k], error, now.below[k + 1])
            if eta.pi is not None:
                pi[k] = learned(pi[k], eta.pi[k], -now.apical[k], now.lateral[k])
        return MicrocircuitWeights(tuple(up), weights.down, tuple(ip), tuple(pi))

    def _attenuation(self, k: int, layers: int) -> Scalar:
        """Share of its basal potential that a cell of layer k + 1 has if nothing else drives it."""
        apical = self.g_apical if k < layers - 1 else 0.0
        return self.g_basal / (self.g_leak + self.g_basal + apical)


class _Compartments(NamedTuple):
    """Presynaptic rates and dendritic potentials of a step, one array per (hidden) layer."""

    below: tuple[Array, ...]
    lateral: tuple[Array, ...]
    basal: tuple[Array, ...]
    apical: tuple[Array, ...]
    dendrite: tuple[Array, ...]


def _matvec(weights: Array, rates: Array) -> Array:
    """`weights @ rates`; small ones as a sum that XLA fuses, which halves the time of a step."""
    return jnp.sum(weights * rates, axis=1) if weights.size < 1000 else weights @ rates


def _check_layers(up: Sequence[Array], down: Sequence[Array]) -> None:
    for k in range(1, len(up)):
        if up[k].shape[1] != up[k - 1].shape[0]:
            raise ValueError(
                f"up[{k}] has shape {up[k].shape}; expected {up[k - 1].shape[0]} columns, one for "
                "each cell of the layer below"
            )
    expected = [weights.shape[::-1] for weights in up[1:]]
    if [weights.shape for weights in down] != expected:
        raise ValueError(f"down has shapes {[w.shape for w in down]}; expected {expected}")


def _check_inputs(carry: MicrocircuitCarry, inputs: MicrocircuitInputs) -> None:
    for name, array, size in (
        ("rates", inputs.rates, carry.weights.up[0].shape[1]),
        ("target", inputs.target, carry.weights.up[-1].shape[0]),
    ):
        if jnp.shape(array) != (size,):
            raise ValueError(f"inputs.{name} has shape {jnp.shape(array)}; expected {(size,)}")


def _check_learning_rates(eta: MicrocircuitLearningRates, weights: MicrocircuitWeights) -> None:
    for name in ("up", "ip", "pi"):
        rates, count = getattr(eta, name), len(getattr(weights, name))
        if rates is not None and len(rates) != count:
            raise ValueError(f"learning_rates.{name} has {len(rates)} entries; expected {count}")
