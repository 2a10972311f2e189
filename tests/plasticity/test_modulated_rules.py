import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.plasticity import (
    ClopathPost,
    ClopathPre,
    ClopathSTDP,
    EligibleSynapse,
    EpisodicReward,
    Filtered,
    Hebb,
    LowPass,
    PairDepression,
    RewardModulated,
    Signals,
    SomaDendrite,
    Spiking,
    ToEligibility,
    UrbanczikSenn,
    event_rule,
    flow,
    increment,
    over_synapses,
    pair_stdp,
    spike_pairing,
)
from plasticjax.plasticity._timing_rule import TimingRule


def solve(field, start, args, until):
    return diffrax.diffeqsolve(
        diffrax.ODETerm(field), diffrax.Dopri8(), 0.0, until, until / 400, start, args=args
    ).ys


def last(solution):
    return jax.tree.map(lambda leaf: leaf[0], solution)


def test_reward_turns_the_eligibility_of_a_pair_into_weight(x64):
    """R-STDP: the weight follows the STDP of the pair, discounted until the reward comes."""
    stdp = pair_stdp(0.1, 0.12)
    tagged = TimingRule(
        ToEligibility(stdp.on_pre),
        ToEligibility(stdp.on_post),
        stdp.pre_traces,
        stdp.post_traces,
    )
    start = EligibleSynapse(jnp.asarray(0.5), jnp.asarray(0.0))
    paired = spike_pairing(tagged, jnp.array([0.0]), jnp.array([10.0]), syn=start)
    assert paired.w == 0.5
    np.testing.assert_allclose(paired.eligibility, 0.1 * np.exp(-0.5), rtol=1e-12)

    field = flow(RewardModulated(eta=0.01, tau_eligibility=200.0))
    waited = last(solve(field, paired, Signals(None, None, jnp.asarray(0.0)), 300.0))
    rewarded = last(solve(field, waited, Signals(None, None, jnp.asarray(-2.0)), 50.0))
    discount = np.exp(-1.5) * 200 * (1 - np.exp(-0.25))
    expected = 0.5 - 2 * 0.01 * 0.1 * np.exp(-0.5) * discount
    np.testing.assert_allclose(rewarded.w, expected, rtol=1e-9)
    remaining = paired.eligibility * np.exp(-1.75)
    np.testing.assert_allclose(rewarded.eligibility, remaining, rtol=1e-9)


def test_an_episode_ends_with_one_step_and_a_fresh_start():
    syn = EligibleSynapse(jnp.array([[0.5, 0.2]]), jnp.array([[1.0, -2.0]]))
    update = over_synapses(increment(EpisodicReward(0.1)))
    new = update(syn, jnp.zeros(2), jnp.zeros(1), jnp.asarray(3.0))
    np.testing.assert_allclose(new.w, [[0.8, -0.4]], rtol=1e-6)
    np.testing.assert_array_equal(new.eligibility, 0)


def test_a_missing_reward_is_refused():
    for rule in (RewardModulated(), EpisodicReward()):
        with pytest.raises(ValueError, match="third must be the reward, a scalar, got None"):
            rule(EligibleSynapse(0.1, 0.2), 0.0, 0.0, None)


def test_eligibility_keeps_what_the_change_is_per():
    assert ToEligibility(PairDepression()).per == "pre_spike"
    assert ToEligibility(lambda *_: 0.0).per is None
    with pytest.raises(ValueError, match="on_post is a change per pre_spike"):
        event_rule(on_post=ToEligibility(PairDepression()))
    with pytest.raises(ValueError, match="Filtered takes changes per time"):
        Filtered(Hebb())


def test_filtering_delays_a_change_and_loses_nothing(x64):
    rule = Filtered(Hebb(0.1, per="time"), tau=20.0)
    start = EligibleSynapse(jnp.asarray(0.0), jnp.asarray(0.0))
    end = last(solve(flow(rule), start, Signals(2.0, 3.0), 50.0))
    np.testing.assert_allclose(end.eligibility, 0.6 * (1 - np.exp(-2.5)), rtol=1e-8)
    np.testing.assert_allclose(end.w, 0.6 * (50 - 20 * (1 - np.exp(-2.5))), rtol=1e-8)


def test_urbanczik_senn_is_the_gradient_of_the_log_likelihood_of_spikes(x64):
    rule = UrbanczikSenn(eta=1.0)

    def log_likelihood(w, psp, spikes):
        rate = rule.rate(w * psp)
        return spikes * jnp.log(rate) - rate

    for w, psp, spikes in ((0.7, 1.3, 0.0), (0.7, 1.3, 1.0), (-2.0, 0.5, 1.0), (0.5, 2.0, 0.3)):
        change = rule(w, psp, SomaDendrite(spikes, jnp.asarray(w * psp)), None)
        np.testing.assert_allclose(
            change, jax.grad(log_likelihood)(w, psp, spikes), rtol=1e-10, atol=1e-15
        )


def test_the_rate_of_urbanczik_senn_is_its_formula_and_does_not_overflow(x64):
    rule = UrbanczikSenn()
    u = jnp.array([-1.0, 0.9, 1.0, 1.2, 3.0])
    expected = 0.15 / (1 + 0.5 * np.exp(5 * (1 - np.asarray(u))))
    np.testing.assert_allclose(rule.rate(u), expected, rtol=1e-12)
    slope = jax.vmap(jax.grad(rule.rate))(u)
    np.testing.assert_allclose(slope, expected * 5 * (1 - expected / 0.15), rtol=1e-10)
    extreme = jnp.array([-1e4, 1e4])
    np.testing.assert_allclose(rule.rate(extreme), [0.0, 0.15])
    np.testing.assert_array_equal(jax.vmap(jax.grad(rule.rate))(extreme), 0)


def test_a_dendrite_learns_to_predict_its_soma(x64):
    """The soma follows a teacher; in the end the dendrite alone causes the same rates."""
    inputs = jax.random.uniform(jax.random.key(0), (3000, 4))
    teacher = jnp.array([[0.9, -0.4, 0.6, 0.3]])
    rule = UrbanczikSenn(eta=1.0)
    field = flow(over_synapses(rule))

    def step(w, psp):
        seen = SomaDendrite(rule.rate(teacher @ psp), w @ psp)
        return w + field(0.0, w, Signals(psp, seen)), None

    w = jax.lax.scan(step, jnp.zeros((1, 4)), inputs)[0]
    np.testing.assert_allclose(w, teacher, atol=0.02)


def test_the_terms_of_the_voltage_based_rule():
    rule = ClopathSTDP()
    pre = ClopathPre(train=1.0, trace=0.2)
    depolarised = ClopathPost(u=-40.0, u_minus=-60.0, u_plus=-65.0)
    expected = -14e-5 * 10.6 + 8e-5 * 0.2 * 5.3 * 5.6
    assert rule(0.5, pre, depolarised, None) == pytest.approx(expected, rel=1e-5)
    homeostatic = depolarised._replace(mean_square=120.0)
    assert rule(0.5, pre, homeostatic, None) == pytest.approx(expected - 14e-5 * 10.6, rel=1e-5)
    at_rest = ClopathPost(u=-70.7, u_minus=-70.7, u_plus=-70.7)
    assert rule(0.5, pre, at_rest, None) == 0


def test_a_voltage_clamp_gives_depression_then_potentiation_in_closed_form(x64):
    """Presynaptic spikes at 25 Hz and a clamped soma, as in Fig. 1 of Clopath et al. (2010)."""
    rule, dt, steps = ClopathSTDP(), 0.1, 20000
    spikes = jnp.zeros(steps).at[::400].set(1.0 / dt)
    trace = LowPass(15.0)
    clamps = jnp.array([-75.0, -65.0, -55.0, -46.0, -30.0])

    def step(carry, train):
        w, x = carry
        post = ClopathPost(clamps, clamps, clamps)
        change = flow(over_synapses(rule))(0.0, w, Signals(ClopathPre(train[None], x), post))
        return (w + dt * change, trace.follow(x, train, dt)), None

    w = jax.lax.scan(step, (jnp.zeros((5, 1)), jnp.zeros(1)), spikes)[0][0][:, 0]
    above = np.maximum(clamps + 70.6, 0)
    # All but the last spike trace has decayed by the end; 50 spikes in 2 s.
    depression = 14e-5 * 50 * above
    potentiation = 8e-5 * 50 * np.maximum(clamps + 45.3, 0) * above
    np.testing.assert_allclose(w, potentiation - depression, rtol=0.03)
    assert w[0] == 0 and (w[1:4] < 0).all() and w[4] > 0


def test_a_tagging_event_rule_bounds_the_weight_and_not_the_eligibility():
    stdp = pair_stdp(0.5, 0.5)
    update = event_rule(ToEligibility(stdp.on_pre), ToEligibility(stdp.on_post))
    syn = EligibleSynapse(jnp.asarray(0.9), jnp.asarray(0.0))
    new = update(syn, Spiking(False, 0.4), Spiking(True, 0.0), None)
    np.testing.assert_allclose(new, (0.9, 0.2), rtol=1e-6)
