"""Data sets and task generators, as arrays; and codes of values as spike times."""

from ._bars import bars as bars
from ._bundled import digits as digits
from ._bundled import iris as iris
from ._cache import DataUnavailable as DataUnavailable
from ._cifar10 import cifar10 as cifar10
from ._delayed_xor import DelayedXorTrial as DelayedXorTrial
from ._delayed_xor import delayed_xor as delayed_xor
from ._encoding import (
    decode_first_spike as decode_first_spike,
)
from ._encoding import (
    encode_first_spike as encode_first_spike,
)
from ._event_recordings import event_raster as event_raster
from ._event_recordings import nmnist as nmnist
from ._event_recordings import shd as shd
from ._higgs import higgs as higgs
from ._ieeg import ieeg as ieeg
from ._ieeg import multichannel_oscillations as multichannel_oscillations
from ._mnist import downsample_mnist as downsample_mnist
from ._mnist import mnist as mnist
from ._mnist1d import mnist1d as mnist1d
from ._mnist1d import mnist1d_sample as mnist1d_sample
from ._nmnist_sim import CameraEvents as CameraEvents
from ._nmnist_sim import camera_raster as camera_raster
from ._nmnist_sim import nmnist_raster as nmnist_raster
from ._nmnist_sim import nmnist_sim as nmnist_sim
from ._randman import RandMan as RandMan
from ._randman import manifold as manifold
from ._randman import randman as randman
from ._randman import spike_raster as spike_raster
from ._speech_commands import speech_commands as speech_commands
from ._speech_commands import speech_noises as speech_noises
from ._speech_features import augment_speech as augment_speech
from ._speech_features import speech_features as speech_features
from ._yin_yang import (
    yin_yang as yin_yang,
)
from ._yin_yang import (
    yin_yang_batch as yin_yang_batch,
)
from ._yin_yang import (
    yin_yang_class as yin_yang_class,
)
from ._yin_yang import (
    yin_yang_split as yin_yang_split,
)

__all__ = [
    "yin_yang",
    "yin_yang_split",
    "yin_yang_batch",
    "yin_yang_class",
    "encode_first_spike",
    "decode_first_spike",
    "mnist",
    "downsample_mnist",
    "mnist1d",
    "mnist1d_sample",
    "cifar10",
    "higgs",
    "speech_commands",
    "speech_noises",
    "augment_speech",
    "speech_features",
    "ieeg",
    "multichannel_oscillations",
    "bars",
    "iris",
    "digits",
    "DataUnavailable",
    "randman",
    "RandMan",
    "manifold",
    "spike_raster",
    "delayed_xor",
    "DelayedXorTrial",
    "nmnist_sim",
    "nmnist_raster",
    "camera_raster",
    "CameraEvents",
    "nmnist",
    "shd",
    "event_raster",
]
