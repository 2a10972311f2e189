"""The dendritic microcircuit as plain loops, with inputs and weights to try it on."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from plasticjax.models import MicrocircuitInputs, MicrocircuitLearningRates

KEY = jax.random.key(2)
SIZES = (4, 5, 3, 2)
RATES = MicrocircuitLearningRates((0.5, 0.3, 0.2), ip=(0.4, 0.1), pi=(0.3, 0.2))


def loops(weights, inputs, targets, nudged, *, prospective, eta_up, eta_ip, eta_pi, limits):
    """Haider et al.'s order of operations, neuron by neuron, for conductances as published."""
    g_l, g_b, g_a, g_som, g_d, dt = 0.03, 0.1, 0.06, 0.06, 0.1, 0.1

    def phi(u):
        return 0.0 if u < -15 else u if u > 15 else math.log(1 + math.exp(u))

    up, down, ip, pi = ([np.array(w) for w in group] for group in weights)
    layers = len(up)
    sizes = [w.shape[0] for w in up]
    soma = [np.zeros(n) for n in sizes]
    forw = [np.zeros(n) for n in sizes]
    inn_soma = [np.zeros(n) for n in sizes[1:]]
    inn_forw = [np.zeros(n) for n in sizes[1:]]
    last_target, last_nudged = np.zeros(sizes[-1]), True
    history = []
    for r_in, target, nudge in zip(inputs, targets, nudged, strict=True):
        seen, on = (last_target, last_nudged) if prospective else (target, nudge)
        last_target, last_nudged = target, nudge
        old = [v.copy() for v in (forw if prospective else soma)]
        inn_old = [v.copy() for v in (inn_forw if prospective else inn_soma)]
        updates = []
        for k in range(layers):
            pre = r_in if k == 0 else [phi(u) for u in old[k - 1]]
            for i in range(sizes[k]):
                v_bas = sum(up[k][i, j] * pre[j] for j in range(len(pre)))
                if k < layers - 1:
                    total, leak = g_l + g_b + g_a, g_l + g_b + g_a
                    above = [phi(u) for u in old[k + 1]]
                    beside = [phi(u) for u in inn_old[k]]
                    v_api = sum(down[k][i, j] * above[j] for j in range(len(above)))
                    v_api += sum(pi[k][i, j] * beside[j] for j in range(len(beside)))
                    u_ss = (g_b * v_bas + g_a * v_api) / total
                else:
                    total, leak = g_l + g_b + g_som, g_l + g_b
                    u_ss = (g_b * v_bas + g_som * seen[i]) / total if on else g_b * v_bas / leak
                udot = total * (u_ss - soma[k][i])
                new = soma[k][i] + (udot / total if prospective else dt * udot)
                updates.append((soma[k], i, soma[k][i] + dt * udot))
                updates.append((forw[k], i, soma[k][i] + udot / total))
                error = phi(new) - phi(g_b / leak * v_bas)
                limit = limits[0] if k < layers - 1 else limits[1]
                for j in range(len(pre)):
                    w = up[k][i, j] + dt * eta_up[k] * error * pre[j]
                    updates.append((up[k], (i, j), min(max(w, -limit), limit)))
                if k < layers - 1:
                    for j in range(len(beside)):
                        w = pi[k][i, j] - dt * eta_pi[k] * v_api * beside[j]
                        updates.append((pi[k], (i, j), w))
        for k in range(layers - 1):
            r_pyr = [phi(u) for u in old[k]]
            for i in range(sizes[k + 1]):
                v_den = sum(ip[k][i, j] * r_pyr[j] for j in range(len(r_pyr)))
                total = g_l + g_b + g_som
                u_ss = (g_b * v_den + g_som * old[k + 1][i]) / total
                udot = total * (u_ss - inn_soma[k][i])
                new = inn_soma[k][i] + (udot / total if prospective else dt * udot)
                updates.append((inn_soma[k], i, inn_soma[k][i] + dt * udot))
                updates.append((inn_forw[k], i, inn_soma[k][i] + udot / total))
                error = phi(new) - phi(g_d / (g_l + g_d) * v_den)
                for j in range(len(r_pyr)):
                    w = ip[k][i, j] + dt * eta_ip[k] * error * r_pyr[j]
                    updates.append((ip[k], (i, j), w))
        for array, place, value in updates:
            array[place] = value
        pyramids, inns = (forw, inn_forw) if prospective else (soma, inn_soma)
        history.append([v.copy() for v in (*pyramids, *inns)])
    trajectory = [np.stack(each) for each in zip(*history, strict=True)]
    return trajectory, (up, down, ip, pi), soma


def drive(steps, sizes=SIZES, seed=0, hold=10):
    rng = np.random.default_rng(seed)

    def held(size):
        return np.repeat(rng.uniform(size=(-(-steps // hold), size)), hold, axis=0)[:steps]

    nudged = np.arange(steps) // (2 * hold) % 2 == 0
    return MicrocircuitInputs(
        jnp.asarray(held(sizes[0])), jnp.asarray(held(sizes[-1])), jnp.asarray(nudged)
    )


def perturbed_weights(circuit, sizes=SIZES, key=KEY):
    """Off the self-predicting state, so that every projection has something to learn."""
    weights = circuit.init_weights(sizes, key=key)
    leaves, structure = jax.tree.flatten(weights)
    moved = [
        leaf + 0.3 * jax.random.normal(jax.random.fold_in(key, 100 + k), leaf.shape)
        for k, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, moved)
