import pytest

from plasticjax.energy import MismatchEnergy, feed_forward, linear, logistic, voltage_cost


@pytest.fixture
def layered():
    """A 4-5-3 network: sigmoid hidden layer, linear outputs."""
    return MismatchEnergy((logistic, linear), feed_forward, voltage_cost)
