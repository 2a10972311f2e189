import numpy as np

from plasticjax.data import digits, iris


def test_iris():
    features, labels = iris()
    assert features.dtype == np.float64 and labels.dtype == np.int64
    np.testing.assert_array_equal(features[0], [5.1, 3.5, 1.4, 0.2])
    np.testing.assert_array_equal(labels, np.repeat([0, 1, 2], 50))


def test_digits():
    images, labels = digits()
    assert images.shape == (1797, 8, 8) and images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert images.min() == 0 and images.max() == 16
    np.testing.assert_array_equal(images[0, 0], [0, 0, 5, 13, 9, 1, 0, 0])
    np.testing.assert_array_equal(
        np.bincount(labels), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    )
