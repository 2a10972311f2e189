import hashlib
import math
import re
import wave
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from . import _cache

FOLDER = "speech_commands_v0.02"
URL = "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
URL_SHA256 = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE = 10, 11
NOISES = "_background_noise_"
SPLITS = ("train", "validation", "test")
PERCENT = 10  # of the files for validation, and for tests; of unknown words and silences on top
RATE = 16_000  # samples a second, and so the samples of a recording of one second
FULL_SCALE = 32_768  # of 16-bit samples
MAX_FILES_PER_CLASS = 2**27 - 1


def speech_commands(
    split: str, *, key: PRNGKeyArray, download: bool = False
) -> tuple[Float[np.ndarray, "n 16000"], Int[np.ndarray, " n"]]:
    """Google Speech Commands v0.02 in 12 classes: ten words, unknown words, and silence.

    The published folders of `.wav` files are looked for in `speech_commands_v0.02/` below
    `$PLASTICJAX_DATA` (else `~/.cache/plasticjax`). A hash of the speaker's name decides to which
    split a file belongs, as in TensorFlow's example and in the lists of the data set. Per split
    there are 10 % as many unknown words, drawn at random, and 10 % as many silences (constant
    waveforms of 1e-9), as there are recordings of the ten words.

    Args:
        split: `"train"` (about 36900 recordings, 2.4 GB in memory), `"validation"` or `"test"`.
        key: random key that draws the unknown words.
        download: whether to fetch and unpack the published archive (2.4 GB) if it is missing.

    Returns:
        Waveforms `[n, 16000]`, float32, in which 16-bit samples are exact: one second at 16 kHz,
        -1 to 1, dimensionless, shorter recordings followed by zeros; and labels `[n]`, int64: 0
        yes, 1 no, 2 up, 3 down, 4 left, 5 right, 6 on, 7 off, 8 stop, 9 go, 10 unknown, 11 silence.
        They are in the order of the labels: shuffle them before training.

    Raises:
        ValueError: if there is no such split, or if a file is not one second or less of 16-bit mono
            sound at 16 kHz.
        DataUnavailable: if the folders are not there.

    Source: P. Warden, Speech Commands, arXiv 1804.03209 (2018).
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; valid splits: {', '.join(map(repr, SPLITS))}")
    folder = provide(_cache.data_directory(), download)
    paths, labels = choose(folder, split, key)
    silences = math.ceil((labels != UNKNOWN).sum() * PERCENT / 100)
    waveforms = np.zeros((len(paths) + silences, RATE), np.float32)
    for waveform, path in zip(waveforms, paths, strict=False):
        sound = read_wave(path)
        if len(sound) > RATE:
            raise ValueError(f"{path} has {len(sound)} samples; at most {RATE} are expected")
        waveform[: len(sound)] = sound
    waveforms[len(paths) :] = 1e-9
    return waveforms, np.concatenate([labels, np.full(silences, SILENCE)])


def speech_noises(*, download: bool = False) -> Float[np.ndarray, "noise samples"]:
    """The background noises of Google Speech Commands v0.02, cut to the length of the shortest.

    Args:
        download: whether to fetch and unpack the published archive (2.4 GB) if it is missing.

    Returns:
        Waveforms `[noise, samples]`, float32, at 16 kHz, -1 to 1, dimensionless, in the order of
        their names: in the published data six noises of about a minute.

    Raises:
        ValueError: if a file is not 16-bit mono sound at 16 kHz.
        DataUnavailable: if the folders are not there.

    Source: P. Warden, Speech Commands, arXiv 1804.03209 (2018).
    """
    folder = provide(_cache.data_directory(), download) / NOISES
    sounds = [read_wave(path) for path in sorted(folder.glob("*.wav"))]
    if not sounds:
        raise ValueError(f"{folder} holds no .wav files; unpack the archive again")
    shortest = min(map(len, sounds))
    return np.stack([sound[:shortest] for sound in sounds])


def provide(root: Path, download: bool) -> Path:
    """The folder of the words; it gets its name only when all of it is unpacked."""
    folder = root / FOLDER
    missing = [name for name in (*COMMANDS, NOISES) if not (folder / name).is_dir()]
    if not missing:
        return folder
    sought = ", ".join(f"{name}/" for name in missing)
    if not download:
        raise _cache.unavailable(sought, folder, f"; download=True fetches {URL} (2.4 GB)")

    def unpack(archive: str, _action: str, pup: object) -> list[str]:
        import pooch

        unfinished = root / f"{FOLDER}.unfinished"
        pooch.Untar(extract_dir=unfinished.name)(archive, "download", pup)
        unfinished.replace(folder)
        return [str(folder)]

    _cache.download(URL, URL_SHA256, root / Path(URL).name, sought, unpack)
    return folder


def choose(folder: Path, split: str, key: PRNGKeyArray) -> tuple[list[Path], Int[np.ndarray, " n"]]:
    """The files of a split, and their labels."""
    paths, labels = [], []
    for label, word in enumerate(COMMANDS):
        files = files_of(folder / word, split)
        paths += files
        labels += [label] * len(files)
    words = sorted(path for path in folder.iterdir() if path.is_dir())
    others = [word for word in words if word.name not in COMMANDS and word.name != NOISES]
    unknown = [path for word in others for path in files_of(word, split)]
    count = min(math.ceil(len(paths) * PERCENT / 100), len(unknown))
    drawn = np.asarray(jax.random.permutation(key, len(unknown)))[:count]
    paths += [unknown[i] for i in drawn]
    return paths, np.array(labels + [UNKNOWN] * count, np.int64)


def files_of(folder: Path, split: str) -> list[Path]:
    return sorted(path for path in folder.glob("*.wav") if which_split(path.name) == split)


def which_split(name: str) -> str:
    """All recordings of one speaker are in one split; the part after `_nohash_` only counts them.

    The published algorithm, `which_set` of TensorFlow's speech_commands example, to the letter.
    """
    digest = hashlib.sha1(re.sub(r"_nohash_.*$", "", name).encode()).hexdigest()
    place = int(digest, 16) % (MAX_FILES_PER_CLASS + 1) * (100 / MAX_FILES_PER_CLASS)
    if place < PERCENT:
        return "validation"
    return "test" if place < 2 * PERCENT else "train"


def read_wave(path: Path) -> Float[np.ndarray, " samples"]:
    try:
        with wave.open(str(path)) as file:
            form = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames = file.getnframes()
            content = file.readframes(frames)
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} is not a .wav file: {error}") from error
    if form != (1, 2, RATE):
        raise ValueError(
            f"{path} has {form[0]} channels of {8 * form[1]} bits at {form[2]} Hz; 1 channel of 16 "
            f"bits at {RATE} Hz is expected"
        )
    if len(content) != 2 * frames:
        raise ValueError(f"{path} is truncated: it holds {len(content)} of {2 * frames} bytes")
    return np.frombuffer(content, "<i2").astype(np.float32) / np.float32(FULL_SCALE)
