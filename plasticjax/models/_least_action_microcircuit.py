"""Interneurons that subtract what a layer predicts, and leave the errors of the layer above."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from plasticjax.energy import Activation


class LeastActionMicrocircuit(eqx.Module):
    """The lateral circuit of one layer of pyramidal neurons in the least-action principle.

    Interneurons learn to mimic the layer above; their inhibition then cancels the feedback from
    that layer in the apical dendrites, but for its errors (rt-DeEL, Senn et al. 2024, Theorem 2).
    That needs as many interneurons as the smaller of the two layers has neurons.

    Attributes:
        feedback: weights from the layer above to the apical dendrites, fixed [layer, above]
            (dimensionless).
        interneuron_feedback: weights from the layer above to the interneurons, fixed
            [interneurons, above] (dimensionless).
        interneuron_weight: weights from the layer to its interneurons, plastic
            [interneurons, layer] (dimensionless).
        inhibition: weights from the interneurons to the apical dendrites, plastic
            [layer, interneurons] (dimensionless).
        nudging: share of the feedback in the interneurons' voltage, from 0 to 1 (dimensionless).
    """

    feedback: Float[Array, "layer above"]
    interneuron_feedback: Float[Array, "interneurons above"]
    interneuron_weight: Float[Array, "interneurons layer"]
    inhibition: Float[Array, "layer interneurons"]
    nudging: float | Float[Array, ""] = 0.1 / 1.1

    def interneurons(
        self, rates: Float[Array, " layer"], above: Float[Array, " above"]
    ) -> Float[Array, " interneurons"]:
        """Voltages of the interneurons, `(1 - b) W_IP r + b B_IP u_above`.

        Args:
            rates: low-passed rates of the layer [layer] (dimensionless).
            above: voltages of the layer above [above] (dimensionless).

        Returns:
            Voltages [interneurons] (dimensionless).
        """
        driven = self.interneuron_weight @ rates
        return driven + self.nudging * (self.interneuron_feedback @ above - driven)

    def apical(
        self, rates: Float[Array, " layer"], above: Float[Array, " above"]
    ) -> Float[Array, " layer"]:
        """Apical voltages, `B u_above - W_PI u_I`.

        Where `W_PI W_IP = B W` and `W_IP = B_IP W` for the weights `W` to the layer above, which
        then has full rank, they are `(1 - b) B e` with the errors `e = u_above - W r`.

        Args:
            rates: low-passed rates of the layer [layer] (dimensionless).
            above: voltages of the layer above [above] (dimensionless).

        Returns:
            Voltages [layer] (dimensionless).
        """
        return self.feedback @ above - self.inhibition @ self.interneurons(rates, above)

    def error(
        self,
        activation: Activation,
        voltage: Float[Array, " layer"],
        above: Float[Array, " above"],
    ) -> Float[Array, " layer"]:
        """Errors that reach the somata: apical voltages times the slopes of the rates.

        Args:
            activation: transfer function of the layer.
            voltage: somatic voltages of the layer [layer] (dimensionless).
            above: voltages of the layer above [above] (dimensionless).

        Returns:
            Errors [layer] (dimensionless).
        """
        return activation.derivative(voltage) * self.apical(activation(voltage), above)

    def rule(
        self, rates: Float[Array, " layer"], above: Float[Array, " above"]
    ) -> tuple[Float[Array, "interneurons layer"], Float[Array, "layer interneurons"]]:
        """The local plasticity: both sets of weights reduce the mismatch they see.

        Args:
            rates: low-passed rates of the layer [layer] (dimensionless).
            above: voltages of the layer above [above] (dimensionless).

        Returns:
            Directions of change of `interneuron_weight`, `(u_I - W_IP r) r^T` [interneurons,
            layer], and of `inhibition`, `(B u_above - W_PI u_I) u_I^T` [layer, interneurons]
            (dimensionless).
        """
        voltages = self.interneurons(rates, above)
        mismatch = voltages - self.interneuron_weight @ rates
        apical = self.feedback @ above - self.inhibition @ voltages
        return jnp.outer(mismatch, rates), jnp.outer(apical, voltages)

    def learn(
        self, rates: Float[Array, " layer"], above: Float[Array, " above"], rate: float
    ) -> "LeastActionMicrocircuit":
        """The circuit after one step along its rule.

        Args:
            rates: low-passed rates of the layer [layer] (dimensionless).
            above: voltages of the layer above [above] (dimensionless).
            rate: learning rate of the step (dimensionless).

        Returns:
            The circuit with new `interneuron_weight` and `inhibition` (dimensionless).
        """
        to_interneurons, to_apical = self.rule(rates, above)
        return eqx.tree_at(
            lambda circuit: (circuit.interneuron_weight, circuit.inhibition),
            self,
            (
                self.interneuron_weight + rate * to_interneurons,
                self.inhibition + rate * to_apical,
            ),
        )


def random_microcircuit(
    layer: int,
    above: int,
    interneurons: int,
    *,
    nudging: float = 0.1 / 1.1,
    feedback_width: float = 0.5,
    plastic_width: float = 0.25,
    dtype=jnp.float32,
    key: Key[Array, ""],
) -> LeastActionMicrocircuit:
    """A circuit with normally distributed weights.

    Args:
        layer: number of neurons of the layer.
        above: number of neurons of the layer above.
        interneurons: number of interneurons.
        nudging: share of the feedback in the interneurons' voltage (dimensionless).
        feedback_width: standard deviation of the two fixed feedback weights (dimensionless).
        plastic_width: standard deviation of the two plastic weights (dimensionless).
        dtype: precision of the weights.
        key: random key.

    Returns:
        The circuit.

    Raises:
        ValueError: if `nudging` is not in [0, 1].
    """
    if not 0 <= nudging <= 1:
        raise ValueError(f"nudging is {nudging}; a share from 0 to 1 is required")
    a, b, c, d = jax.random.split(key, 4)
    return LeastActionMicrocircuit(
        feedback_width * jax.random.normal(a, (layer, above), dtype),
        feedback_width * jax.random.normal(b, (interneurons, above), dtype),
        plastic_width * jax.random.normal(c, (interneurons, layer), dtype),
        plastic_width * jax.random.normal(d, (layer, interneurons), dtype),
        nudging,
    )
