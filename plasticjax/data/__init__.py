"""Data sets and task generators, as arrays; and codes of values as spike times."""

from ._bars import bars as bars
from ._bundled import digits as digits
from ._bundled import iris as iris
from ._cache import DataUnavailable as DataUnavailable
from ._cifar10 import cifar10 as cifar10
from ._encoding import (
    decode_first_spike as decode_first_spike,
)
from ._encoding import (
    encode_first_spike as encode_first_spike,
)
from ._higgs import higgs as higgs
from ._mnist import downsample_mnist as downsample_mnist
from ._mnist import mnist as mnist
from ._mnist1d import mnist1d as mnist1d
from ._mnist1d import mnist1d_sample as mnist1d_sample
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
    "bars",
    "iris",
    "digits",
    "DataUnavailable",
]
