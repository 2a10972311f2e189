"""MNIST as vectors of grey values, for the experiments on latent equilibrium."""

from plasticjax.data import mnist

from ._latent_equilibrium import Task, one_hot_split


def mnist_task(*, full: bool, dtype: str) -> Task:
    """50,000 images for training, 10,000 to validate and 10,000 to test; or, if not `full`, the
    first 8,000 of the test images for training and the other 2,000 for both."""

    def split(images, labels):
        return one_hot_split(images.reshape(len(images), -1) / 256, labels, 10, dtype)

    images, labels = mnist("test")
    if not full:
        held_out = split(images[8000:], labels[8000:])
        return Task(split(images[:8000], labels[:8000]), held_out, held_out)
    test = split(images, labels)
    images, labels = mnist("train")
    return Task(
        split(images[:50_000], labels[:50_000]), split(images[50_000:], labels[50_000:]), test
    )
