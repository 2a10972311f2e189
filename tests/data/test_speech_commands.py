import hashlib
import tarfile
import wave

import jax
import numpy as np
import pytest

from plasticjax.data import DataUnavailable, speech_commands, speech_noises
from plasticjax.data import _speech_commands as module
from plasticjax.data._speech_commands import COMMANDS, NOISES, which_split

KEY = jax.random.key(0)
SPEAKERS = {"train": [], "validation": [], "test": []}
for number in range(200):
    SPEAKERS[which_split(f"{number:08x}_nohash_0.wav")].append(f"{number:08x}")


def write(path, sound, rate=16_000, width=2, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.asarray(sound, f"<i{width}").tobytes())


def tree(folder, words=(*COMMANDS, "bed", "cat", "tree"), speakers=4):
    """Of each word `speakers` recordings per split; each has its own value in all its samples."""
    values = {}
    for word in words:
        for split, names in SPEAKERS.items():
            for name in names[:speakers]:
                value = len(values) + 1
                values[value] = word, split
                write(folder / word / f"{name}_nohash_0.wav", [value] * 50)
    write(folder / NOISES / "white.wav", [3] * 70_000)
    write(folder / NOISES / "pink.wav", np.arange(60_000) % 1000)
    (folder / NOISES / "README.md").write_text("noises")
    return values


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PLASTICJAX_DATA", str(tmp_path))
    return tmp_path / "speech_commands_v0.02"


def test_files_are_split_as_in_the_published_lists():
    validation = ["8b775397", "2643992f", "060cd039", "6a27a9bf", "dca2797e", "bdb26021"]
    test = ["2aa787cf", "ffa76c4a", "24ad3ebe", "0ea0e2f4", "85834399", "1cb788bc"]
    for speaker in validation:
        assert {which_split(f"{speaker}_nohash_{i}.wav") for i in range(5)} == {"validation"}
    for speaker in test:
        assert {which_split(f"{speaker}_nohash_{i}.wav") for i in range(5)} == {"test"}


def test_a_tenth_each_is_for_validation_and_tests():
    splits = [which_split(f"{number:08x}_nohash_0.wav") for number in range(20_000)]
    for split, share in [("train", 0.8), ("validation", 0.1), ("test", 0.1)]:
        assert abs(splits.count(split) / len(splits) - share) < 0.01


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_holds_its_words_some_unknown_ones_and_silences(folder, split):
    values = tree(folder)
    waveforms, labels = speech_commands(split, key=KEY)
    np.testing.assert_array_equal(labels, np.repeat(np.arange(12), [4] * 12))
    assert waveforms.shape == (48, 16_000) and waveforms.dtype == np.float32
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(waveforms[44:], np.float32(1e-9))
    np.testing.assert_array_equal(waveforms[:44, 50:], 0.0)
    found = waveforms[:44, :50] * 32_768
    np.testing.assert_array_equal(found, found[:, :1] * np.ones(50))
    for value, label in zip(found[:, 0], labels, strict=False):
        word, part = values[int(value)]
        assert part == split
        assert word == COMMANDS[label] if label < 10 else word in ("bed", "cat", "tree")
    assert len(set(found[:, 0])) == 44


def test_the_key_draws_the_unknown_words(folder):
    tree(folder)
    first, labels = speech_commands("test", key=KEY)
    again, _ = speech_commands("test", key=KEY)
    other, _ = speech_commands("test", key=jax.random.key(1))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[labels != 10], other[labels != 10])
    assert not np.array_equal(first[labels == 10], other[labels == 10])


def test_numbers_are_rounded_up(folder):
    tree(folder, speakers=3)  # 30 commands give 3 unknown words of 9, and 3 silences
    write(folder / "yes" / f"{SPEAKERS['test'][7]}_nohash_0.wav", [1])
    _, labels = speech_commands("test", key=KEY)
    np.testing.assert_array_equal(np.bincount(labels), [4] + [3] * 9 + [4, 4])


def test_the_noises_are_cut_to_the_shortest(folder):
    tree(folder, speakers=1)
    noises = speech_noises()
    assert noises.shape == (2, 60_000) and noises.dtype == np.float32
    np.testing.assert_array_equal(noises[0], np.arange(60_000) % 1000 / 32_768)
    np.testing.assert_array_equal(noises[1], 3 / 32_768)


def test_the_range_is_one(folder):
    tree(folder, speakers=1)
    path = folder / "yes" / f"{SPEAKERS['test'][0]}_nohash_0.wav"
    write(path, [-32_768, 32_767, 0, 16_384])
    waveforms, _ = speech_commands("test", key=KEY)
    np.testing.assert_array_equal(waveforms[0, :4], [-1, 32_767 / 32_768, 0, 0.5])


def test_the_download_is_explicit_and_complete(folder, tmp_path, server, monkeypatch):
    served, url = server
    tree(tmp_path / "source", speakers=1)
    with tarfile.open(served / "speech.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "source", ".")
    content = (served / "speech.tar.gz").read_bytes()
    monkeypatch.setattr(module, "URL", f"{url}/speech.tar.gz")
    with pytest.raises(DataUnavailable, match="SHA256 hash"):
        speech_commands("test", key=KEY, download=True)
    assert not folder.exists()
    monkeypatch.setattr(module, "URL_SHA256", hashlib.sha256(content).hexdigest())
    _, labels = speech_commands("test", key=KEY, download=True)
    np.testing.assert_array_equal(labels, np.arange(12))
    assert {path.name for path in tmp_path.iterdir()} >= {folder.name, "speech.tar.gz"}
    assert not folder.with_name(f"{folder.name}.unfinished").exists()


def test_missing_folders_are_named_with_the_ways_to_provide_them(folder):
    tree(folder, words=COMMANDS[1:], speakers=1)
    for load in (lambda: speech_commands("train", key=KEY), speech_noises):
        with pytest.raises(DataUnavailable) as caught:
            load()
        message = str(caught.value)
        assert message.startswith(f"yes/ not found in {folder}; download=True fetches {module.URL}")
        assert "PLASTICJAX_DATA" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 8000}, "1 channels of 16 bits at 8000 Hz"),
        ({"width": 4}, "1 channels of 32 bits at 16000 Hz"),
        ({"channels": 2}, "2 channels of 16 bits at 16000 Hz"),
    ],
)
def test_another_form_of_sound_is_refused_by_name(folder, change, message):
    tree(folder, speakers=1)
    path = folder / "up" / f"{SPEAKERS['test'][0]}_nohash_0.wav"
    write(path, [1] * 50, **change)
    with pytest.raises(ValueError, match=f"{path.name} has {message}; 1 channel of 16"):
        speech_commands("test", key=KEY)


def test_broken_and_long_files_are_refused_by_name(folder):
    tree(folder, speakers=1)
    path = folder / "up" / f"{SPEAKERS['test'][0]}_nohash_0.wav"
    write(path, [1] * 16_001)
    with pytest.raises(ValueError, match=f"{path.name} has 16001 samples; at most 16000"):
        speech_commands("test", key=KEY)
    whole = path.read_bytes()
    path.write_bytes(whole[:-300])
    with pytest.raises(ValueError, match=f"{path.name} is truncated: it holds 31702 of 32002"):
        speech_commands("test", key=KEY)
    for content in (b"", b"<html>not found</html>"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path.name} is not a .wav file"):
            speech_commands("test", key=KEY)


def test_no_noises_are_refused(folder):
    tree(folder, speakers=1)
    for path in (folder / NOISES).glob("*.wav"):
        path.unlink()
    with pytest.raises(ValueError, match=r"holds no \.wav files"):
        speech_noises()


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split is 'dev'; valid splits: 'train', 'validation'"):
        speech_commands("dev", key=KEY)
