"""Trainable delays help first-spike networks on the Yin-Yang data set.

Göltz, Weber, Kriener et al. (2025), Nat. Commun. 16 (DelGrad): 4-30-3 without bias spikes, trained
with weights alone (W), with axonal delays, one per presynaptic neuron (WA), with synaptic delays
(WS), and with synaptic delays and 5 hidden neurons only (H5). A delay is a sigmoid of a parameter,
in units of the synaptic time constant.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from plasticjax.data import encode_first_spike, yin_yang_split
from plasticjax.neurons import CurrentLIF
from plasticjax.simulate import first_spike_times
from plasticjax.training import FirstSpikeUpdate, shift_invariant_mse, step_schedule

from ._contract import Claim, Job
from ._first_spikes import Fleet, History, Split, evaluate, train

PAPER = "Göltz et al. 2025 (DelGrad), recorded run of JulianGoeltz/fastAndDeep"
OURS = "a single run; the interval is ours, set before our first run"


class Variant(NamedTuple):
    """A published configuration; rates of the delay parameters and of the weights."""

    hidden: int
    delays: str | None  # None, "axonal" or "synaptic"
    delay_rate: float
    weight_rate: float
    weight_mean: float


VARIANTS = {
    "W": Variant(30, None, 0.0, 0.02, 0.5),
    "WA": Variant(30, "axonal", 0.005, 0.005, 1.0),
    "WS": Variant(30, "synaptic", 0.003, 0.01, 1.0),
    "H5": Variant(5, "synaptic", 0.01, 0.015, 1.0),
}


@dataclass(frozen=True)
class Config:
    """Published configurations where no other source is given; times in tau_syn."""

    seeds: int = 2
    epochs: int = 50
    batch: int = 150  # samples
    decay_every: int = 20  # epochs
    decay: float = 0.95  # factor
    weight_std: float = 1.0
    delay_std: float = 0.25  # of the parameter before the sigmoid
    delta: float = 0.2  # by which the others shall follow the label neuron
    tau_mem: float = 2.0
    chop: float = 0.2  # weight gradient of a sample
    bump: float = 0.0005  # weight
    max_silent: tuple[float, float] = (0.3, 0.0)  # as Göltz, Kriener et al. 2021
    t_early: float = 0.15  # as Göltz, Kriener et al. 2021
    t_late: float = 2.0
    dtype: str = "float32"

    @classmethod
    def paper(cls) -> "Config":
        return cls(seeds=3, epochs=300)

    @classmethod
    def smoke(cls) -> "Config":
        return cls(seeds=1, epochs=6, batch=250)


class Result(NamedTuple):
    """Leading axis seeds; one entry per variant; delays in tau_syn, [seeds, parameters]."""

    test: dict[str, Float[np.ndarray, " seeds"]]
    history: dict[str, History]
    delays_before: dict[str, Float[np.ndarray, "seeds _hidden"]]
    delays_after: dict[str, Float[np.ndarray, "seeds _hidden"]]


def initial(key: Key[Array, ""], variant: Variant, config: Config):
    """Delay parameters of both layers, if any, then weights of both layers."""
    sizes = ((variant.hidden, 4), (3, variant.hidden))
    weights = tuple(
        variant.weight_mean + config.weight_std * jax.random.normal(jax.random.fold_in(key, k), s)
        for k, s in enumerate(sizes)
    )
    if variant.delays is None:
        return weights
    shapes = sizes if variant.delays == "synaptic" else tuple((1, pre) for _, pre in sizes)
    rate = variant.delay_rate / variant.weight_rate
    delays = tuple(
        config.delay_std / rate * jax.random.normal(jax.random.fold_in(key, 2 + k), s)
        for k, s in enumerate(shapes)
    )
    return (*delays, *weights)


def delays_of(parameters, variant: Variant):
    """Adam moves all parameters at one rate, hence the ratio of the rates."""
    if variant.delays is None:
        return 0.0, 0.0
    rate = variant.delay_rate / variant.weight_rate
    first, second = (jax.nn.sigmoid(rate * p) for p in parameters[:2])
    return (first, second) if variant.delays == "synaptic" else (first[0], second[0])


def spikes(parameters, times: Float[Array, " inputs"], variant: Variant, config: Config):
    """First spike times of both layers; before them a row without silence for each array of delay
    parameters, which are never bumped."""
    neuron = CurrentLIF(config.tau_mem)
    layers = []
    for weights, delays in zip(parameters[-2:], delays_of(parameters, variant), strict=True):
        # Only first spikes matter here, and they have a closed form for this ratio of times.
        arrivals = jnp.broadcast_to(times + delays, weights.shape)
        times = jax.vmap(lambda w, t: first_spike_times(neuron, w[None], t)[0])(weights, arrivals)
        layers.append(times)
    return *(jnp.zeros(p.shape[0], times.dtype) for p in parameters[:-2]), *layers


def update(variant: Variant, config: Config) -> FirstSpikeUpdate:
    delays = () if variant.delays is None else (1.0, 1.0)
    return FirstSpikeUpdate(
        forward=lambda parameters, times, *keys: spikes(parameters, times, variant, config),
        learning_rate=step_schedule(
            variant.weight_rate, every=config.decay_every, factor=config.decay
        ),
        max_silent=(*delays, *config.max_silent),
        loss=partial(shift_invariant_mse, delta=config.delta),
        bump=config.bump,
        chop=config.chop,
    )


def split(name: str, config: Config) -> Split:
    values, labels = yin_yang_split(name)
    times = encode_first_spike(values, t_early=config.t_early, t_late=config.t_late)
    return Split(jnp.asarray(times, config.dtype), jnp.asarray(labels))


def hidden_delays(parameters, variant: Variant):
    delays = jax.vmap(lambda p: jnp.ravel(delays_of(p, variant)[0]))(parameters)
    return np.asarray(delays)


def run(config: Config, *, key: Key[Array, ""], job: Job) -> Result:
    keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(config.seeds))
    fleets = []
    for variant in VARIANTS.values():
        begin = jax.vmap(partial(initial, variant=variant, config=config))(keys)
        fleets.append(
            Fleet(
                lambda _, variant=variant: update(variant, config),
                jax.tree.map(lambda p: p.astype(config.dtype), begin),
                None,
                keys,
                split("train", config),
                split("validation", config),
                config.batch,
            )
        )
    before = {
        name: hidden_delays(fleet.weights, variant)
        for (name, variant), fleet in zip(VARIANTS.items(), fleets, strict=True)
    }
    trained = train(fleets, epochs=config.epochs, job=job, description="Yin-Yang, delays")
    test_split = split("test", config)
    test, history, after = {}, {}, {}
    for (name, variant), (parameters, course) in zip(VARIANTS.items(), trained, strict=True):
        judged = jax.jit(jax.vmap(lambda p, k: evaluate(update(variant, config), p, test_split, k)))  # noqa: B023
        test[name] = np.asarray(judged(parameters, keys).accuracy)
        history[name] = jax.tree.map(np.asarray, course)
        after[name] = hidden_delays(parameters, variant)
    return Result(test, history, before, after)


def figure(result: Result):
    """Validation accuracy of the variants, and delays of the hidden layer before and after."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(7.4, 3.2), layout="constrained")
    curve, histogram = fig.subplots(1, 2)
    for name, history in result.history.items():
        accuracy = 100 * history.validation.accuracy
        curve.plot(np.arange(accuracy.shape[1]), accuracy.mean(axis=0), label=name)
    curve.set_xlabel("epoch")
    curve.set_ylabel("validation accuracy (%)")
    curve.set_ylim(50, 100)
    curve.legend(fontsize=8, frameon=False)
    bins = np.linspace(0, 1, 31)
    for name, color in (("WA", "tab:orange"), ("WS", "tab:green")):
        before, after = result.delays_before[name].ravel(), result.delays_after[name].ravel()
        histogram.hist(before, bins, density=True, histtype="step", color=color, linestyle=":")
        histogram.hist(after, bins, density=True, alpha=0.4, color=color, label=name)
    histogram.set_xlabel(r"delay of the hidden layer ($\tau_\mathrm{s}$)")
    histogram.set_ylabel("density (dotted: before)")
    histogram.legend(fontsize=8, frameon=False)
    return fig


def validation(name: str, epoch: int):
    """Measure of the validation accuracy (%) after so many epochs, None if the run is shorter."""

    def measure(result: Result):
        curve = 100 * result.history[name].validation.accuracy
        return curve[:, epoch] if epoch < curve.shape[1] else None

    return measure


CLAIMS = (
    *(
        Claim(
            statement=f"test accuracy after 300 epochs, {text} (%)",
            paper_value=value,
            source=f"{PAPER}, {OURS}",
            measure=lambda result, name=name: 100 * result.test[name],
            accept={"paper": (value - width, value + width)},
        )
        for name, text, value, width in (
            ("W", "weights only", 96.7, 1.5),
            ("WA", "axonal delays", 97.5, 1.5),
            ("WS", "synaptic delays", 98.2, 1.2),
            ("H5", "5 hidden neurons, synaptic delays", 95.4, 5.0),
        )
    ),
    *(
        Claim(
            statement=f"validation accuracy after 50 epochs, {text} (%)",
            paper_value=value,
            source=f"{PAPER}, {OURS}",
            measure=validation(name, 50),
            accept={"default": (value - width, value + width)},
        )
        for name, text, value, width in (
            ("W", "weights only", 96.2, 2.0),
            ("WA", "axonal delays", 96.0, 2.0),
            ("WS", "synaptic delays", 97.9, 1.5),
            ("H5", "5 hidden neurons, synaptic delays", 89.3, 7.0),
        )
    ),
)
