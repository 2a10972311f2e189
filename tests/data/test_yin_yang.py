import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasticjax.data import yin_yang, yin_yang_batch, yin_yang_class, yin_yang_split

# Points on and off the borders of the classes, computed by the published generator.
CHECK_POINTS = {
    (0.25, 0.5): 2,
    (0.75, 0.5): 2,
    (0.85, 0.5): 2,
    (0.15, 0.5): 0,
    (0.5, 0.5): 1,
    (0.0, 0.5): 1,
    (1.0, 0.5): 0,
    (0.5, 1.0): 1,
    (0.5, 0.0): 0,
    (0.25, 0.75): 1,
    (0.75, 0.25): 0,
    (0.25, 0.25): 1,
    (0.75, 0.75): 0,
    (0.1, 0.5): 1,
    (0.9, 0.5): 0,
}


def words_model(seed, size):
    """The generator at the level of 32-bit words, written from its description."""
    words = iter(np.random.RandomState(seed).randint(0, 2**32, 64 * size + 2000, np.uint32))

    def uniform():
        high, low = int(next(words)) >> 5, int(next(words)) >> 6
        return (high * 2**26 + low) / 2**53

    samples = []
    while len(samples) < size:
        goal = int(next(words)) & 3
        while goal != 3:
            point = np.array([uniform(), uniform()])
            if np.hypot(*(point - 0.5)) <= 0.5 and yin_yang_class(point) == goal:
                samples.append((*point, goal))
                break
    return np.array(samples)


@pytest.mark.parametrize(
    ("split", "first", "first_label", "counts", "features_sha256", "labels_sha256"),
    [
        (
            "train",
            (0.68030754, 0.45049925),
            2,
            (1681, 1702, 1617),
            "f5a4054d56f2a058f8250fba7ff9720458e1625db7af78a295e45701745b2228",
            "534d12acda4f9dbc7208a99d3646115a4aa7d74ca31d6d23f822079a568559b7",
        ),
        (
            "validation",
            (0.68057273, 0.32097339),
            0,
            (316, 336, 348),
            "5eac358bdf2122763dce3703a79f3005e56e46a4db25ec329a07333d0f7b8093",
            "5a4c2f605814a620f514c1091f10441ce562cd81e902ce701b3cf94ae7576f7d",
        ),
        (
            "test",
            (0.23409665, 0.40172498),
            2,
            (350, 316, 334),
            "7bab3ed668ed4992679cff6339fe21bfe7d0c921ddc6187eaa3bc6ef34b888d7",
            "daa0f8f4e3b37b1ddec2afee22f09afb768f0e575f3f568e7469f1ebc6af73c1",
        ),
    ],
)
def test_the_splits_are_the_published_files(
    split, first, first_label, counts, features_sha256, labels_sha256
):
    features, labels = yin_yang_split(split)
    np.testing.assert_allclose(features[0, :2], first, atol=5e-9)
    assert labels[0] == first_label
    assert tuple(np.bincount(labels)) == counts
    assert features.dtype == np.float64 and labels.dtype == np.int64
    assert hashlib.sha256(features.tobytes()).hexdigest() == features_sha256
    assert hashlib.sha256(labels.tobytes()).hexdigest() == labels_sha256


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(0, 30))
def test_the_generator_consumes_random_words_as_published(seed, size):
    features, labels = yin_yang(size, seed=seed)
    expected = words_model(seed, size).reshape(size, 3)
    np.testing.assert_array_equal(features[:, :2], expected[:, :2])
    np.testing.assert_array_equal(labels, expected[:, 2])


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    r_big=st.floats(0.1, 3.0),
    ratio=st.floats(0.05, 0.5),
    size=st.integers(1, 40),
)
def test_samples_lie_in_the_disc_mirrored_and_labelled(seed, r_big, ratio, size):
    r_small = ratio * r_big
    features, labels = yin_yang(size, seed=seed, r_small=r_small, r_big=r_big)
    np.testing.assert_array_equal(features[:, 2:], 1.0 - features[:, :2])
    assert np.all(np.hypot(*(features[:, :2] - r_big).T) <= r_big * (1 + 1e-15))
    relabelled = yin_yang_class(features[:, :2], r_small=r_small, r_big=r_big)
    np.testing.assert_array_equal(relabelled, labels)


def test_a_smaller_set_is_the_beginning_of_a_larger_one():
    small, large = yin_yang(100, seed=3), yin_yang(300, seed=3)
    np.testing.assert_array_equal(small[0], large[0][:100])
    np.testing.assert_array_equal(small[1], large[1][:100])


@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray, jax.jit(lambda xy: xy)])
def test_class_at_the_check_points(convert):
    with jax.enable_x64(True):
        points = convert(np.array(list(CHECK_POINTS)))
        assert points.dtype == np.float64
        labels = yin_yang_class(points)
        assert isinstance(labels, type(points))
    np.testing.assert_array_equal(labels, list(CHECK_POINTS.values()))


def test_class_under_jit_agrees_with_numpy_on_a_grid():
    # No grid point lies on a border, where the last bit decides and compilers may fuse operations.
    axis = np.linspace(-0.2, 1.2, 141) + 1e-4 * np.pi
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    with jax.enable_x64(True):
        labels = jax.jit(yin_yang_class)(grid)
    np.testing.assert_array_equal(labels, yin_yang_class(grid))


@given(x=st.floats(0.001, 0.999), y=st.floats(0.001, 0.999))
def test_class_symmetry_and_scale(x, y):
    label = yin_yang_class(np.array([x, y]))
    scaled = yin_yang_class(np.array([4 * x, 4 * y]), r_small=0.4, r_big=2.0)
    assert label == scaled
    right, left = np.hypot(x - 0.75, y - 0.5), np.hypot(x - 0.25, y - 0.5)
    borders = [y - 0.5, *(d - r for d in (right, left) for r in (0.1, 0.25))]
    if min(map(abs, borders)) > 1e-9:
        assert yin_yang_class(np.array([1 - x, 1 - y])) == (1, 0, 2)[label]


def test_class_keeps_the_dtype_of_its_input():
    # The distance from 0.85 to the dot's centre is below 0.1 in float64 and above it in float32.
    assert yin_yang_class(np.array([0.85, 0.5])) == 2
    assert yin_yang_class(np.array([0.85, 0.5], np.float32)) == 0


@pytest.mark.parametrize("x64", [False, True])
def test_batch_has_the_distribution_of_the_generator(x64):
    size = 20_000
    with jax.enable_x64(x64):
        features, labels = jax.jit(yin_yang_batch, static_argnums=1)(jax.random.key(1), size)
        assert features.dtype == (jnp.float64 if x64 else jnp.float32)
        np.testing.assert_array_equal(yin_yang_class(features[:, :2]), labels)
        features, labels = np.asarray(features), np.asarray(labels)
    points = features[:, :2]
    np.testing.assert_array_equal(features[:, 2:], 1 - points)
    assert np.hypot(*(points - 0.5).T).max() <= 0.5 + 1e-6

    share = np.bincount(labels) / size
    assert np.all(np.abs(share - 1 / 3) < 4 * np.sqrt(2 / 9 / size))
    right = np.mean(points[labels == 2, 0] > 0.5)
    assert abs(right - 0.5) < 4 * 0.5 / np.sqrt(size / 3)
    means = [points[labels == c].mean(axis=0) for c in range(3)]
    np.testing.assert_allclose(means[0] + means[1], [1, 1], atol=0.02)
    np.testing.assert_allclose(means[2], [0.5, 0.5], atol=0.02)

    # The mean squared distance to the centre, class by class, against the published generator's.
    reference, reference_labels = yin_yang(size, seed=7)
    for c in range(3):
        ours = np.sum((points[labels == c] - 0.5) ** 2, axis=1)
        theirs = np.sum((reference[reference_labels == c, :2] - 0.5) ** 2, axis=1)
        error = np.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))
        assert abs(ours.mean() - theirs.mean()) < 4 * error


def test_batch_under_vmap_equals_single_calls():
    keys = jax.random.split(jax.random.key(2), 3)
    batch = jax.jit(yin_yang_batch, static_argnums=1)
    features, labels = jax.jit(jax.vmap(lambda key: yin_yang_batch(key, 5)))(keys)
    assert features.shape == (3, 5, 4) and labels.shape == (3, 5)
    for i, key in enumerate(keys):
        single, single_labels = batch(key, 5)
        np.testing.assert_allclose(features[i], single, rtol=1e-6)
        np.testing.assert_array_equal(labels[i], single_labels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: yin_yang(-1, seed=0), "size is -1"),
        (lambda: yin_yang(1, seed=-3), "seed is -3"),
        (lambda: yin_yang(1, seed=2**32), "seed is 4294967296"),
        (lambda: yin_yang(1, seed=0, r_small=0.0), "r_small is 0.0"),
        (lambda: yin_yang(1, seed=0, r_small=0.3), "r_small is 0.3"),
        (lambda: yin_yang(1, seed=0, r_small=float("nan")), "r_small is nan"),
        (lambda: yin_yang(1, seed=0, r_big=float("inf")), "r_big is inf"),
        (lambda: yin_yang_batch(jax.random.key(0), -1), "size is -1"),
        (lambda: yin_yang_batch(jax.random.key(0), 1, r_big=-0.5), "r_big is -0.5"),
        (lambda: yin_yang_class(np.zeros(2), r_small=0.3), "r_small is 0.3"),
        (lambda: yin_yang_split("dev"), "split is 'dev'; valid splits: 'train', 'validation'"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_class_refuses_points_of_another_dimension():
    # With the annotations checked at run time the shape is refused before the function's own check.
    with pytest.raises(Exception, match=r"xy"):
        yin_yang_class(np.zeros((5, 3)))
