import numpy as np
from jaxtyping import Float, Int, UInt8


def iris() -> tuple[Float[np.ndarray, "150 4"], Int[np.ndarray, " 150"]]:
    """Fisher's iris flowers, as bundled with scikit-learn (which must be installed).

    Returns:
        Features `[150, 4]`, float64, in units of 1 cm: length and width of the sepal, length and
        width of the petal; and labels `[150]`, int64: 0 setosa, 1 versicolor, 2 virginica, 50 of
        each, in this order.

    Source: R. A. Fisher, Annals of Eugenics 7, 179 (1936).
    """
    from sklearn.datasets import load_iris

    features, labels = load_iris(return_X_y=True)
    return np.asarray(features), np.asarray(labels, np.int64)


def digits() -> tuple[UInt8[np.ndarray, "1797 8 8"], Int[np.ndarray, " 1797"]]:
    """Handwritten digits of 8 x 8 pixels, as bundled with scikit-learn (which must be installed).

    Returns:
        Images `[1797, 8, 8]`, uint8, grey values 0 to 16, dimensionless; and labels `[1797]`,
        int64, 0 to 9.

    Source: E. Alpaydin & C. Kaynak, Optical Recognition of Handwritten Digits (test set), UCI
    Machine Learning Repository (1998).
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return np.asarray(pixels, np.uint8).reshape(-1, 8, 8), np.asarray(labels, np.int64)
