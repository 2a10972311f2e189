"""The simulated event camera: what its definition implies, and its published statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.data import camera_raster, digits, nmnist_raster, nmnist_sim
from plasticjax.data._nmnist_sim import camera_path

KEY = jax.random.key(4)


@pytest.fixture(scope="module")
def images():
    eights = np.asarray(digits()[0]).reshape(-1, 8, 8) / 16
    digit = np.kron(eights[0], np.ones((3, 3)))
    return {
        "digit": jnp.asarray(np.pad(digit, 2), jnp.float32),
        "noise": jax.random.uniform(KEY, (28, 28)),
    }


def real(events):
    kept = np.isfinite(events.times)
    return {name: np.asarray(getattr(events, name))[kept] for name in events._fields[:-1]}


def by_hand(image, threshold):
    """Pixel by pixel and frame by frame, in NumPy."""
    image = np.pad(np.asarray(image, float), 20)
    found = []

    def level(x, y, displacement):
        u, v = x - 3 - displacement[0] + 20, y - 3 - displacement[1] + 20
        i, j = int(np.floor(v)), int(np.floor(u))
        a, b = v - i, u - j
        lower = (1 - b) * image[i, j] + b * image[i, j + 1]
        upper = (1 - b) * image[i + 1, j] + b * image[i + 1, j + 1]
        return np.log((1 - a) * lower + a * upper + 0.1)

    path = camera_path()
    for y in range(8, 20):
        for x in range(8, 20):
            before = reference = level(x, y, path[0])
            for n in range(1, 316):
                now = level(x, y, path[n])
                count = int(np.floor(abs(now - reference) / threshold + 1e-9))
                sign = np.sign(now - reference)
                for i in range(1, count + 1):
                    late = (reference + sign * i * threshold - before) / (now - before)
                    found.append((n - 1 + np.clip(late, 0, 1), x, y, int(sign > 0)))
                reference += sign * count * threshold
                before = now
    return sorted(found)


def test_events_are_those_of_a_literal_simulation(x64, images):
    image = images["digit"].astype(float)
    events = real(nmnist_sim(image))
    inside = (events["x"] >= 8) & (events["x"] < 20) & (events["y"] >= 8) & (events["y"] < 20)
    found = sorted(zip(*(one[inside].tolist() for one in events.values()), strict=True))
    expected = by_hand(image, 0.45)
    assert len(found) == len(expected) > 300
    np.testing.assert_allclose([f[0] for f in found], [e[0] for e in expected], atol=1e-9)
    assert sorted(f[1:] for f in found) == sorted(e[1:] for e in expected)


@pytest.mark.parametrize("name", ["digit", "noise"])
def test_a_closed_path_gives_each_pixel_as_many_brighter_as_darker_events(images, name):
    result = nmnist_sim(images[name], max_events=60_000)
    assert not result.overflow
    events = real(result)
    assert len(events["times"]) > 1000
    assert np.all(np.diff(events["times"]) >= 0)
    assert events["times"][0] > 0 and events["times"][-1] <= 315
    balance = np.zeros((34, 34), int)
    np.add.at(balance, (events["y"], events["x"]), 2 * events["polarity"] - 1)
    np.testing.assert_array_equal(balance, 0)


def test_a_constant_image_is_silent_and_brightness_is_relative(x64, images):
    assert not np.isfinite(nmnist_sim(jnp.zeros((28, 28))).times).any()
    image = images["noise"].astype(float) * 0.4
    one = real(nmnist_sim(image, max_events=30_000))
    other = real(nmnist_sim(1.5 * image + 0.5 * 0.1, max_events=30_000))
    # Outside of the digit it is as dark as before, so only pixels that never see it agree.
    inner = [(e["x"] > 9) & (e["x"] < 25) & (e["y"] > 9) & (e["y"] < 25) for e in (one, other)]
    np.testing.assert_allclose(one["times"][inner[0]], other["times"][inner[1]], atol=1e-9)


def test_a_lower_threshold_gives_more_events(images):
    counts = [len(real(nmnist_sim(images["digit"], threshold=c))["times"]) for c in (0.9, 0.45)]
    assert counts[0] < counts[1]


def test_the_raster_has_a_channel_for_each_pixel_and_polarity(images):
    result = nmnist_sim(images["digit"])
    raster = np.asarray(camera_raster(result))
    assert raster.shape == (105, 2312)
    events = real(result)
    channel = events["polarity"] * 1156 + events["y"] * 34 + events["x"]
    when = np.minimum(events["times"] // 3, 104).astype(int)
    expected = np.zeros((105, 2312))
    expected[when, channel] = 1
    np.testing.assert_array_equal(raster, expected)


def test_too_many_events_are_told(images):
    short = nmnist_sim(images["digit"], max_events=100)
    assert bool(short.overflow) and np.isfinite(short.times).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"threshold": 0.0}, "threshold is 0.0"), ({"max_events": 0}, "max_events is 0")],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        nmnist_sim(jnp.zeros((28, 28)), **options)
    with pytest.raises(ValueError, match="image has shape"):
        nmnist_sim(jnp.zeros((28, 34)))


def test_background_has_its_rate_and_knows_no_place():
    dark = jnp.zeros((28, 28))
    noisy = jax.vmap(lambda key: nmnist_sim(dark, background=1e-3, key=key, max_events=1000))
    events = noisy(jax.random.split(KEY, 50))
    kept = np.isfinite(events.times)
    mean = 1e-3 * 34**2 * 315
    assert abs(kept.sum(axis=1).mean() - mean) < 5 * np.sqrt(mean / 50)
    for found, most in ((events.times, 315), (events.x, 34), (events.y, 34), (events.polarity, 2)):
        values = np.asarray(found)[kept]
        assert abs(values.mean() / most - 0.5 * (1 - (most < 300) / most)) < 0.01
    assert np.all(np.diff(np.where(kept, events.times, 1e6)) >= 0)
    assert not events.overflow.any()


def test_background_is_added_to_the_recording(images):
    plain, more = (nmnist_sim(images["digit"], background=rate, key=KEY) for rate in (0.0, 1e-4))
    ours, theirs = (
        set(zip(*(values.tolist() for values in real(events).values()), strict=True))
        for events in (plain, more)
    )
    assert ours < theirs and 10 < len(theirs - ours) < 80
    assert nmnist_sim(images["digit"], background=1e-4, key=KEY, max_events=len(ours)).overflow


def test_mismatch_moves_thresholds_and_none_changes_nothing(images):
    plain = nmnist_sim(images["noise"], max_events=60_000)
    same = nmnist_sim(images["noise"], key=KEY, max_events=60_000)
    for one, other in zip(plain, same, strict=True):
        np.testing.assert_array_equal(one, other)
    spread = nmnist_sim(images["noise"], mismatch=0.03, key=KEY, max_events=60_000)
    counts = np.isfinite(plain.times).sum(), np.isfinite(spread.times).sum()
    assert counts[0] != counts[1] and abs(counts[1] / counts[0] - 1) < 0.05


@pytest.mark.parametrize(
    "noise, message",
    [
        ({"mismatch": 0.03}, "mismatch is 0.03, which needs a key"),
        ({"background": 1e-4}, "background is 0.0001, which needs a key"),
        ({"background": -1.0, "key": KEY}, "background is -1.0; a number >= 0"),
    ],
)
def test_noise_that_is_refused(noise, message):
    with pytest.raises(ValueError, match=message):
        nmnist_sim(jnp.zeros((28, 28)), **noise)


@pytest.mark.parametrize(("name", "bin_ms"), [("digit", 3), ("noise", 4)])
def test_the_fast_raster_is_that_of_the_events(images, name, bin_ms):
    events = nmnist_sim(images[name], max_events=60_000)
    fast = nmnist_raster(images[name], bin_ms=bin_ms)
    np.testing.assert_array_equal(fast, camera_raster(events, bin_ms=float(bin_ms)))
    assert float(fast.sum()) > 1000


def test_the_fast_raster_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="bin_ms is 0; a whole number >= 1"):
        nmnist_raster(jnp.zeros((28, 28)), bin_ms=0)
    with pytest.raises(ValueError, match="expected \\(28, 28\\)"):
        nmnist_raster(jnp.zeros((28, 34)))
