"""The correlation task: event-driven simulation, inputs, published rules, and the experiment."""

import dataclasses
import warnings
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import evolve_correlation
from experiments._contract import NullJob
from experiments._correlation_figure import potential
from experiments._correlation_neuron import NEVER, Task, free_potential, learn
from experiments._correlation_rules import PUBLISHED, RULES, published, real_power
from experiments._correlation_task import Setting, in_pattern, signal_to_noise
from experiments._evolution import known_rules
from plasticjax.evolution import Program, compact, from_expression, to_latex
from tests.experiments.judged import assert_claims_hold

FIXTURE = Path(__file__).parents[1] / "fixtures" / "plasticity_tasks.npz"
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def spikes_of(learned):
    spikes = np.asarray(learned.spikes)
    return spikes[spikes < NEVER]


def step_by_step(rules, task, synapses, steps, threshold, lowest=-np.inf):
    """The order of the publication on the grid of 0.1 ms, one step after the other, in NumPy."""
    depression, facilitation = rules
    weights = np.full(synapses, float(task.weight))
    traces, last = np.zeros(synapses), np.zeros(synapses, int)
    arriving, reaching = np.zeros(steps + 11), np.zeros(steps + 11, bool)
    voltage, refractory, reached, post, potentials = float(task.voltage), 0, [], [], []
    events = list(zip(np.asarray(task.steps), np.asarray(task.synapses), strict=True))

    def call(rule, weight, trace):
        return np.asarray(rule(np.array([weight, trace])))[0]

    for step in range(steps + 1):
        if reaching[step]:
            for synapse in range(synapses):
                trace = traces[synapse] * np.exp(-0.1 * (step - last[synapse]) / 20)
                new = weights[synapse] + 0.01 * call(facilitation, weights[synapse], trace)
                weights[synapse] = max(new if new < 1 else 1.0, lowest)
            reached.append(step)
        while events and events[0][0] == step:
            _, synapse = events.pop(0)
            seen = sum(np.exp(-0.1 * (step - one) / 20) for one in reached if one < step)
            new = weights[synapse] - 0.01 * call(depression, weights[synapse], seen)
            weights[synapse] = new if new > 0 else 0.0
            arriving[step + 10] += weights[synapse]
            traces[synapse] = traces[synapse] * np.exp(-0.1 * (step - last[synapse]) / 20) + 1
            last[synapse] = step
        if step == 0:
            continue
        if refractory:
            refractory, voltage = refractory - 1, 0.0
        else:
            voltage = voltage * np.exp(-0.1 / 18) + arriving[step]
        potentials.append(voltage)
        if voltage >= threshold:
            post.append(step)
            voltage, refractory, reaching[step + 10] = 0.0, 20, True
    return weights, np.array(post), np.array(potentials)


def small_task(seed, weight=0.5, voltage=0.0, synapses=12, events=300, steps=3000):
    random = np.random.default_rng(seed)
    # A coarse grid, so that many spikes fall together, some of them at one synapse.
    times = np.sort(10 * random.integers(0, steps // 10, events))
    return Task(
        jnp.asarray(np.append(times, NEVER), jnp.int32),
        jnp.asarray(np.append(random.integers(0, synapses, events), 0), jnp.int32),
        jnp.asarray(weight),
        jnp.asarray(voltage),
    )


def test_run_9_gives_the_weights_and_spikes_of_the_fixture():
    with np.load(FIXTURE) as data:
        task = Task(
            jnp.asarray(data["cor_pre_step"]),
            jnp.asarray(data["cor_pre_idx"], jnp.int32),
            jnp.asarray(0.5),
            jnp.asarray(0.0),
        )
        learned = learn(RULES["run 9"], task, synapses=100, steps=20_000, threshold=20.0)
        np.testing.assert_array_equal(spikes_of(learned), data["cor_run9_post_steps"])
        np.testing.assert_allclose(learned.weights, data["cor_run9_w"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["run 2", "run 9", "run 18", "homeostatic STDP"])
@pytest.mark.parametrize(("seed", "voltage"), [(0, 0.3), (1, 5.0)])
def test_events_agree_with_steps(name, seed, voltage):
    task = small_task(seed, voltage=voltage)
    sizes = {"synapses": 12, "steps": 2900, "threshold": 1.5}
    lowest = 0.0 if name == "homeostatic STDP" else -np.inf
    rules, bound = published(jnp.asarray(list(RULES).index(name)))
    learned = jax.jit(lambda task: learn(rules, task, lowest=bound, **sizes))(task)
    plain = [lambda seen, rule=rule: np.asarray(rule(seen)) for rule in RULES[name]]
    with np.errstate(all="ignore"):
        weights, post, potentials = step_by_step(plain, task, lowest=lowest, **sizes)
    np.testing.assert_array_equal(spikes_of(learned), post)
    assert len(post) > 5
    np.testing.assert_allclose(learned.weights, weights, rtol=1e-9, atol=1e-12)
    shown = potential(task, learned, 500, 2900)
    np.testing.assert_allclose(shown, potentials[500:], rtol=1e-9, atol=1e-9)


def test_weights_that_are_no_numbers_are_caught_as_published():
    broken = lambda value: lambda seen: jnp.full_like(seen[..., :1], value)  # noqa: E731
    nothing = broken(0.0)
    sizes = {"synapses": 12, "steps": 3000, "threshold": 1.5}
    task = small_task(2)
    facilitated = learn((nothing, broken(jnp.nan)), task, **sizes)
    np.testing.assert_array_equal(facilitated.weights, 1.0)
    depressed = learn((broken(jnp.nan), nothing), task, **sizes)
    np.testing.assert_array_equal(depressed.weights, 0.0)
    # No upper bound at presynaptic spikes, no lower one at postsynaptic spikes.
    assert np.max(learn((broken(-50.0), nothing), task, **sizes).frozen) > 1
    fires = task._replace(voltage=jnp.asarray(5.0))
    brief = {**sizes, "steps": 15}
    assert np.min(learn((nothing, broken(-90.0)), fires, **brief).weights) < 0


def test_a_weight_of_zero_stays_under_run_18():
    task = small_task(3, weight=0.0, voltage=5.0)
    learned = learn(RULES["run 18"], task, synapses=12, steps=3000, threshold=1.5)
    assert len(spikes_of(learned)) == 1
    np.testing.assert_array_equal(learned.weights, 0.0)


@pytest.mark.parametrize("power", ["nan", "complex_real"])
def test_a_genome_learns_as_the_formula(power):
    space = evolve_correlation.spec(8, power)
    task = small_task(4)
    sizes = {"synapses": 12, "steps": 3000, "threshold": 1.5}
    genomes = [from_expression(formula, space) for formula in ("w*K - w - K", "K - w")]

    @jax.jit
    def interpreted(genomes):
        rules = tuple(
            Program(compact(space, genome, 8), space, "scan_switch") for genome in genomes
        )
        return learn(rules, task, **sizes)

    expected, found = learn(RULES["run 9"], task, **sizes), interpreted(genomes)
    np.testing.assert_array_equal(found.spikes, expected.spikes)
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-12)


def test_a_batch_gives_what_each_task_gives_alone():
    tasks = [small_task(seed, voltage=0.1 * seed) for seed in range(3)]
    sizes = {"synapses": 12, "steps": 3000, "threshold": 1.5}
    together = jax.vmap(lambda task: learn(RULES["run 9"], task, **sizes))(
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *tasks)
    )
    for place, task in enumerate(tasks):
        alone = learn(RULES["run 9"], task, **sizes)
        np.testing.assert_array_equal(together.weights[place], alone.weights)
        np.testing.assert_array_equal(together.spikes[place], alone.spikes)


def test_powers_are_real_parts_of_principal_values():
    base, exponent = np.meshgrid([-2.5, -0.3, 0.4, 3.0], [-1.7, 0.0, 0.5, 2.0])
    expected = (base.astype(complex) ** exponent).real
    np.testing.assert_allclose(real_power(base, exponent), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(real_power(np.zeros(3), np.array([-1.0, 0.0, 1.0])), [0, 1, 0])


def test_inputs_have_one_rate_and_a_pattern_that_repeats():
    tasks = Setting(400, 60.0, 11.0).tasks(KEY, count=2, dtype="float64")
    for steps, synapses in zip(tasks.steps, tasks.synapses, strict=True):
        real = np.asarray(steps) < NEVER
        steps, synapses = np.asarray(steps)[real], np.asarray(synapses)[real]
        assert np.all(np.diff(steps) >= 0)
        # The edges are rounded to the grid, so background may share the first step.
        since = steps - 4001
        inside = (since > 0) & (since % 5000 <= 1000) & (since % 5000 > 0)
        windows = [
            sorted(zip(since[chosen] % 5000, synapses[chosen], strict=True))
            for chosen in (inside & (since // 5000 == k) for k in range(118))
        ]
        assert all(window == windows[0] for window in windows)
        pattern = np.array([synapse for _, synapse in windows[0]])
        assert len(set(pattern)) == len(pattern)
        assert 0.26 * 400 - 40 < len(pattern) < 0.26 * 400 + 40
        rates = np.bincount(synapses, minlength=400) / 60
        other = np.setdiff1d(np.arange(400), pattern)
        np.testing.assert_allclose(rates[pattern].mean(), 2.4, atol=0.1)
        np.testing.assert_allclose(rates[other].mean(), 2.4, atol=0.1)
    np.testing.assert_allclose(Setting(1000, 1.0, 1.0).first_weight(), 0.3844, atol=5e-5)


def test_the_signal_to_noise_ratio_is_that_of_its_definition():
    setting = Setting(50, 1.0, 2.0)
    task = jax.tree.map(
        lambda leaf: leaf[0], setting.tasks(KEY, count=1, dtype="float64", weight=0.5)
    )
    weights = jax.random.uniform(KEY, (50,))
    trace, value = [], 0.0
    arriving = np.zeros(20_011)
    real = np.asarray(task.steps) < NEVER
    np.add.at(arriving, np.asarray(task.steps)[real] + 10, np.asarray(weights)[task.synapses[real]])
    for step in range(1, 20_001):
        value = value * np.exp(-0.1 / 18) + arriving[step]
        trace.append(value)
    found = free_potential(weights, task, steps=20_000)
    np.testing.assert_allclose(found, trace, rtol=1e-9, atol=1e-12)
    trace, times = np.array(trace), 0.1 * np.arange(1, 20_001)
    windows = [(times > 399.95 + 500 * k) & (times < 499.95 + 500 * k) for k in range(4)]
    outside = trace[~np.any(windows, axis=0)]
    np.testing.assert_array_equal(in_pattern(20_000), np.any(windows, axis=0))
    peaks = [trace[window].max() for window in windows]
    expected = (np.mean(peaks) - outside.mean()) / outside.std()
    np.testing.assert_allclose(signal_to_noise(found), expected, rtol=1e-9)


@pytest.fixture(scope="module")
def smoke():
    with jax.enable_x64(True):
        return evolve_correlation.run(evolve_correlation.Config.smoke(), key=KEY, job=NullJob())


def test_individuals_that_diverge_cost_only_themselves():
    config = dataclasses.replace(evolve_correlation.Config.smoke(), tasks=1)
    objective = evolve_correlation.objective(config, KEY)
    formulas = [("w", "K - w"), ("w / (w - w)", "K"), ("w - w", "w - 10 / (w - w)")]
    individuals = known_rules(objective.specs, formulas)
    evaluate = eqx.filter_jit(objective.evaluate)
    together = evaluate(individuals, jnp.broadcast_to(KEY, 3))
    first = jax.tree.map(lambda leaf: jnp.stack([leaf[0]] * 3), individuals)
    alone = evaluate(first, jnp.broadcast_to(KEY, 3))
    assert np.isfinite(together[0]) and together[0] == alone[0]
    # All weights become 0: nothing is left whose potential could deviate.
    np.testing.assert_array_equal(together[1:], -np.inf)


def test_the_experiment_runs(smoke):
    assert_claims_hold(evolve_correlation.CLAIMS, smoke, size="smoke", seeds=2)
    assert smoke.ratios.shape == (len(PUBLISHED), 2, 1)
    assert np.all(np.diff(smoke.history, axis=0) >= 0)
    # Rules that detect the pattern stand above no rule even on few inputs.
    for name in ("run 9", "run 18"):
        better = evolve_correlation.ratio_of(name, smoke)
        assert better.mean() > evolve_correlation.ratio_of("no rule", smoke).mean() + 2


def test_the_figure_is_drawn_without_warnings(smoke, tmp_path, monkeypatch):
    # Simplifying takes most of the time, and is tested where it is written.
    quick = partial(to_latex, simplify=False)
    monkeypatch.setattr(evolve_correlation, "to_latex", quick)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evolve_correlation.figure(smoke).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_the_published_size():
    paper = evolve_correlation.Config.paper()
    assert (paper.mu, paper.lam, paper.rate, paper.nodes, paper.generations) == (
        8,
        8,
        0.05,
        5,
        2000,
    )
    assert (paper.inputs, paper.duration, paper.tasks, paper.seeds) == (1000, 100.0, 8, 20)
    assert paper.large.threshold == 20.0


@pytest.mark.slow
def test_the_claims_hold():
    config = evolve_correlation.Config()
    result = evolve_correlation.run(config, key=KEY, job=NullJob())
    assert_claims_hold(evolve_correlation.CLAIMS, result, size="default", seeds=config.seeds)
