import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

RATE = 16_000  # Hz
WINDOW = 1024  # samples
HOP = 400  # samples
BINS = 32
FLOOR = 1e-9  # below the power of any sound
DECIBELS = (20.0, 10.0, 3.0)
MIXED = 0.8  # probability that noise is added
REACH = 1600  # samples: the largest shift, a tenth of a second


def speech_features(
    waveform: Float[Array, " samples"], *, steps_per_frame: int = 20
) -> Float[Array, "steps 32"]:
    """The logarithmic mel spectrogram of a sound, as a slow input signal.

    Frames of 1024 samples, every 400 samples, are weighted by a periodic Hann window; the first is
    centred on the first sample, and the sound is continued by reflection. Their power is summed by
    32 triangular filters, equidistant on the mel scale `2595 log10(1 + f / 700)` between 0 and 8
    kHz. `log2(power + 1e-9)` is shifted and scaled to mean 0 and standard deviation 1 over all
    frames and bins (all zeros if it is constant), and interpolated linearly between the frames'
    centres.

    Args:
        waveform: a sound, `[samples]`, at 16 kHz, dimensionless; more than 512 samples.
        steps_per_frame: number of values per frame in the result; static under `jit`.

    Returns:
        Features `[steps, 32]`, dimensionless; 41 frames and so 820 steps for one second. A step
        lies at the centre of its part of a frame; before the first and after the last centre the
        value is kept.

    Raises:
        ValueError: if the sound is too short or `steps_per_frame` is below 1.

    Source: Ellenberger et al., Generalized Latent Equilibrium, Nat. Commun. (2025); the filters are
    torchaudio's defaults, the ends of the interpolation are ours.
    """
    if steps_per_frame < 1:
        raise ValueError(f"steps_per_frame is {steps_per_frame}; a number >= 1 is required")
    features = normalised(jnp.log2(mel_power(waveform) + FLOOR))
    steps = len(features) * steps_per_frame
    return jax.image.resize(features, (steps, BINS), "linear")


def augment_speech(
    key: PRNGKeyArray, waveform: Float[Array, " samples"], noises: Float[Array, "noise long"]
) -> Float[Array, " samples"]:
    """A sound with random noise and a random shift, for training.

    With probability 0.8 a random piece `n` of a random noise is added to the sound `s`, as
    `(g s + n) / 2` with `g = exp(D / 10) |n| / |s|` and D drawn from 20, 10 and 3. (The base e, not
    10, is that of the publication's code.) Then the sound is moved by up to 1600 samples, and zeros
    fill the gap.

    Args:
        key: random key.
        waveform: the sound, `[samples]`, dimensionless.
        noises: noises at the same rate, `[noise, long]`, dimensionless; each at least as long as
            the sound.

    Returns:
        The sound `[samples]`, dimensionless.

    Raises:
        ValueError: if the noises are shorter than the sound, or there are none.

    Source: Ellenberger et al., Generalized Latent Equilibrium, Nat. Commun. (2025).
    """
    if noises.shape[0] == 0 or noises.shape[1] < waveform.size:
        raise ValueError(
            f"noises has shape {noises.shape}; at least one noise of {waveform.size} samples or "
            "more is required"
        )
    whether, which, begin, loudness, moved = jax.random.split(key, 5)
    row = jax.random.randint(which, (), 0, noises.shape[0])
    offset = jax.random.randint(begin, (), 0, noises.shape[1] - waveform.size + 1)
    noise = jax.lax.dynamic_slice(noises, (row, offset), (1, waveform.size))[0]
    decibel = jax.random.choice(loudness, jnp.asarray(DECIBELS, waveform.dtype))
    noisy = mix(waveform, noise, decibel)
    sound = jnp.where(jax.random.bernoulli(whether, MIXED), noisy, waveform)
    return shift(sound, jax.random.randint(moved, (), -REACH, REACH + 1))


def mix(
    sound: Float[Array, " samples"], noise: Float[Array, " samples"], decibel: Float[Array, ""]
) -> Float[Array, " samples"]:
    energy = jnp.sum(sound**2)
    silent = energy == 0  # then there is nothing to amplify
    ratio = jnp.sqrt(jnp.sum(noise**2) / jnp.where(silent, 1, energy))
    return (jnp.exp(decibel / 10) * ratio * sound + noise) / 2


def shift(sound: Float[Array, " samples"], samples: Int[Array, ""]) -> Float[Array, " samples"]:
    """Later by a number of samples in [-1600, 1600]."""
    return jax.lax.dynamic_slice(jnp.pad(sound, REACH), (REACH - samples,), (sound.size,))


def mel_power(waveform: Float[Array, " samples"]) -> Float[Array, "frames 32"]:
    half = WINDOW // 2
    if waveform.size <= half:
        raise ValueError(f"waveform has {waveform.size} samples; more than {half} are required")
    padded = jnp.pad(waveform, half, "reflect")
    starts = np.arange(1 + waveform.size // HOP) * HOP
    window = jnp.asarray(np.hanning(WINDOW + 1)[:-1], waveform.dtype)
    spectrum = jnp.fft.rfft(padded[starts[:, None] + np.arange(WINDOW)] * window)
    power = spectrum.real**2 + spectrum.imag**2
    return power @ jnp.asarray(mel_filters(), waveform.dtype)


@functools.cache
def mel_filters() -> Float[np.ndarray, "frequencies 32"]:
    """Triangles of height 1 over frequency; each begins and ends at its neighbours' centres."""
    frequencies = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    corners = hertz(np.linspace(0, mel(RATE / 2), BINS + 2))
    rising = (frequencies[:, None] - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - frequencies[:, None]) / np.diff(corners)[1:]
    return np.maximum(0, np.minimum(rising, falling))


def mel(frequency: float) -> float:
    return 2595 * np.log10(1 + frequency / 700)


def hertz(mel: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return 700 * (10 ** (mel / 2595) - 1)


def normalised(features: Float[Array, "frames bins"]) -> Float[Array, "frames bins"]:
    features = features - features[0, 0]  # so that a constant becomes 0 without rounding
    centred = features - features.mean()
    variance = jnp.mean(centred**2)
    constant = variance == 0
    return jnp.where(constant, 0, centred / jnp.sqrt(jnp.where(constant, 1, variance)))
