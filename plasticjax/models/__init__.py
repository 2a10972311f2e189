"""Assembled networks from the literature."""

from ._analog_chip import AnalogChip as AnalogChip
from ._analog_chip import AnalogImperfections as AnalogImperfections
from ._first_spike_network import FirstSpikeNetwork as FirstSpikeNetwork

__all__ = ["FirstSpikeNetwork", "AnalogImperfections", "AnalogChip"]
