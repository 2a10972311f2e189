import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from plasticjax.data import mnist1d, mnist1d_sample
from plasticjax.data._mnist1d import DIGITS, Draws, draw, render, resample, smooth, templates

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def published_size():
    return mnist1d(KEY)


def quiet(padding=60, gain=1.0, shift=0, slope=0.0, noise=0.0):
    return Draws(
        padding=jnp.asarray(padding),
        gain=jnp.asarray(gain),
        shift=jnp.asarray(shift),
        correlated=jnp.full(72, noise),
        independent=jnp.zeros(72),
        slope=jnp.asarray(slope),
    )


def recipe(digit, draws, length):
    """The published recipe, step by step, in NumPy and SciPy."""
    x = (digit - digit.mean()) / digit.std()
    x = (x - x[0]) / 6
    # The digit's own zeros are no background: the published code adds 1e-8 to them.
    x = np.concatenate([x + 1e-300, np.zeros(int(draws.padding))])
    # Knots at multiples of 71 make np.interp exact where a point falls on a knot.
    x = np.interp(np.arange(72) * (len(x) - 1), np.arange(len(x)) * 71, x)
    x = x * float(draws.gain)
    k = int(draws.shift)
    x = np.concatenate([x[len(x) - k :], x[: len(x) - k]])
    noise = gaussian_filter(np.asarray(draws.correlated), 2)
    x = np.array([noise[i] if x[i] == 0 else x[i] for i in range(72)])
    x = x + np.asarray(draws.independent)
    x = x - float(draws.slope) * np.linspace(-0.5, 0.5, 72)
    return np.interp(np.linspace(0, 1, length), np.linspace(0, 1, 72), x)


@pytest.mark.parametrize("length", [72, 360])
def test_samples_follow_the_recipe(x64, length):
    sample = jax.jit(lambda key, label: mnist1d_sample(key, label, length=length))
    for label in range(10):
        for seed in range(3):
            key = jax.random.fold_in(KEY, 3 * label + seed)
            found = sample(key, label)
            assert found.shape == (length,) and found.dtype == jnp.float64
            expected = recipe(DIGITS[label], draw(key), length)
            np.testing.assert_allclose(found, expected, atol=1e-14)


def test_the_draws_have_the_published_ranges():
    draws = jax.jit(jax.vmap(draw))(jax.random.split(KEY, 20_000))
    np.testing.assert_array_equal(np.unique(draws.padding), np.arange(36, 61))
    np.testing.assert_array_equal(np.unique(draws.shift), np.arange(48))
    for values, centre, half in [(draws.gain, 1.0, 0.2), (draws.slope, 0.0, 0.375)]:
        assert centre - half <= values.min() < centre - 0.99 * half
        assert centre + 0.99 * half < values.max() <= centre + half
    for noise, std in [(draws.correlated, 0.25), (draws.independent, 0.02)]:
        np.testing.assert_allclose(noise.std(), std, rtol=5e-3)
        np.testing.assert_allclose(noise.mean(), 0, atol=5e-3 * std)
    together = np.corrcoef([draws.padding, draws.gain, draws.shift, draws.slope])
    np.testing.assert_allclose(together, np.eye(4), atol=0.03)


def test_templates_begin_at_zero_with_the_scale_of_a_sixth():
    shapes = templates()
    np.testing.assert_array_equal(shapes[:, 0], 0.0)
    np.testing.assert_allclose(shapes.std(axis=1), 1 / 6)
    np.testing.assert_allclose(shapes[0], shapes[0, ::-1], atol=1e-15)  # a symmetric arch
    np.testing.assert_allclose(shapes[6].min(), shapes[6, 5])  # a symmetric valley
    for shape, digit in zip(shapes, DIGITS, strict=True):
        np.testing.assert_allclose(np.corrcoef(shape, digit)[0, 1], 1.0)


def test_with_60_zeros_the_template_is_seen_point_by_point(x64):
    """12 + 60 points are already 72, so that nothing is interpolated."""
    shape = jnp.asarray(templates()[4])
    sample = render(shape, quiet(gain=1.2, shift=10, noise=0.3), 72)
    np.testing.assert_allclose(sample[10:22], 1.2 * shape, atol=1e-15)
    np.testing.assert_allclose(np.delete(sample, np.arange(10, 22)), 0.3, atol=1e-15)


def test_the_shear_is_a_straight_line(x64):
    sample = render(jnp.zeros(12), quiet(padding=40, slope=0.3), 72)
    np.testing.assert_allclose(sample, np.linspace(0.15, -0.15, 72), atol=1e-15)


def test_the_background_begins_after_the_last_point_of_the_digit():
    """In single precision too, and for a digit that has zeros of its own."""
    shape = jnp.asarray(templates()[4], jnp.float32)
    for padding in (36, 47, 48, 59, 60):
        sample = render(shape, quiet(padding=padding, noise=9.0), 72)
        first = -(-71 * 12 // (11 + padding))  # the first place at or beyond the first zero
        np.testing.assert_allclose(sample[first:], 9.0, rtol=1e-6)
        assert np.abs(sample[:first]).max() < 1.0


@pytest.mark.parametrize(("knots", "length"), [(48, 72), (72, 72), (72, 360), (72, 30), (2, 5)])
def test_interpolation_agrees_with_numpy(x64, knots, length):
    values = np.random.default_rng(knots).normal(size=72)
    expected = np.interp(np.linspace(0, 1, length), np.linspace(0, 1, knots), values[:knots])
    found = resample(jnp.asarray(values), knots, length)
    np.testing.assert_allclose(found, expected, atol=1e-13)
    assert found[0] == values[0] and found[-1] == values[knots - 1]


def test_the_filter_agrees_with_scipy(x64):
    noise = np.random.default_rng(0).normal(size=72)
    np.testing.assert_allclose(smooth(jnp.asarray(noise)), gaussian_filter(noise, 2), atol=1e-14)


def test_the_set_is_balanced_scaled_and_split(published_size):
    (x, y), (x_test, y_test) = published_size
    assert x.shape == (4000, 72) and x_test.shape == (1000, 72)
    labels = np.concatenate([y, y_test])
    np.testing.assert_array_equal(np.bincount(labels), [500] * 10)
    assert np.bincount(y_test).min() > 60  # shuffled: 100 expected, standard deviation 8.5
    assert not np.array_equal(labels, np.sort(labels))
    inputs = np.concatenate([x, x_test]).astype(np.float64)
    np.testing.assert_allclose(inputs.mean(), 0, atol=1e-5)
    np.testing.assert_allclose(inputs.std(), 1, atol=1e-5)


def test_jit_and_lengths(published_size):
    (x, y), _ = published_size
    compiled = jax.jit(mnist1d, static_argnames=("size", "length"))
    (again, labels), _ = compiled(KEY)
    np.testing.assert_allclose(x, again, atol=1e-5)
    np.testing.assert_array_equal(y, labels)
    (long, same), _ = compiled(KEY, length=360)
    assert long.shape == (4000, 360)
    np.testing.assert_array_equal(same, y)
    assert np.corrcoef(long[:, ::5].ravel(), x.ravel())[0, 1] > 0.95


def test_a_line_cannot_tell_the_digits_but_neighbours_can(published_size):
    """Published: logistic regression 32 %, a multi-layer perceptron 68 %."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    (x, y), (x_test, y_test) = published_size
    line = LogisticRegression(C=0.1, max_iter=100).fit(x, y).score(x_test, y_test)
    neighbours = KNeighborsClassifier(3).fit(x, y).score(x_test, y_test)
    assert 0.25 < line < 0.40
    assert 0.45 < neighbours < 0.70


@pytest.mark.parametrize("size", [0, -10, 5001])
def test_a_size_that_cannot_be_balanced_is_refused(size):
    with pytest.raises(ValueError, match=f"size is {size}; a positive multiple of 10"):
        mnist1d(KEY, size=size)


def test_a_single_point_is_refused():
    with pytest.raises(ValueError, match="length is 1; a number of points >= 2"):
        mnist1d(KEY, size=10, length=1)
