"""What the figure of the reward experiment shows: trials, cumulative rewards, and agreement."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float


def draw_trials(
    ax, spikes: Bool[np.ndarray, "trials steps"], reward: Float[np.ndarray, " trials"], dt: float
) -> None:
    """Spikes of trials, green where the answer was rewarded and red where not."""
    from plasticjax.plotting import raster

    raster([np.flatnonzero(row) * dt for row in spikes], ax=ax)
    for row, one in enumerate(reward):
        ax.axhspan(row - 0.5, row + 0.5, color="C2" if one > 0 else "C3", alpha=0.12, lw=0)
    ax.set(ylabel="trial", xlim=(0, spikes.shape[1] * dt))


def draw_rewards(ax, rewards: Mapping[str, Float[np.ndarray, "fresh trials"]]) -> None:
    """Cumulative reward, the mean over experiments; the last rule in black."""
    *_, last = rewards
    for name, one in rewards.items():
        shown = {"color": "k"} if name == last else {"lw": 0.9}
        ax.plot(np.cumsum(one, axis=1).mean(axis=0), label=name, **shown)
    ax.set(xlabel="trial", ylabel="cumulative reward")
    ax.set_title("mean of fresh experiments", fontsize=9)
    ax.legend(frameon=False, fontsize=6)


def draw_agreement(
    ax, published: Float[np.ndarray, " rules"], ours: Float[np.ndarray, " rules"]
) -> None:
    """Published fitness of rules against ours."""
    ax.plot(published, np.where(np.isfinite(ours), ours, np.nan), ".", color="C1")
    ax.axline((0, 0), slope=1, color="0.7", lw=0.8, ls=":")
    ax.set(xlabel="published fitness", ylabel="ours, fresh experiments")
    ax.set_title(f"{len(published)} published rules", fontsize=9)
