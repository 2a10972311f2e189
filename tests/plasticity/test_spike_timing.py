import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasticjax.plasticity import (
    HardBound,
    SoftBound,
    Spiking,
    TripletParameters,
    inhibitory_stdp,
    over_synapses,
    pair_stdp,
    spike_pairing,
    stdp_kernel,
    triplet_stdp,
)
from plasticjax.plasticity._triplet_stdp import _PUBLISHED

from .timing_by_hand import pairs, triplets

LAGS = np.array([-50.0, -10.0, -1.0, 0.0, 1.0, 10.0, 50.0])


def windows(lags, a_plus, a_minus, tau_plus, tau_minus):
    up, down = np.exp(-lags / tau_plus), np.exp(lags / tau_minus)
    return np.where(lags > 0, a_plus * up, np.where(lags < 0, -a_minus * down, 0.0))


@pytest.mark.parametrize("interaction", ["all", "nearest"])
def test_the_kernel_of_one_pair_is_two_exponentials(interaction, x64):
    parameters = (0.01, 0.012, 17.0, 34.0)
    kernel = stdp_kernel(pair_stdp(*parameters, interaction), LAGS, w=0.5)
    np.testing.assert_allclose(kernel, windows(LAGS, *parameters), atol=1e-15)


def test_the_kernel_of_one_pair_under_the_triplet_rule_has_no_triplets(x64):
    p = TripletParameters.published("hippocampus")
    expected = windows(LAGS, p.a2_plus, p.a2_minus, p.tau_plus, p.tau_minus)
    np.testing.assert_allclose(stdp_kernel(triplet_stdp(p), LAGS), expected, atol=1e-15)


TIMES = st.lists(st.integers(0, 60).map(lambda t: 2.5 * t), min_size=4, max_size=4)


@settings(max_examples=15)
@given(TIMES, TIMES, st.sampled_from(["all", "nearest"]))
def test_any_trains_give_what_sums_over_pairs_and_triplets_give(x64, pre, post, interaction):
    pre, post = sorted(set(pre)), sorted(set(post))
    padded = [jnp.array(times + [np.inf] * (4 - len(times))) for times in (pre, post)]
    nearest = interaction == "nearest"
    pair = pair_stdp(0.01, 0.02, 15.0, 30.0, interaction)
    np.testing.assert_allclose(
        _paired(pair, *padded), pairs(pre, post, 0.01, 0.02, 15.0, 30.0, nearest), atol=1e-14
    )
    p = TripletParameters.published("hippocampus", "full", interaction)
    np.testing.assert_allclose(
        _paired(triplet_stdp(p, interaction), *padded),
        triplets(pre, post, p, nearest),
        atol=1e-14,
    )


_paired = jax.jit(spike_pairing)

# Sjöström, Turrigiano & Nelson (2001), as listed in Pfister & Gerstner (2006), Table 1: relative
# change and its standard error after 60 pairs at each frequency.
FREQUENCIES = np.array([0.1, 10.0, 20.0, 40.0, 50.0])  # Hz
MEASURED = {
    10.0: ([-0.04, 0.14, 0.29, 0.53, 0.56], [0.05, 0.1, 0.14, 0.11, 0.26]),
    -10.0: ([-0.29, -0.41, -0.34, 0.56, 0.75], [0.08, 0.11, 0.1, 0.32, 0.19]),
}


def changes(rule, lag):
    protocol = lambda period: stdp_kernel(rule, jnp.array([lag]), pairs=60, period=period)[0]  # noqa: E731
    return np.asarray(jax.jit(jax.vmap(protocol))(jnp.asarray(1000.0 / FREQUENCIES)))


def fit_error(rule):
    deviations = [
        (changes(rule, lag) - np.array(mean)) / np.array(sem)
        for lag, (mean, sem) in MEASURED.items()
    ]
    return np.mean(np.square(deviations))


@pytest.mark.parametrize("interaction", ["all", "nearest"])
@pytest.mark.parametrize("model", ["full", "minimal"])
def test_triplets_fit_the_frequency_dependence_of_visual_cortex(model, interaction, x64):
    p = TripletParameters.published("visual_cortex", model, interaction)
    rule = triplet_stdp(p, interaction)
    assert fit_error(rule) < 0.36  # just above ours, 0.23 to 0.356
    for lag in MEASURED:
        ours = changes(rule, lag)
        for rho, change in zip(FREQUENCIES, ours, strict=True):
            pre = np.arange(60) * 1000.0 / rho
            by_hand = triplets(pre, pre + lag, p, interaction == "nearest")
            np.testing.assert_allclose(change, by_hand, rtol=1e-9)
    assert changes(rule, -10.0)[0] < 0 < changes(rule, -10.0)[-1]


def test_pairs_do_not(x64):
    def changes(a_plus, a_minus, lag, period):
        rule = pair_stdp(a_plus, a_minus, 16.8, 33.7)
        return stdp_kernel(rule, lag[None], pairs=60, period=period)[0]

    lags = jnp.array(list(MEASURED))
    over_protocols = jax.vmap(jax.vmap(changes, (None, None, None, 0)), (None, None, 0, None))
    table = jax.jit(lambda a, b: over_protocols(a, b, lags, jnp.asarray(1000.0 / FREQUENCIES)))
    # The change is linear in both amplitudes, so the best ones are a least-squares problem.
    mean, sem = (np.ravel([MEASURED[lag][i] for lag in MEASURED]) for i in (0, 1))
    columns = [np.ravel(table(1.0, 0.0)) / sem, np.ravel(table(0.0, 1.0)) / sem]
    best = np.linalg.lstsq(np.stack(columns, axis=1), mean / sem, rcond=None)
    assert best[1][0] / len(mean) > 2


# Wang, Gerkin, Nauen & Bi (2005), as listed in Pfister & Gerstner (2006), Table 2: 60 triplets a
# second apart. Spikes relative to the one in the middle (ms), relative change, standard error.
PRE_POST_PRE = [
    (-5, 5, -0.01, 0.04),
    (-10, 10, 0.03, 0.04),
    (-15, 5, 0.01, 0.03),
    (-5, 15, 0.24, 0.06),
]
POST_PRE_POST = [
    (-5, 5, 0.33, 0.04),
    (-10, 10, 0.34, 0.04),
    (-5, 15, 0.22, 0.08),
    (-15, 5, 0.29, 0.05),
]


@pytest.mark.parametrize("interaction", ["all", "nearest"])
@pytest.mark.parametrize("model", ["full", "minimal"])
def test_triplets_fit_the_triplets_of_hippocampus(model, interaction, x64):
    rule = triplet_stdp(TripletParameters.published("hippocampus", model, interaction), interaction)
    middle = 1000.0 * jnp.arange(60)
    deviations = []
    for protocol, once_is_post in ((PRE_POST_PRE, True), (POST_PRE_POST, False)):
        for first, last, mean, sem in protocol:
            twice = jnp.concatenate([middle + first, middle + last])
            trains = (twice, middle) if once_is_post else (middle, twice)
            deviations.append((_paired(rule, *trains) - mean) / sem)
    assert np.mean(np.square(deviations)) < 4.1  # just above ours, 3.3 to 4.01


def test_all_published_triplet_sets_are_there_and_others_are_refused():
    assert len(_PUBLISHED) == 8
    assert TripletParameters.published() == TripletParameters()
    assert all(
        _PUBLISHED[region, "minimal", interaction].a3_minus == 0
        for region, _, interaction in _PUBLISHED
    )
    with pytest.raises(Exception, match="visual_cortex"):
        TripletParameters.published("cerebellum")


def test_the_inhibitory_rule_is_symmetric(x64):
    kernel = stdp_kernel(inhibitory_stdp(eta=0.01, target=0.005, tau=20.0), LAGS)
    window = np.where(LAGS == 0, 0.0, np.exp(-np.abs(LAGS) / 20))
    np.testing.assert_allclose(kernel, 0.01 * (window - 0.2), atol=1e-15)


def test_the_inhibitory_rule_is_balanced_at_its_target_rate():
    rule, duration, keys = inhibitory_stdp(target=0.02), 1000.0, jax.random.split(jax.random.key(0))

    def drift(rate):
        pre = jax.random.uniform(keys[0], (300, 10), maxval=duration)
        post = jax.random.uniform(keys[1], (300, int(rate * duration)), maxval=duration)
        changes = jax.jit(jax.vmap(lambda a, b: spike_pairing(rule, a, b)))(pre, post)
        return float(changes.mean()), float(changes.std() / np.sqrt(300))

    for rate in (0.01, 0.02, 0.04):
        mean, error = drift(rate)
        expected = 0.01 * 10 * (2 * 20 * rate - 2 * 20 * 0.02)
        assert abs(mean - expected) < 4 * error + 0.03 * 0.08


def test_weight_dependence_is_a_matter_of_bounds():
    rule, lags = pair_stdp(0.1, 0.1), jnp.array([-1e-6, 1e-6])
    np.testing.assert_allclose(stdp_kernel(rule, lags, w=0.25), [-0.1, 0.1], rtol=1e-5)
    soft = stdp_kernel(rule, lags, w=0.25, bounds=SoftBound())
    np.testing.assert_allclose(soft, [-0.025, 0.075], rtol=1e-5)
    hard = stdp_kernel(rule, lags, w=0.95, bounds=HardBound(0.0, 1.0))
    np.testing.assert_allclose(hard, [-0.1, 0.05], rtol=1e-5)


def test_spike_times_and_parameters_have_derivatives(x64):
    def change(lag, a, tau):
        return stdp_kernel(pair_stdp(a, a, tau, tau), lag[None])[0]

    arguments = (jnp.asarray(10.0), jnp.asarray(0.1), jnp.asarray(20.0))
    slopes = jax.grad(change, argnums=(0, 1, 2))(*arguments)
    decay = np.exp(-0.5)
    np.testing.assert_allclose(slopes, (-0.1 * decay / 20, decay, 0.1 * decay * 10 / 400))
    silent = jax.grad(lambda post: spike_pairing(pair_stdp(), jnp.array([0.0, 5.0]), post))(
        jnp.array([8.0, jnp.inf])
    )
    assert jnp.isfinite(silent).all() and silent[0] < 0 and silent[1] == 0


def test_a_grid_simulation_of_many_synapses_is_the_event_based_one(x64):
    rule = triplet_stdp(TripletParameters.published("hippocampus"))
    keys = jax.random.split(jax.random.key(0))
    pre_spikes = jax.random.bernoulli(keys[0], 0.1, (80, 3))
    post_spikes = jax.random.bernoulli(keys[1], 0.1, (80, 2))
    update = over_synapses(rule.update())

    def step(carry, spikes):
        w, *traces = carry
        sides = (rule.pre_traces, rule.post_traces)
        traces = [
            [trace.decay(z, 1.0) for trace, z in zip(side, values, strict=True)]
            for side, values in zip(sides, traces, strict=True)
        ]
        seen = [Spiking(s, *values) for s, values in zip(spikes, traces, strict=True)]
        w = update(w, *seen, None)
        traces = [
            tuple(trace.receive(z, s) for trace, z in zip(side, values, strict=True))
            for side, values, s in zip(sides, traces, spikes, strict=True)
        ]
        return (w, *traces), None

    start = (jnp.zeros((2, 3)), (jnp.zeros(3),) * 2, (jnp.zeros(2),) * 2)
    grid = jax.lax.scan(step, start, (pre_spikes, post_spikes))[0][0]
    times = lambda spikes: jnp.where(spikes, jnp.arange(80.0)[:, None], jnp.inf).T  # noqa: E731
    paired = jax.vmap(
        jax.vmap(lambda pre, post: spike_pairing(rule, pre, post), (0, None)), (None, 0)
    )
    np.testing.assert_allclose(grid, paired(times(pre_spikes), times(post_spikes)), rtol=1e-10)


def test_protocols_are_checked():
    with pytest.raises(ValueError, match="pairs=0 must be at least 1"):
        stdp_kernel(pair_stdp(), jnp.array([1.0]), pairs=0)
