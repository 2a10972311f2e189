"""Losses, updates and the training loop."""

from ._first_spike_update import (
    FirstSpikeMetrics as FirstSpikeMetrics,
    FirstSpikeState as FirstSpikeState,
    FirstSpikeUpdate as FirstSpikeUpdate,
    chopped_sum as chopped_sum,
    step_schedule as step_schedule,
)
from ._loop import Batch as Batch, train_epoch as train_epoch
from ._spike_losses import (
    first_spike_class as first_spike_class,
    first_spike_loss as first_spike_loss,
    nearest_spike_class as nearest_spike_class,
    shift_invariant_mse as shift_invariant_mse,
    spike_time_mse as spike_time_mse,
)

__all__ = [
    "train_epoch",
    "Batch",
    "FirstSpikeUpdate",
    "FirstSpikeState",
    "FirstSpikeMetrics",
    "chopped_sum",
    "step_schedule",
    "first_spike_loss",
    "spike_time_mse",
    "shift_invariant_mse",
    "first_spike_class",
    "nearest_spike_class",
]
