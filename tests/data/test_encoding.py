import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plasticjax.data import decode_first_spike, encode_first_spike, yin_yang_split

SIMULATION = {"t_early": 0.15, "t_late": 2.0, "t_bias": 0.9}


def test_the_ends_of_the_range_and_the_bias():
    times = encode_first_spike(np.array([0.0, 1.0, 0.5]), **SIMULATION)
    np.testing.assert_allclose(times, [0.15, 2.0, 1.075, 0.9], rtol=1e-15)


def test_copies_are_ordered_as_on_the_chip():
    values = np.array([0.0, 0.25, 0.75, 1.0])
    times = encode_first_spike(values, t_early=0.0, t_late=4.0, t_bias=9.0, repeat=5)
    assert times.shape == (25,)
    np.testing.assert_array_equal(times, [0, 1, 3, 4] * 5 + [9] * 5)


def test_mirrored_pairs_have_a_constant_sum():
    features, _ = yin_yang_split("test")
    times = encode_first_spike(features, t_early=0.15, t_late=2.0)
    np.testing.assert_allclose(times[:, :2] + times[:, 2:], 2.15, rtol=1e-15)


def test_infinity_passes_both_ways():
    values = np.array([np.inf, 0.5])
    times = encode_first_spike(values, **SIMULATION, repeat=2)
    np.testing.assert_array_equal(np.isinf(times), [True, False, True, False, False, False])
    decoded = decode_first_spike(times, **SIMULATION, repeat=2)
    np.testing.assert_allclose(decoded, values, rtol=1e-15)


@given(
    values=hnp.arrays(
        np.float64, hnp.array_shapes(max_dims=3), elements=st.floats(0, 1, allow_subnormal=False)
    ),
    t_early=st.floats(-10, 10),
    span=st.floats(0.1, 100),
    t_bias=st.none() | st.floats(-10, 10),
    repeat=st.integers(1, 4),
)
def test_decoding_inverts_encoding(values, t_early, span, t_bias, repeat):
    code = {"t_early": t_early, "t_late": t_early + span, "t_bias": t_bias, "repeat": repeat}
    times = encode_first_spike(values, **code)
    inputs = values.shape[-1] + (t_bias is not None)
    assert times.shape == (*values.shape[:-1], repeat * inputs)
    np.testing.assert_allclose(decode_first_spike(times, **code), values, atol=1e-12)
    order = np.argsort(values, axis=-1)
    coded = np.take_along_axis(times[..., : values.shape[-1]], order, axis=-1)
    assert np.all(np.diff(coded, axis=-1) >= 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_jit_vmap_grad_and_dtype(dtype):
    with jax.enable_x64(True):
        values = jnp.asarray([[0.25, 0.75], [0.5, 1.0]], dtype)
        code = {**SIMULATION, "repeat": 2}
        times = jax.jit(jax.vmap(lambda v: encode_first_spike(v, **code)))(values)
        assert times.dtype == dtype
        np.testing.assert_allclose(times, encode_first_spike(np.asarray(values), **code), rtol=1e-6)
        back = jax.jit(lambda t: decode_first_spike(t, **code))(times)
        assert back.dtype == dtype
        np.testing.assert_allclose(back, values, rtol=1e-5)
        slope = jax.grad(lambda v: encode_first_spike(v, **code).sum())(values[0])
        np.testing.assert_allclose(slope, 2 * 1.85, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t_late": 0.1}, r"t_early is 0.15 and t_late is 0.1; finite times with t_early < t_late"),
        ({"t_early": float("nan")}, "t_early is nan"),
        ({"t_late": float("inf")}, "t_late is inf"),
        ({"t_bias": float("inf")}, "t_bias is inf"),
        ({"repeat": 0}, "repeat is 0"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    code = {**SIMULATION, **change}
    with pytest.raises(ValueError, match=message):
        encode_first_spike(np.zeros(4), **code)
    with pytest.raises(ValueError, match=message):
        decode_first_spike(np.zeros(5), **code)


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
@pytest.mark.parametrize("xp", [np, jnp])
def test_nan_and_minus_infinity_are_refused(bad, xp):
    with pytest.raises(ValueError, match="values contains NaN or -inf"):
        encode_first_spike(xp.asarray([0.5, bad]), **SIMULATION)
    with pytest.raises(ValueError, match="times contains NaN or -inf"):
        decode_first_spike(xp.asarray([0.5, bad]), **SIMULATION)


def test_nan_is_refused_inside_jit():
    encode = jax.jit(lambda v: encode_first_spike(v, **SIMULATION))
    with pytest.raises(RuntimeError, match="values contains NaN or -inf"):
        jax.block_until_ready(encode(jnp.array([0.5, jnp.nan])))


def test_a_number_of_times_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"times has 9 entries .* repeat=5 and a bias"):
        decode_first_spike(np.zeros(9), **SIMULATION, repeat=5)
