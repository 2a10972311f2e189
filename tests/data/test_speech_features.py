import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticjax.data import augment_speech, speech_features
from plasticjax.data._speech_features import hertz, mel, mel_filters, mel_power, mix, shift

CENTRES = hertz(np.linspace(0, mel(8000.0), 34))  # with the two outer ends


def noise(seed=0, samples=16_000):
    return np.random.default_rng(seed).normal(scale=0.1, size=samples)


def tone(frequency, samples=16_000):
    return np.sin(2 * np.pi * frequency * np.arange(samples) / 16_000)


def test_the_scale_is_that_of_htk():
    np.testing.assert_allclose(mel(1000.0), 1000, atol=0.02)
    np.testing.assert_allclose(hertz(np.array([mel(440.0)])), 440)


def test_filters_are_a_partition_of_unity_between_the_outer_centres():
    filters = mel_filters()
    frequencies = np.linspace(0, 8000, 513)
    inside = (frequencies >= CENTRES[1]) & (frequencies <= CENTRES[-2])
    np.testing.assert_allclose(filters.sum(axis=1)[inside], 1, atol=1e-13)
    assert filters.sum(axis=1).max() < 1 + 1e-13
    assert filters.min() == 0 and (filters.max(axis=0) > 0.5).all()
    assert ((filters > 0).sum(axis=1) <= 2).all()
    np.testing.assert_allclose(filters[[0, -1]], 0, atol=1e-13)


def test_filters_are_triangles_between_their_neighbours_centres():
    frequencies = np.linspace(0, 8000, 513)
    for k, response in enumerate(mel_filters().T):
        expected = np.interp(frequencies, CENTRES[k : k + 3], [0, 1, 0])
        np.testing.assert_allclose(response, expected, atol=1e-12)


@pytest.mark.parametrize("k", [3, 10, 20, 31])
def test_the_power_of_a_tone_is_in_its_bin(x64, k):
    """A Hann window of 1024 samples sees a tone of amplitude 1 with a total power of 3/8 N^2 / 2.

    (The sum of squares of its three lines: (N/4)^2 (1 + 2 / 4).)
    """
    frequency = round(CENTRES[k + 1] / 15.625) * 15.625
    power = mel_power(jnp.asarray(tone(frequency)))[3:-3]
    assert (power.argmax(axis=1) == k).all()
    around = power[:, max(k - 2, 0) : k + 3].sum(axis=1)
    assert (around > 0.999 * power.sum(axis=1)).all()
    if k < 31:
        np.testing.assert_allclose(power.sum(axis=1), 1.5 * 256**2, rtol=1e-6)


def test_frames_agree_with_a_plain_fourier_sum(x64):
    sound = noise(samples=2000)
    power = mel_power(jnp.asarray(sound))
    assert power.shape == (6, 32)
    padded = np.concatenate([sound[512:0:-1], sound, sound[-2:-514:-1]])
    n = np.arange(1024)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / 1024)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(513), n) / 1024)
    for frame in range(6):
        spectrum = waves @ (hann * padded[400 * frame : 400 * frame + 1024])
        np.testing.assert_allclose(power[frame], np.abs(spectrum) ** 2 @ mel_filters(), rtol=1e-9)


def test_features_are_normalised_and_interpolated(x64):
    sound = jnp.asarray(noise())
    frames = np.log2(np.asarray(mel_power(sound)) + 1e-9)
    frames = (frames - frames.mean()) / frames.std()
    np.testing.assert_allclose(speech_features(sound, steps_per_frame=1), frames, atol=1e-12)
    features = speech_features(sound)
    assert features.shape == (820, 32)
    places = (np.arange(820) + 0.5) / 20 - 0.5
    for k in range(32):
        expected = np.interp(places, np.arange(41), frames[:, k])
        np.testing.assert_allclose(features[:, k], expected, atol=1e-12)


def test_louder_sounds_have_the_same_features():
    sound = jnp.asarray(noise(), jnp.float32)
    assert speech_features(sound).dtype == jnp.float32
    np.testing.assert_allclose(speech_features(sound), speech_features(4 * sound), atol=1e-4)


def test_silence_has_finite_features():
    np.testing.assert_array_equal(speech_features(jnp.zeros(16_000)), 0.0)
    silence = speech_features(jnp.full(16_000, 1e-9), steps_per_frame=1)
    np.testing.assert_allclose([silence.mean(), silence.std()], [0, 1], atol=1e-3)
    slope = jax.jit(jax.grad(lambda s: speech_features(s)[7, 3]))(jnp.zeros(16_000))
    assert np.isfinite(slope).all()


def test_features_of_a_batch():
    sounds = jnp.asarray([noise(0), noise(1)], jnp.float32)
    features = jax.jit(jax.vmap(speech_features))(sounds)
    assert features.shape == (2, 820, 32)
    np.testing.assert_allclose(features[1], speech_features(sounds[1]), atol=1e-4)


def test_mixing_sets_the_ratio_of_the_norms(x64):
    sound, other = jnp.asarray(noise(0)), jnp.asarray(noise(1))
    for decibel in (20.0, 10.0, 3.0):
        mixed = mix(sound, other, jnp.asarray(decibel))
        speech = 2 * mixed - other
        ratio = np.linalg.norm(speech) / np.linalg.norm(other)
        np.testing.assert_allclose(ratio, np.exp(decibel / 10), rtol=1e-12)
        np.testing.assert_allclose(speech / speech[0], sound / sound[0], rtol=1e-9)
    np.testing.assert_allclose(mix(0 * sound, other, jnp.asarray(3.0)), other / 2)


def test_shifts_fill_with_zeros():
    sound = jnp.arange(1.0, 5001.0)
    np.testing.assert_array_equal(shift(sound, jnp.asarray(0)), sound)
    later = shift(sound, jnp.asarray(1600))
    np.testing.assert_array_equal(later, np.r_[np.zeros(1600), sound[:-1600]])
    earlier = shift(sound, jnp.asarray(-1600))
    np.testing.assert_array_equal(earlier, np.r_[sound[1600:], np.zeros(1600)])


def test_augmented_sounds_have_the_stated_statistics():
    """A pulse is found again; noises of one value each tell which was taken, and at which ratio."""
    pulse = jnp.zeros(4000).at[2000].set(1.0)
    noises = jnp.array([[0.01], [0.02]]) * jnp.ones((2, 5000))
    keys = jax.random.split(jax.random.key(0), 2000)
    sounds = np.asarray(jax.jit(jax.vmap(lambda key: augment_speech(key, pulse, noises)))(keys))
    moved = sounds.argmax(axis=1) - 2000
    assert moved.min() < -1580 and moved.max() > 1580 and np.abs(moved).max() <= 1600
    assert abs(moved.mean()) < 5 * 924 / np.sqrt(2000)
    ground = np.median(sounds, axis=1)
    np.testing.assert_allclose(np.unique(ground), [0, 0.005, 0.01], rtol=1e-6)
    mixed = ground > 0
    assert abs(mixed.mean() - 0.8) < 0.03
    assert abs((ground[mixed] == ground.max()).mean() - 0.5) < 0.05
    gain = (sounds.max(axis=1) - ground)[mixed] / (ground[mixed] * np.sqrt(4000))
    found, counts = np.unique(np.round(np.log(gain), 3), return_counts=True)
    np.testing.assert_allclose(found, [0.3, 1.0, 2.0])
    np.testing.assert_allclose(counts / counts.sum(), 1 / 3, atol=0.05)


def test_noise_is_taken_from_anywhere():
    """Without a shift the noise would be a ramp that begins where the piece was cut."""
    ramp = jnp.arange(1.0, 20_001.0)[None]
    keys = jax.random.split(jax.random.key(1), 300)
    sounds = jax.jit(jax.vmap(lambda key: augment_speech(key, jnp.zeros(4000), ramp)))(keys)
    centre = 2 * np.asarray(sounds)[:, 2000]
    centre = centre[centre > 0]
    assert centre.min() < 2000 and centre.max() > 18_000


def test_short_sounds_and_noises_are_refused():
    with pytest.raises(ValueError, match="waveform has 512 samples; more than 512 are required"):
        speech_features(jnp.zeros(512))
    with pytest.raises(ValueError, match="steps_per_frame is 0; a number >= 1"):
        speech_features(jnp.zeros(16_000), steps_per_frame=0)
    for shape in [(2, 99), (0, 200)]:
        with pytest.raises(ValueError, match=r"noises has shape .* 100 samples"):
            augment_speech(jax.random.key(0), jnp.zeros(100), jnp.zeros(shape))
