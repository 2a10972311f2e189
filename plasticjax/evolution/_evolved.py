"""Genomes as functions: programs, and programs as plasticity rules."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._evaluate import Method, evaluate, evaluate_values, float_type
from ._genome import Genomes
from ._program import CompactProgram
from ._spec import GenomeSpec

_ARGUMENTS = ("syn", "pre", "post", "third", "obs")


class Program(eqx.Module):
    """A genome and the spec that it belongs to: a differentiable function of its inputs.

    A concrete genome becomes straight-line code, a traced one (an argument of a jitted or vmapped
    function) is interpreted; close over a program to have it compiled in.

    Attributes:
        genome: an unbatched genome or compact program; `theta` is differentiable.
        spec: the search space.
        method: how `evaluate` runs it.
    """

    genome: Genomes | CompactProgram
    spec: GenomeSpec = eqx.field(static=True)
    method: Method = eqx.field(static=True, default="auto")

    def __call__(
        self, inputs: Float[Array | np.ndarray, "*points inputs"]
    ) -> Float[Array, "*points outputs"]:
        """Runs the program.

        Args:
            inputs: one value per input in the last axis [..., inputs] (dimensionless).

        Returns:
            Outputs [..., outputs] (dimensionless).
        """
        return evaluate(self.spec, self.genome, inputs, self.method)

    def rule(self, targets: tuple[str, ...] | None = None, per: str = "sample") -> "ProgramRule":
        """The program as a plasticity rule `rule(syn, pre, post, third, obs=None)`.

        Args:
            targets: the part of `syn` that each output changes, such as `("syn.w",)`; None: the
                single output changes `syn`, which is then one bare weight.
            per: `"time"`, `"sample"`, `"pre_spike"` or `"post_spike"`: what one call stands for.

        Returns:
            The rule.

        Raises:
            ValueError: if an input is not a path into the arguments of a rule, or the targets do
                not fit the outputs.
        """
        return ProgramRule(self, ("syn",) if targets is None else targets, per)


class ProgramRule(eqx.Module):
    """A program as a plasticity rule of what one synapse can see.

    Inputs are paths into `syn`, `pre`, `post`, `third` and `obs`, such as `"syn"` for a bare weight
    or `"pre.trace"`: after the argument come attributes, keys or indices.

    Attributes:
        program: the program; its outputs are changes.
        targets: the part of `syn` that each output changes, all different.
        per: `"time"`, `"sample"`, `"pre_spike"` or `"post_spike"`: what one call stands for.

    Raises:
        ValueError: if an input or target is not such a path, or the numbers of targets and outputs
            differ.
    """

    program: Program
    targets: tuple[str, ...] = eqx.field(static=True, default=("syn",))
    per: str = eqx.field(static=True, default="sample")

    def __check_init__(self):
        for path in self.program.spec.inputs:
            if path.split(".")[0] not in _ARGUMENTS:
                raise ValueError(
                    f"inputs of a rule must start with one of {', '.join(_ARGUMENTS)}, got {path!r}"
                )
        if len(self.targets) != self.program.spec.outputs or len(set(self.targets)) != len(
            self.targets
        ):
            raise ValueError(
                f"targets must be {self.program.spec.outputs} different paths, one per output, "
                f"got {self.targets}"
            )
        for path in self.targets:
            if path.split(".")[0] != "syn":
                raise ValueError(f"targets must start with 'syn', got {path!r}")
        valid = ("time", "sample", "pre_spike", "post_spike")
        if self.per not in valid:
            raise ValueError(f"per must be one of {valid}, got {self.per!r}")

    def __call__(self, syn: Any, pre: Any, post: Any, third: Any, obs: Any = None) -> Any:
        """The change of one synapse.

        Args:
            syn: plastic state of the synapse: a scalar weight or a pytree of scalars.
            pre: what the presynaptic neuron shows, scalars.
            post: what the postsynaptic neuron shows, scalars.
            third: values for the whole array, scalars.
            obs: read-only values of the synapse, scalars.

        Returns:
            The change, with the structure of `syn`, in its units per time, sample or spike.

        Raises:
            ValueError: if a path does not lead to one value.
        """
        roots = dict(zip(_ARGUMENTS, (syn, pre, post, third, obs), strict=True))
        spec = self.program.spec
        values = [jnp.asarray(_leaf(roots, path)) for path in spec.inputs]
        outputs = evaluate_values(spec, self.program.genome, values, self.program.method)
        change = jax.tree.map(jnp.zeros_like, syn)
        for path, output in zip(self.targets, outputs, strict=True):
            output = output.astype(float_type(_leaf(roots, path)))
            change = eqx.tree_at(
                lambda tree, path=path: _resolve({"syn": tree}, path), change, output
            )
        return change


def _leaf(roots, path):
    leaf = _resolve(roots, path)
    if not _is_value(leaf):
        inside = "nothing" if leaf is None else f"a {type(leaf).__name__}"
        raise ValueError(f"{path!r} must lead to one value, got {inside}")
    return leaf


def _resolve(roots, path):
    argument, *parts = path.split(".")
    found = roots[argument]
    so_far = argument
    for part in parts:
        if found is None or _is_value(found):
            inside = "nothing" if found is None else "a bare value"
            raise ValueError(f"{path!r} cannot be read: {so_far!r} is {inside}")
        found = _step(found, part, path, so_far)
        so_far += f".{part}"
    return found


def _step(tree, part, path, so_far):
    if isinstance(tree, dict):
        if part in tree:
            return tree[part]
    elif part.isdigit():
        if isinstance(tree, tuple | list) and int(part) < len(tree):
            return tree[int(part)]
    elif not part.startswith("_") and hasattr(tree, part):
        return getattr(tree, part)
    raise ValueError(f"{path!r} cannot be read: {so_far!r} has no {part!r}")


def _is_value(leaf):
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float)
