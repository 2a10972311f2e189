"""How imperfect a chip is: sizes of fixed pattern and noise, as one frozen record."""

import json
from dataclasses import asdict, dataclass, fields, replace

# How much calibration reduces the spread, limits of the calibration tests (sheet of the chip).
REDUCTION = {"leak": 0.30, "reset": 0.20, "threshold": 0.35, "tau_mem": 0.45, "tau_syn": 0.20}


@dataclass(frozen=True)
class ChipProfile:
    """Sizes of the imperfections of a BrainScaleS-2 chip, and the seed that makes one of them.

    The defaults are a calibrated chip. Spreads are standard deviations; `cv` ones are relative.
    The fixed pattern depends on `seed` alone, noise from trial to trial on the key of the run.
    Most sizes are assumptions that agree with the limits of published calibration tests; the time
    constants are those of Wunderlich et al. (2019), jitter and threshold noise those of Göltz et
    al. (2021).

    Attributes:
        seed: which chip of this kind (dimensionless).
        leak_sd: spread of leak potentials (LSB).
        reset_sd: spread of reset potentials (LSB).
        threshold_sd: spread of thresholds (LSB).
        threshold_trial_sd: change of thresholds from run to run (LSB).
        tau_mem_cv: spread of membrane time constants (dimensionless).
        tau_syn_cv: spread of synaptic time constants (dimensionless).
        neuron_gain_cv: spread of the synaptic gain of a neuron (dimensionless).
        synapse_gain_cv: spread of the gain of a synapse (dimensionless).
        dead: part of the neurons that never spike (dimensionless).
        psp: peak of the potential of weight 63 if both time constants are 10 us (LSB).
        coba_reference: driving force at which a conductance acts like the current (LSB).
        jitter: spread of reported and routed spike times (us).
        latency: from a spike to the synaptic event (us).
        backlog: how long an event waits for its bus before it is dropped (us).
        sensor_amplitude: correlation of one tight pair (LSB).
        sensor_tau: time constant of the correlation sensors (us).
        sensor_amplitude_log_sd: log spread of amplitudes (dimensionless).
        sensor_tau_log_sd: log spread of time constants of the sensors (dimensionless).
        sensor_baseline: reading after a reset (LSB).
        sensor_column_sd: spread of baselines between channels (LSB).
        sensor_synapse_sd: spread of baselines within a channel (LSB).
        sensor_leak_tau: time constant with which correlations are lost; infinite: never (us).
        cadc_noise: noise of a reading (LSB).
        cadc_gain_sd: spread of the gain of the channels (dimensionless).
        cadc_offset_sd: spread of the offsets of the channels (LSB).
        madc_gain: LSB of the fast converter per LSB of the parallel one (dimensionless).
        madc_noise: noise of a reading of the fast converter (its LSB).
        weight_table: relative charge of the weights 0 to 63; empty: the weight (dimensionless).
    """

    seed: int = 0
    leak_sd: float = 1.5
    reset_sd: float = 1.5
    threshold_sd: float = 2.5
    threshold_trial_sd: float = 0.7
    tau_mem_cv: float = 0.05
    tau_syn_cv: float = 0.05
    neuron_gain_cv: float = 0.1
    synapse_gain_cv: float = 0.1
    dead: float = 0.02
    psp: float = 22.0
    coba_reference: float = 190.0
    jitter: float = 0.06
    latency: float = 0.16
    backlog: float = 1.0
    sensor_amplitude: float = 0.5
    sensor_tau: float = 5.0
    sensor_amplitude_log_sd: float = 0.4
    sensor_tau_log_sd: float = 0.2
    sensor_baseline: float = 180.0
    sensor_column_sd: float = 6.0
    sensor_synapse_sd: float = 2.0
    sensor_leak_tau: float = float("inf")
    cadc_noise: float = 1.0
    cadc_gain_sd: float = 0.01
    cadc_offset_sd: float = 1.5
    madc_gain: float = 4.0
    madc_noise: float = 2.0
    weight_table: tuple[float, ...] = ()

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is float and not value >= 0:
                raise ValueError(f"{field.name}={value} must not be negative")
        if not self.dead <= 1:
            raise ValueError(f"dead={self.dead} must be at most 1")
        if len(self.weight_table) not in (0, 64):
            raise ValueError(
                f"weight_table has {len(self.weight_table)} entries; valid: 64, or none"
            )

    @classmethod
    def ideal(cls, **changes) -> "ChipProfile":
        """A chip without fixed pattern, noise, jitter and dead neurons.

        Args:
            changes: attributes that shall differ, in their units.

        Returns:
            The profile.
        """
        spreads = {
            field.name: 0.0
            for field in fields(cls)
            if field.name.endswith(("_sd", "_cv", "_noise")) or field.name in ("dead", "jitter")
        }
        return cls(**{**spreads, **changes})

    @classmethod
    def bss2_calibrated(cls, **changes) -> "ChipProfile":
        """A calibrated chip: the defaults.

        Args:
            changes: attributes that shall differ, in their units.

        Returns:
            The profile.
        """
        return cls(**changes)

    @classmethod
    def bss2_uncalibrated(cls, **changes) -> "ChipProfile":
        """A chip before calibration: spreads divided by what calibration reduces them to.

        Args:
            changes: attributes that shall differ, in their units.

        Returns:
            The profile.
        """
        own = cls()
        wide = {
            "leak_sd": own.leak_sd / REDUCTION["leak"],
            "reset_sd": own.reset_sd / REDUCTION["reset"],
            "threshold_sd": own.threshold_sd / REDUCTION["threshold"],
            "tau_mem_cv": own.tau_mem_cv / REDUCTION["tau_mem"],
            "tau_syn_cv": own.tau_syn_cv / REDUCTION["tau_syn"],
            "cadc_offset_sd": 6.0,
            "cadc_gain_sd": 0.04,
        }
        return replace(own, **{**wide, **changes})

    def to_json(self) -> str:
        """The profile as text, to be kept next to results.

        Returns:
            JSON; `from_json` gives the same profile.
        """
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "ChipProfile":
        """Reads a profile.

        Args:
            text: what `to_json` wrote; attributes that are left out have their defaults.

        Returns:
            The profile.

        Raises:
            ValueError: if the text names an attribute that does not exist.
        """
        values = json.loads(text)
        known = {field.name for field in fields(cls)}
        if unknown := sorted(values.keys() - known):
            raise ValueError(f"the profile has unknown attributes: {', '.join(unknown)}")
        values["weight_table"] = tuple(values.get("weight_table", ()))
        return cls(**values)
