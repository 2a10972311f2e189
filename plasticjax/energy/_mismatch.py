"""Mismatch energies: half the squared difference between what neurons are and are told to be."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ._activations import Activation
from ._trees import half_squared, minus

State = PyTree[Float[Array, "..."]]


class AbstractMismatchEnergy(eqx.Module):
    """An energy `1/2 |s - I(rate(s), theta, x)|^2 + C(s, rate(s), x)`.

    `I` is the current that the network predicts for each neuron, `C` a nudged cost. Any energy
    of this form gives the staggered steps of latent equilibrium and its relatives.
    """

    @abstractmethod
    def rates(self, s: State) -> State:
        """Output rates of voltages, leaf by leaf.

        Args:
            s: voltages, any pytree with leaves [neurons] (dimensionless).

        Returns:
            Rates in the same structure (dimensionless).
        """

    @abstractmethod
    def slopes(self, s: State) -> State:
        """Derivatives of the output rates, leaf by leaf.

        Args:
            s: voltages, any pytree with leaves [neurons] (dimensionless).

        Returns:
            Slopes in the same structure (dimensionless).
        """

    @abstractmethod
    def current(self, rates: State, theta: PyTree, x: PyTree) -> State:
        """The current that the network predicts for every neuron.

        Args:
            rates: presynaptic rates, leaves [neurons], structured as the state (dimensionless).
            theta: parameters, any pytree.
            x: drive, any pytree.

        Returns:
            Currents, structured as the state (dimensionless).
        """

    @abstractmethod
    def nudging_cost(self, s: State, rates: State, x: PyTree) -> Float[Array, ""]:
        """The cost that nudges the network.

        Args:
            s: voltages (dimensionless).
            rates: output rates, structured as the voltages (dimensionless).
            x: drive, any pytree.

        Returns:
            Scalar (dimensionless).
        """

    @abstractmethod
    def samples(self, s: State) -> int:
        """Number of samples that share the parameters: what their changes are averaged over.

        Args:
            s: voltages, any pytree with leaves [neurons] (dimensionless).

        Returns:
            A Python integer (dimensionless).
        """

    def __call__(self, s: State, theta: PyTree, x: PyTree) -> Float[Array, ""]:
        """The energy.

        Args:
            s: voltages, any pytree (dimensionless).
            theta: parameters, any pytree.
            x: drive, any pytree.

        Returns:
            Scalar (dimensionless).
        """
        return self.split(s, s, theta, x)

    def split(self, a: State, c: State, theta: PyTree, x: PyTree) -> Float[Array, ""]:
        """The energy with received and sent voltages told apart (generalised latent equilibrium).

        Args:
            a: voltages that receive, `u + tau_m du/dt` (dimensionless).
            c: voltages that send, `u + tau_r du/dt` (dimensionless).
            theta: parameters, any pytree.
            x: drive, any pytree.

        Returns:
            Scalar (dimensionless).
        """
        rates = self.rates(c)
        mismatch = minus(a, self.current(rates, theta, x))
        return half_squared(mismatch) + self.nudging_cost(c, rates, x)


class MismatchEnergy(AbstractMismatchEnergy):
    """The energy of one sample (Haider et al. 2021, eq. 4; Senn et al. 2024, eq. 1).

    Attributes:
        activation: one `Activation` for all neurons, or a pytree prefix of them, such as one a
            layer.
        network: `(rates, theta, x) -> currents`, such as `feed_forward` or `recurrent`.
        cost: `(s, rates, x) -> scalar`, such as `rate_cost`; it contains the nudging strength.
    """

    activation: PyTree[Activation] = eqx.field(static=True)
    network: Callable[[State, PyTree, PyTree], State] = eqx.field(static=True)
    cost: Callable[[State, State, PyTree], Float[Array, ""]] = eqx.field(static=True)

    def rates(self, s: State) -> State:
        """Output rates of voltages, leaf by leaf.

        Args:
            s: voltages, any pytree with leaves [neurons] (dimensionless).

        Returns:
            Rates in the same structure (dimensionless).
        """
        return self._each(lambda activation, leaf: activation(leaf), s)

    def slopes(self, s: State) -> State:
        """Derivatives of the output rates, leaf by leaf.

        Args:
            s: voltages, any pytree with leaves [neurons] (dimensionless).

        Returns:
            Slopes in the same structure (dimensionless).
        """
        return self._each(lambda activation, leaf: activation.derivative(leaf), s)

    def _each(self, function, s):
        is_activation = lambda node: isinstance(node, Activation)  # noqa: E731
        return jax.tree.map(
            lambda activation, part: jax.tree.map(lambda leaf: function(activation, leaf), part),
            self.activation,
            s,
            is_leaf=is_activation,
        )

    def current(self, rates: State, theta: PyTree, x: PyTree) -> State:
        """The current that the network predicts for every neuron.

        Args:
            rates: presynaptic rates, leaves [neurons], structured as the state (dimensionless).
            theta: parameters, any pytree.
            x: drive, any pytree.

        Returns:
            Currents, structured as the state (dimensionless).

        Raises:
            ValueError: if the network does not return one current a neuron.
        """
        currents = self.network(rates, theta, x)
        told, have = jax.tree.map(jnp.shape, currents), jax.tree.map(jnp.shape, rates)
        if told != have:
            raise ValueError(
                f"network must return one current a neuron, got shapes {told} for a state of "
                f"shapes {have}"
            )
        return currents

    def nudging_cost(self, s: State, rates: State, x: PyTree) -> Float[Array, ""]:
        """The cost that nudges the network.

        Args:
            s: voltages (dimensionless).
            rates: output rates, structured as the voltages (dimensionless).
            x: drive, any pytree.

        Returns:
            Scalar (dimensionless).
        """
        return self.cost(s, rates, x)

    def samples(self, s: State) -> int:
        """Number of samples: one.

        Args:
            s: voltages, any pytree with leaves [neurons] (dimensionless).

        Returns:
            1 (dimensionless).
        """
        return 1


class BatchEnergy(AbstractMismatchEnergy):
    """The sum of the energies of many samples that share their parameters.

    Every leaf of the state has a leading axis of samples, so has every leaf of the drive that is
    not a scalar. The parameter rule of this energy is one matrix product over the samples.

    Attributes:
        one: the energy of one sample.
    """

    one: AbstractMismatchEnergy

    def rates(self, s: State) -> State:
        """Output rates of voltages, leaf by leaf.

        Args:
            s: voltages, any pytree of [samples, ...] (dimensionless).

        Returns:
            Rates in the same structure (dimensionless).
        """
        return jax.vmap(self.one.rates)(s)

    def slopes(self, s: State) -> State:
        """Derivatives of the output rates, leaf by leaf.

        Args:
            s: voltages, any pytree of [samples, ...] (dimensionless).

        Returns:
            Slopes in the same structure (dimensionless).
        """
        return jax.vmap(self.one.slopes)(s)

    def current(self, rates: State, theta: PyTree, x: PyTree) -> State:
        """The current that the network predicts for every neuron.

        Args:
            rates: presynaptic rates [samples, ...], structured as the state (dimensionless).
            theta: parameters, any pytree, shared by all samples.
            x: drive, any pytree; scalars are shared.

        Returns:
            Currents, structured as the state (dimensionless).
        """
        axes = shared_axes(x)
        return jax.vmap(self.one.current, in_axes=(0, None, axes))(rates, theta, x)

    def nudging_cost(self, s: State, rates: State, x: PyTree) -> Float[Array, ""]:
        """The summed cost of all samples.

        Args:
            s: voltages [samples, ...] (dimensionless).
            rates: output rates, structured as the voltages (dimensionless).
            x: drive, any pytree; scalars are shared.

        Returns:
            Scalar (dimensionless).
        """
        return jnp.sum(jax.vmap(self.one.nudging_cost, in_axes=(0, 0, shared_axes(x)))(s, rates, x))

    def samples(self, s: State) -> int:
        """Number of samples: the leading axis of the state.

        Args:
            s: voltages [samples, ...] (dimensionless).

        Returns:
            A Python integer (dimensionless).
        """
        return jax.tree.leaves(s)[0].shape[0]


def shared_axes(x: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: None if jnp.ndim(leaf) == 0 else 0, x)


def _outputs(tree: PyTree) -> Any:
    return tree[-1] if isinstance(tree, tuple | list) else tree


def voltage_cost(s: State, rates: State, x: Any) -> Float[Array, ""]:
    """Squared error of the output voltages, `1/2 sum_o beta_o (y_o - s_o)^2`.

    Args:
        s: voltages; the outputs are the last entry of a list or tuple, or all of an array, where
            a vector `beta` is zero off the outputs (dimensionless).
        rates: output rates, not used (dimensionless).
        x: drive with `target` and `beta`, such as a `Stimulus`.

    Returns:
        Scalar (dimensionless).
    """
    return 0.5 * jnp.sum(x.beta * (x.target - _outputs(s)) ** 2)


def rate_cost(s: State, rates: State, x: Any) -> Float[Array, ""]:
    """Squared error of the output rates, `1/2 sum_o beta_o (y_o - r_o)^2`.

    Args:
        s: voltages, not used (dimensionless).
        rates: output rates; the outputs are the last entry of a list or tuple, or all of an
            array, where a vector `beta` is zero off the outputs (dimensionless).
        x: drive with `target` and `beta`, such as a `Stimulus`.

    Returns:
        Scalar (dimensionless).
    """
    return 0.5 * jnp.sum(x.beta * (x.target - _outputs(rates)) ** 2)


def cross_entropy_cost(s: State, rates: State, x: Any) -> Float[Array, ""]:
    """Cross entropy between the target and the softmax of the output rates.

    Args:
        s: voltages, not used (dimensionless).
        rates: output rates, the logits (dimensionless).
        x: drive with a `target` that sums to one and a scalar `beta`, such as a `Stimulus`.

    Returns:
        Scalar (dimensionless).
    """
    return -jnp.sum(x.beta * x.target * jax.nn.log_softmax(_outputs(rates)))
