import numpy as np

from plasticjax.data import bars

PICTURES = """
xxx ... ... x.. .x. ..x x.. ..x
... xxx ... x.. .x. ..x .x. .x.
... ... xxx x.. .x. ..x ..x x..
"""


def test_the_eight_bars():
    images, targets = bars()
    rows = [row.split() for row in PICTURES.split("\n")[1:4]]
    for k in range(8):
        expected = [[float(pixel == "x") for pixel in row[k]] for row in rows]
        np.testing.assert_array_equal(images[k], expected)
    assert images.dtype == targets.dtype == np.float64
    np.testing.assert_array_equal(targets[0], [1.0, 0.1, 0.1])
    np.testing.assert_array_equal(targets.argmax(axis=1), [0, 0, 0, 1, 1, 1, 2, 2])
    np.testing.assert_array_equal(np.unique(targets, return_counts=True), [[0.1, 1.0], [16, 8]])
