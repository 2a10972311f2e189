"""How the dynamics of smooth neurons are integrated between events."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


class Integrator(eqx.Module):
    """An explicit Runge-Kutta method of diffrax with steps of adaptive length.

    A step ends at the next event at the latest, whatever its length. The error of a step is the
    largest of all variables of all neurons, so that adding neurons makes no other less accurate.

    Attributes:
        solver: the method; it needs an error estimate and an interpolation.
        tolerance: largest error of a step, relative to a variable beyond 1 and absolute below
            (units of the neuron); `None`: 1e-10 in double and 1e-5 in single precision.
        max_steps: steps of one simulation at most, rejected ones included. Inside of `vmap`
            derivatives take time in proportion, so it should not be much larger than needed.
        parts: in how many parts of each step a crossing is looked for, at least 1.
    """

    solver: diffrax.AbstractERK = diffrax.Dopri8()
    tolerance: float | None = None
    max_steps: int = eqx.field(static=True, default=2000)
    parts: int = eqx.field(static=True, default=4)

    def __check_init__(self):
        """Refuses settings outside of their range.

        Raises:
            ValueError: a tolerance that is not positive, or less than one step or part.
        """
        if self.tolerance is not None and not 0 < self.tolerance < np.inf:
            raise ValueError(f"tolerance={self.tolerance} must be positive and finite, or None")
        for name in ("max_steps", "parts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")


def controller_of(integrator: Integrator, dtype) -> diffrax.PIDController:
    tolerance = integrator.tolerance
    if tolerance is None:
        tolerance = 1e-10 if dtype == jnp.float64 else 1e-5
    return diffrax.PIDController(rtol=tolerance, atol=tolerance, norm=_largest)


def _largest(errors):
    return jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(errors)]))
