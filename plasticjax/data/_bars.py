import numpy as np
from jaxtyping import Float


def bars() -> tuple[Float[np.ndarray, "8 3 3"], Float[np.ndarray, "8 3"]]:
    """The eight bars of three pixels in an image of 3 x 3, in three classes.

    Returns:
        Images `[8, 3, 3]` (row, column), float64, 1 on the bar and 0 beside it, dimensionless: the
        horizontal bars from top to bottom, the vertical bars from left to right, the falling and
        the rising diagonal; and targets `[8, 3]`, float64, 1.0 for the class (horizontal, vertical,
        diagonal) and 0.1 for the others, dimensionless.

    Source: Haider et al., Latent equilibrium, NeurIPS 2021, Fig. 3.
    """
    images = np.zeros((8, 3, 3))
    line = np.arange(3)
    images[line, line, :] = 1.0
    images[3 + line, :, line] = 1.0
    images[6, line, line] = 1.0
    images[7, line, 2 - line] = 1.0
    targets = np.where(np.eye(3, dtype=bool), 1.0, 0.1)[[0, 0, 0, 1, 1, 1, 2, 2]]
    return images, targets
