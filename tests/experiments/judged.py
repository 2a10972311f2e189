"""What the tests of several experiments ask of claims."""

import numpy as np


def assert_claims_hold(claims, result, *, size: str, seeds: int) -> None:
    """Every claim gives a number per seed, whose mean lies in the interval of that size, if any."""
    for claim in claims:
        values = np.asarray(claim.measure(result))
        assert values.shape == (seeds,), claim.statement
        low, high = claim.accept.get(size, (-np.inf, np.inf))
        assert low <= values.mean() <= high, claim.statement
