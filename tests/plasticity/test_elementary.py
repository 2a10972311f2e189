"""Rules are made of operations that a chip can do, and behave under jit, vmap and grad."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.plasticity import (
    BCM,
    AntiHebb,
    ClopathPost,
    ClopathPre,
    ClopathSTDP,
    EligibleSynapse,
    EpisodicReward,
    Filtered,
    HardBound,
    Hebb,
    InhibitoryDepression,
    Oja,
    PairDepression,
    PairPotentiation,
    RewardModulated,
    Sanger,
    SlidingRate,
    SoftBound,
    SomaDendrite,
    Spiking,
    SynapticScaling,
    ToEligibility,
    TripletDepression,
    TripletPotentiation,
    UrbanczikSenn,
    event_rule,
    increment,
    over_synapses,
)

SPIKING = Spiking(1.0, 0.3, 0.2)
TAGGED = EligibleSynapse(0.4, 0.2)
RULES = [
    (Hebb(), 0.4, 0.3, 0.7),
    (AntiHebb(), 0.4, 0.3, 0.7),
    (Oja(), 0.4, 0.3, 0.7),
    (Sanger(), 0.4, 0.3, 0.7),
    (BCM(), 0.4, 0.3, SlidingRate(0.7, 0.2)),
    (PairPotentiation(), 0.4, SPIKING, SPIKING),
    (PairDepression(), 0.4, SPIKING, SPIKING),
    (TripletPotentiation(), 0.4, SPIKING, SPIKING),
    (TripletDepression(), 0.4, SPIKING, SPIKING),
    (InhibitoryDepression(), 0.4, SPIKING, SPIKING),
    (ToEligibility(PairPotentiation()), TAGGED, SPIKING, SPIKING),
    (RewardModulated(), TAGGED, 0.3, 0.7),
    (EpisodicReward(), TAGGED, 0.3, 0.7),
    (Filtered(UrbanczikSenn()), TAGGED, 0.3, SomaDendrite(0.1, 1.2)),
    (UrbanczikSenn(), 0.4, 0.3, SomaDendrite(0.1, 1.2)),
    (ClopathSTDP(), 0.4, ClopathPre(0.1, 0.2), ClopathPost(-40.0, -60.0, -65.0, 70.0)),
    (SynapticScaling(), 0.4, 0.3, 0.7),
]
UPDATES = [
    (increment(Hebb(), bound=HardBound(0.0, 1.0)), 0.4, 0.3, 0.7),
    (increment(Hebb(), bound=SoftBound(mu_plus=0, mu_minus=1)), 0.4, 0.3, 0.7),
    (event_rule(PairDepression(), PairPotentiation(), SoftBound()), 0.4, SPIKING, SPIKING),
]
CASES = [pytest.param(*case, id=type(case[0]).__name__) for case in RULES + UPDATES]
ELEMENTARY = {
    *("add", "sub", "mul", "div", "neg", "exp", "max", "min", "select_n"),
    *("gt", "ge", "lt", "le", "eq", "ne", "convert_element_type", "copy"),
}


def operations(jaxpr):
    for equation in jaxpr.eqns:
        inner = [p for p in equation.params.values() if hasattr(p, "eqns") or hasattr(p, "jaxpr")]
        if not inner:
            yield equation.primitive.name
        for sub in inner:
            yield from operations(getattr(sub, "jaxpr", sub))


def arrays(tree):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), tree)


@pytest.mark.parametrize("rule, syn, pre, post", CASES)
def test_a_rule_consists_of_elementary_operations_on_scalars(rule, syn, pre, post):
    jaxpr = jax.make_jaxpr(rule)(*arrays((syn, pre, post, 0.5, 0.1)))
    assert set(operations(jaxpr.jaxpr)) <= ELEMENTARY


@pytest.mark.parametrize("rule, syn, pre, post", CASES)
def test_a_rule_is_the_same_under_jit_and_spread_and_has_finite_derivatives(rule, syn, pre, post):
    signals = arrays((syn, pre, post, 0.5, 0.1))
    tile = lambda tree, *shape: jax.tree.map(lambda leaf: jnp.full(shape, leaf), tree)  # noqa: E731

    @jax.jit
    def everything(signals):
        syn, pre, post, third, obs = signals
        dense = (tile(syn, 2, 3), tile(pre, 3), tile(post, 2), third, tile(obs, 2, 3))
        slopes = jax.jacrev(lambda *s: jax.tree.leaves(rule(*s)), argnums=(0, 1, 2, 3, 4))
        return rule(*signals), over_synapses(rule)(*dense), slopes(*signals)

    jitted, spread, slopes = map(jax.tree.leaves, everything(signals))
    for leaf, one, value in zip(spread, jitted, jax.tree.leaves(rule(*signals)), strict=True):
        np.testing.assert_allclose(one, value, rtol=1e-5)
        np.testing.assert_allclose(leaf, jnp.full((2, 3), value), rtol=1e-5)
    assert all(jnp.isfinite(leaf) for leaf in slopes)
