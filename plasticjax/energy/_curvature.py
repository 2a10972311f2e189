"""Solves with the curvature `H = d2E/ds2` of an energy."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import PyTree

from ._mismatch import MismatchEnergy
from ._networks import feed_forward
from ._operators import force

_REMEDY = (
    "the curvature d2E/ds2 is singular or not positive definite at this state. Remedies: a "
    "smaller nudging strength beta, smaller recurrent weights, a positive damping, or "
    "solver=lineax.LU() to follow the flow through an indefinite curvature"
)


class AbstractCurvatureSolver(eqx.Module):
    """Solves `(H + damping) v = b` for the velocity of the look-ahead dynamics."""

    @abstractmethod
    def __call__(
        self, energy: Any, s: PyTree, theta: PyTree, x: PyTree, target: PyTree, damping: float
    ) -> PyTree:
        """The solution.

        Args:
            energy: `(s, theta, x) -> scalar`, or a `ForceField`.
            s: state, any pytree (dimensionless).
            theta: parameters, any pytree.
            x: drive, any pytree.
            target: the right-hand side `b`, structured as the state (per ms).
            damping: a number added to the diagonal (dimensionless).

        Returns:
            `v`, structured as the state (per ms).
        """


class DenseCurvature(AbstractCurvatureSolver):
    """Leaves the curvature of any energy to a `lineax` solver.

    Direct solvers assemble `H` by one Hessian-vector product a neuron; iterative ones (`lineax.CG`,
    `lineax.GMRES`) never do.

    Attributes:
        solver: a `lineax` solver; Cholesky and conjugate gradients need a positive definite `H`.
    """

    solver: lx.AbstractLinearSolver

    def __call__(
        self, energy: Any, s: PyTree, theta: PyTree, x: PyTree, target: PyTree, damping: float
    ) -> PyTree:
        """The solution.

        Args:
            energy: `(s, theta, x) -> scalar`, or a `ForceField`.
            s: state, any pytree (dimensionless).
            theta: parameters, any pytree.
            x: drive, any pytree.
            target: the right-hand side `b`, structured as the state (per ms).
            damping: a number added to the diagonal (dimensionless).

        Returns:
            `v`, structured as the state (per ms).
        """
        pull = force(energy)
        definite = isinstance(self.solver, lx.Cholesky | lx.CG)
        tags = lx.positive_semidefinite_tag if definite else ()
        operator = lx.JacobianLinearOperator(
            lambda s, _: _damped(pull(s, theta, x), s, damping), s, tags=tags
        )
        solution = lx.linear_solve(operator, target, self.solver, throw=False)
        return _checked(solution.value, solution.result == lx.RESULTS.successful)


class LayeredCurvature(AbstractCurvatureSolver):
    """Exploits layers: conjugate gradients behind two triangular sweeps, without a dense Hessian.

    For a layered mismatch energy `H = J^T J + O(beta)`, where `J` is unit lower triangular in
    the layers. `J^T J` is inverted by one sweep down and one sweep up; conjugate gradients add the
    rest.
    The number of iterations does not grow with the number of neurons.

    Attributes:
        rtol: relative tolerance of the solution (dimensionless).
        atol: absolute tolerance of the solution (dimensionless).
        max_steps: most iterations before the solve counts as failed (dimensionless).
    """

    rtol: float = 1e-6
    atol: float = 1e-8
    max_steps: int = eqx.field(static=True, default=100)

    def __call__(
        self, energy: Any, s: PyTree, theta: PyTree, x: PyTree, target: PyTree, damping: float
    ) -> PyTree:
        """The solution.

        Args:
            energy: a `MismatchEnergy` on `feed_forward`.
            s: voltages of each layer, a tuple (dimensionless).
            theta: one callable a layer.
            x: drive, any pytree.
            target: the right-hand side `b`, structured as the state (per ms).
            damping: a number added to the diagonal (dimensionless).

        Returns:
            `v`, structured as the state (per ms).

        Raises:
            ValueError: if the energy is not layered.
        """
        if not isinstance(energy, MismatchEnergy) or energy.network is not feed_forward:
            raise ValueError(
                "energy must be a MismatchEnergy on feed_forward to be solved layer by layer, got "
                f"{energy}; use a lineax solver"
            )
        pull = force(energy)
        tag = lx.positive_semidefinite_tag
        operator = lx.JacobianLinearOperator(
            lambda s, _: _damped(pull(s, theta, x), s, damping), s, tags=tag
        )
        maps = _layer_maps(energy, s, theta, x)
        structure = jax.eval_shape(lambda: target)
        sweeps = lx.FunctionLinearOperator(
            lambda b: _forward_sweep(maps, _backward_sweep(maps, b)), structure, tags=tag
        )
        solution = lx.linear_solve(
            operator,
            target,
            lx.CG(rtol=self.rtol, atol=self.atol, max_steps=self.max_steps),
            options={"preconditioner": sweeps, "y0": sweeps.mv(target)},
            throw=False,
        )
        return _checked(solution.value, solution.result == lx.RESULTS.successful)


def _damped(f: PyTree, s: PyTree, damping: float) -> PyTree:
    return jax.tree.map(lambda f, s: f + damping * s, f, s)


def _checked(value: PyTree, successful) -> PyTree:
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(value)]))
    return eqx.error_if(value, ~(successful & finite), _REMEDY)


def _layer_maps(energy, s, theta, x) -> list:
    """For each layer but the first, the linear map from voltages below to its currents."""
    slopes = jax.lax.stop_gradient(energy.slopes(s))
    rates = energy.rates(s)
    maps = []
    for layer, rate, slope in zip(theta[1:], rates[:-1], slopes[:-1], strict=True):
        _, linear = jax.linearize(lambda rate, layer=layer: layer(rate), rate)
        transpose = jax.linear_transpose(linear, rate)
        maps.append((linear, transpose, slope))
    return maps


def _forward_sweep(maps, b):
    """Solves `J v = b`."""
    solved = [b[0]]
    for (linear, _, slope), each in zip(maps, b[1:], strict=True):
        solved.append(each + linear(slope * solved[-1]))
    return tuple(solved)


def _backward_sweep(maps, b):
    """Solves `J^T v = b`."""
    solved = [b[-1]]
    for (_, transpose, slope), each in zip(reversed(maps), reversed(b[:-1]), strict=True):
        solved.append(each + slope * transpose(solved[-1])[0])
    return tuple(reversed(solved))
