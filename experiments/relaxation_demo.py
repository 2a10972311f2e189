"""Slow neurons lag and unlearn; prospective ones follow at once (Fig. 11a,b of the deliverable).

A chain of one input, one tanh neuron and one linear neuron has the weights of its teacher. It is
driven by a moving input: first without nudging, then with nudging and plasticity. Haider et al.
(2021), Fig. 1; D3.11, section 1.1.2.3. The drive is fixed, so all seeds give the same numbers.
"""

from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.energy import (
    MismatchEnergy,
    Stimulus,
    feed_forward,
    forward_pass,
    gradient_flow,
    latent_equilibrium_step,
    learner,
    linear,
    local_rates,
    param_rule,
    settled,
    tanh,
    voltage_cost,
)

from ._contract import Claim, Job


@dataclass(frozen=True)
class Config:
    """The demonstration of the sheet; times in ms."""

    seeds: int = 1  # the drive has no random part
    duration: float = 300.0  # ms
    tau: float = 10.0  # ms
    dt: float = 0.05  # ms
    beta: float = 0.1  # nudging strength
    learning_rate: float = 0.02  # per ms
    weights: tuple[float, float] = (0.8, 1.2)
    dtype: str = "float64"

    @classmethod
    def paper(cls) -> "Config":
        return cls()

    @classmethod
    def smoke(cls) -> "Config":
        return cls()


class Trace(NamedTuple):
    """Course of one network, one row a time step."""

    membrane: Float[np.ndarray, "time neurons"]
    rate: Float[np.ndarray, "time neurons"]
    weights: Float[np.ndarray, "time neurons"]


class Result(NamedTuple):
    time: Float[np.ndarray, " time"]  # ms
    input: Float[np.ndarray, " time"]
    target: Float[np.ndarray, "time neurons"]  # instantaneous rates of the teacher
    slow: Trace  # inference, without nudging
    prospective: Trace
    slow_learning: Trace  # nudged by the teacher, plasticity on
    prospective_learning: Trace


class Synapse(eqx.Module):
    """One weight without a bias."""

    weight: Float[Array, ""]

    def __call__(self, rate):
        return self.weight * rate


ENERGY = MismatchEnergy((tanh, linear), feed_forward, voltage_cost)


def drive(t):
    wave = 0.5 + 0.4 * jnp.sin(2 * jnp.pi * t / 30) * jnp.sin(2 * jnp.pi * t / 70)
    return jnp.where(t < 100, wave, jnp.where(t < 200, 0.9, 0.1))


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    with jax.enable_x64(config.dtype == "float64"):
        time = jnp.arange(round(config.duration / config.dt), dtype=config.dtype) * config.dt
        inputs = drive(time)[:, None]
        w0, w1 = config.weights
        hidden = jnp.tanh(w0 * inputs)
        target = jnp.concatenate([hidden, w1 * hidden], axis=1)
        traces = []
        with job.progress(4, "relaxation") as bar:
            for nudged in (0.0, 1.0):
                beta = jnp.full(len(time), nudged * config.beta, config.dtype)
                x = Stimulus(inputs, target[:, 1:], beta)
                for stepper in (gradient_flow_stepper, latent_equilibrium_stepper):
                    traces.append(simulate(config, stepper(config, nudged), x))
                    bar.advance()
    return Result(np.asarray(time), np.asarray(inputs[:, 0]), np.asarray(target), *traces)


def gradient_flow_stepper(config: Config, plasticity: float):
    """Without prospectivity: neurons and weights slide down the same energy."""
    flow, rule = gradient_flow(ENERGY, config.tau), param_rule(ENERGY)
    rate = plasticity * config.learning_rate

    def step(carry, x):
        s, theta = carry
        velocity = flow(0.0, s, (theta, lambda t: x))
        change = rule(s, theta, x)
        s = jax.tree.map(lambda s, ds: s + config.dt * ds, s, velocity)
        theta = jax.tree.map(lambda w, dw: w + config.dt * rate * dw, theta, change)
        return (s, theta), (s, ENERGY.rates(s), theta)

    return lambda theta, s: (s, theta), step


def latent_equilibrium_stepper(config: Config, plasticity: float):
    optimiser = local_rates(config.dt * plasticity * config.learning_rate)
    advance = latent_equilibrium_step(ENERGY, tau_m=config.tau, dt=config.dt, optimiser=optimiser)

    def step(carry, x):
        carry, seen = advance(carry, x)
        return carry, (seen.neurons.membrane, seen.neurons.rate, carry.theta)

    return lambda theta, s: learner(settled(ENERGY, s), theta, optimiser), step


def simulate(config: Config, stepper, x: Stimulus) -> Trace:
    begin, step = stepper
    theta = tuple(Synapse(jnp.asarray(weight, config.dtype)) for weight in config.weights)
    first = jax.tree.map(lambda leaf: leaf[0], x)
    carry = begin(theta, forward_pass(ENERGY, theta, first))
    membrane, rate, weights = jax.jit(lambda carry, x: jax.lax.scan(step, carry, x)[1])(carry, x)
    return Trace(
        np.concatenate(membrane, axis=1),
        np.concatenate(rate, axis=1),
        np.stack(jax.tree.leaves(weights), axis=1),
    )


def lag(trace: Trace, result: Result) -> float:
    """Delay of the output at which it correlates best with the target, in the smooth part (ms)."""
    smooth = result.time < 100
    output, target = trace.rate[smooth, 1], result.target[smooth, 1]
    dt = result.time[1]
    delays = np.arange(round(20 / dt))
    score = [np.corrcoef(output[d:], target[: len(target) - d])[0, 1] for d in delays]
    return float(delays[int(np.argmax(score))] * dt)


def unlearning(trace: Trace, teacher=(0.8, 1.2)) -> Float[np.ndarray, " weights"]:
    """Largest distance of each weight from the teacher's."""
    return np.max(np.abs(trace.weights - np.asarray(teacher)), axis=0)


def figure(result: Result):
    from matplotlib.figure import Figure

    from plasticjax.plotting import class_color

    fig = Figure(figsize=(6.0, 5.2), layout="constrained")
    axes = fig.subplots(4, 1, sharex=True)
    axes[0].plot(result.time, result.input, color="black", linewidth=1)
    axes[0].set_ylabel("input", fontsize=8)
    rows = (("no prospectivity", result.slow), ("latent equilibrium", result.prospective))
    for ax, (name, trace) in zip(axes[1:3], rows, strict=True):
        output, ideal = trace.rate[:, 1], result.target[:, 1]
        ax.fill_between(result.time, output, ideal, color="tab:red", alpha=0.4, linewidth=0)
        ax.plot(result.time, trace.membrane[:, 1], color="grey", linewidth=1, label="membrane")
        ax.plot(result.time, output, color=class_color(0), linewidth=1, label="output rate")
        ax.plot(result.time, ideal, "--", color="black", linewidth=0.8, label="instantaneous")
        ax.set_ylabel(name, fontsize=8)
        ax.legend(fontsize=6, frameon=False, ncols=3, loc="lower left")
    learning = (result.slow_learning, result.prospective_learning)
    for (name, _), trace in zip(rows, learning, strict=True):
        change = trace.weights - trace.weights[0]
        style = "-" if name == "latent equilibrium" else "--"
        for index in range(2):
            axes[3].plot(
                result.time,
                change[:, index],
                style,
                color=class_color(index),
                linewidth=1,
                label=f"weight {index}, {name}",
            )
    axes[3].set_ylabel("weight change", fontsize=8)
    axes[3].set_xlabel("time (ms)", fontsize=8)
    axes[3].legend(fontsize=6, frameon=False, ncols=2)
    for ax in axes:
        ax.tick_params(labelsize=7)
    return fig


def _everywhere(low: float, high: float) -> dict:
    return {size: (low, high) for size in ("smoke", "default", "paper")}


_SOURCE = "Haider et al. 2021, Fig. 1; numbers of an independent script"
CLAIMS = (
    Claim(
        statement="output lag without prospectivity (ms)",
        paper_value=9.65,
        source=_SOURCE,
        measure=lambda result: [lag(result.slow, result)],
        accept=_everywhere(9.4, 9.9),
    ),
    Claim(
        statement="output lag of latent equilibrium (ms)",
        paper_value=0.05,
        source=_SOURCE + ": one time step",
        measure=lambda result: [lag(result.prospective, result)],
        accept=_everywhere(0.04, 0.06),
    ),
    Claim(
        statement="mean output error without prospectivity",
        paper_value=0.142,
        source=_SOURCE,
        measure=lambda result: [np.mean(np.abs(result.slow.rate - result.target)[:, 1])],
        accept=_everywhere(0.135, 0.149),
    ),
    Claim(
        statement="mean output error of latent equilibrium",
        paper_value=0.0007,
        source=_SOURCE,
        measure=lambda result: [np.mean(np.abs(result.prospective.rate - result.target)[:, 1])],
        accept=_everywhere(0.0005, 0.0009),
    ),
    Claim(
        statement="unlearning without prospectivity, first weight",
        paper_value=0.108,
        source=_SOURCE,
        measure=lambda result: [unlearning(result.slow_learning)[0]],
        accept=_everywhere(0.1, 0.116),
    ),
    Claim(
        statement="unlearning without prospectivity, second weight",
        paper_value=0.015,
        source=_SOURCE,
        measure=lambda result: [unlearning(result.slow_learning)[1]],
        accept=_everywhere(0.012, 0.018),
    ),
    Claim(
        statement="unlearning of latent equilibrium, either weight",
        paper_value=4e-5,
        source=_SOURCE + ": below 4e-5",
        measure=lambda result: [np.max(unlearning(result.prospective_learning))],
        accept=_everywhere(0.0, 4e-5),
    ),
)
