"""MNIST-1D, one number a time step, for the experiments on generalised latent equilibrium."""

import jax
import jax.numpy as jnp

from plasticjax.data import mnist1d

from ._gle import Data

KEY = 42  # the published data set too has one fixed seed
POINTS = 72  # of a sample of MNIST-1D


def mnist1d_task(*, samples: int, dt: float, dtype: str) -> tuple[Data, Data]:
    """Training set, four fifths of the samples, and test set; inputs [samples, time, 1]."""
    split = mnist1d(jax.random.key(KEY), size=samples, length=round(POINTS / dt))
    train_set, test_set = (
        Data(jnp.asarray(inputs, dtype)[..., None], labels) for inputs, labels in split
    )
    return train_set, test_set
