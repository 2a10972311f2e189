"""Losses, updates and the training loop."""

from ._first_spike_update import (
    FirstSpikeMetrics as FirstSpikeMetrics,
)
from ._first_spike_update import (
    FirstSpikeState as FirstSpikeState,
)
from ._first_spike_update import (
    FirstSpikeUpdate as FirstSpikeUpdate,
)
from ._first_spike_update import (
    chopped_sum as chopped_sum,
)
from ._first_spike_update import (
    step_schedule as step_schedule,
)
from ._loop import Batch as Batch
from ._loop import train_epoch as train_epoch
from ._membrane_losses import max_over_time as max_over_time
from ._membrane_losses import membrane_loss as membrane_loss
from ._parts import value_and_grad_in_parts as value_and_grad_in_parts
from ._spike_losses import (
    first_spike_class as first_spike_class,
)
from ._spike_losses import (
    first_spike_loss as first_spike_loss,
)
from ._spike_losses import (
    nearest_spike_class as nearest_spike_class,
)
from ._spike_losses import (
    shift_invariant_mse as shift_invariant_mse,
)
from ._spike_losses import (
    spike_time_mse as spike_time_mse,
)
from ._spike_regularisers import InputMoments as InputMoments
from ._spike_regularisers import input_moments as input_moments
from ._spike_regularisers import moment_gradient as moment_gradient
from ._spike_regularisers import moment_penalty as moment_penalty
from ._spike_regularisers import rate_penalty as rate_penalty
from ._spike_train_losses import latency_loss as latency_loss
from ._spike_train_losses import synaptic_scaling as synaptic_scaling
from ._spike_train_losses import van_rossum_loss as van_rossum_loss

__all__ = [
    "train_epoch",
    "Batch",
    "value_and_grad_in_parts",
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
    "membrane_loss",
    "max_over_time",
    "input_moments",
    "InputMoments",
    "moment_penalty",
    "moment_gradient",
    "rate_penalty",
    "latency_loss",
    "van_rossum_loss",
    "synaptic_scaling",
]
