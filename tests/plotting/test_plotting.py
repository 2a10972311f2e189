"""What the figures draw is checked on their artists, not on pixels."""

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from plasticjax import plotting

INF = np.inf
EPOCHS = np.arange(4)
MEAN = np.arange(4 * 2 * 2, dtype=float).reshape(4, 2, 2)

DRAW = {
    "raster": lambda ax: plotting.raster([1.0, 2.0], ax=ax),
    "membrane_traces": lambda ax: plotting.membrane_traces([0, 1], [0, 1], labels=["a"], ax=ax),
    "learning_curve": lambda ax: plotting.learning_curve([0, 1], [[1, 2]], label="a", ax=ax),
    "classification_map": lambda ax: plotting.classification_map(
        [[0, 1]], class_names=["a", "b"], ax=ax
    ),
    "spike_time_histories": lambda ax: plotting.spike_time_histories(
        EPOCHS, MEAN[:, :1], MEAN[:, :1], axes=None if ax is None else [ax]
    )[0],
}


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.mark.parametrize("name", DRAW)
def test_draws_on_the_given_axes_and_leaves_global_state_alone(name, ax):
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams)
    assert DRAW[name](ax) is ax
    own = DRAW[name](None)
    assert own is not ax
    assert own.figure.get_figwidth() == 3.5
    own.figure.savefig("/dev/null", format="png")
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before
    assert all(6 <= text.get_fontsize() <= 9 for text in [*ax.get_xticklabels(), ax.xaxis.label])


def test_every_figure_is_covered():
    functions = {name for name in plotting.__all__ if not name[0].isupper()} - {"class_color"}
    assert functions == set(DRAW)


def test_class_colors_repeat_and_minus_one_is_grey():
    assert plotting.class_color(9) == plotting.CLASS_COLORS[1]
    assert plotting.class_color(-1) == plotting.NO_DECISION_COLOR
    assert len(set(plotting.CLASS_COLORS)) == 8
    with pytest.raises(ValueError, match="index is -2"):
        plotting.class_color(-2)


@pytest.mark.parametrize(
    ("times", "drawn"),
    [
        ([3.0, INF, 5.0], [[3.0], [], [5.0]]),
        ([[1.0, 2.0], [4.0, INF]], [[1.0, 2.0], [4.0]]),
        ([[1.0, 2.0, INF], [], [4.0]], [[1.0, 2.0], [], [4.0]]),
        (np.full((2, 3), INF), [[], []]),
    ],
)
def test_raster_draws_finite_spikes_only(times, drawn, ax):
    plotting.raster(times, ax=ax)
    assert [list(row.get_positions()) for row in ax.collections] == drawn
    assert [row.get_lineoffset() for row in ax.collections] == list(range(len(drawn)))


def test_raster_colors_groups(ax):
    plotting.raster([1.0, 2.0, 3.0], groups=[0, 1, 1], ax=ax)
    colors = [to_rgba(row.get_color()) for row in ax.collections]
    assert colors == [to_rgba(plotting.CLASS_COLORS[k]) for k in (0, 1, 1)]


def test_membrane_traces_draw_data_threshold_and_finite_spikes(ax):
    t = np.linspace(0, 1, 5)
    v = np.stack([t, 2 * t], axis=1)
    plotting.membrane_traces(t, v, threshold=0.7, spikes=[INF, 0.35], labels=["a", "b"], ax=ax)
    lines = {tuple(np.shape(line.get_xdata())): line for line in ax.lines}
    traces = [line for line in ax.lines if len(line.get_xdata()) == 5]
    np.testing.assert_array_equal([line.get_ydata() for line in traces], v.T)
    assert [line.get_label() for line in traces] == ["a", "b"]
    dashed = ax.lines[0]
    assert set(dashed.get_ydata()) == {0.7}
    assert lines[(1,)].get_xydata().tolist() == [[0.35, 0.7]]
    assert sum(line.get_marker() == "v" for line in ax.lines) == 1
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


def test_membrane_spike_without_threshold_sits_on_the_trace(ax):
    plotting.membrane_traces([0.0, 1.0], [0.0, 4.0], spikes=0.25, ax=ax)
    marker = next(line for line in ax.lines if line.get_marker() == "v")
    assert marker.get_xydata().tolist() == [[0.25, 1.0]]


def test_learning_curve_draws_mean_and_one_standard_deviation(ax):
    values = np.array([[1.0, 2.0, 5.0], [3.0, 2.0, 6.0]])
    plotting.learning_curve([10, 20, 30], values, label="a", ax=ax)
    plotting.learning_curve([10, 20, 30], values[:1], ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[10, 2], [20, 2], [30, 5.5]])
    (band,) = ax.collections  # a single seed has none
    edges = band.get_paths()[0].vertices
    sd = values.std(axis=0, ddof=1)
    np.testing.assert_allclose(edges[:, 1].max(), 5.5 + sd[2])
    np.testing.assert_allclose(edges[edges[:, 0] == 10, 1].min(), 2 - sd[0])
    colors = [line.get_color() for line in ax.lines]
    assert colors == list(plotting.CLASS_COLORS[:2])


def test_classification_map_evaluates_the_plane_in_the_right_orientation(ax):
    def classify(xy):
        return np.where(xy[:, 1] > 3.0, -1, (xy[:, 0] > 0.5).astype(int))

    plotting.classification_map(
        classify, extent=(0, 1, 2, 4), resolution=4, class_names=["a", "b"], ax=ax
    )
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), [[0, 0, 1, 1]] * 2 + [[-1] * 4] * 2)
    assert image.origin == "lower"
    assert list(image.get_extent()) == [0, 1, 2, 4]
    colors = image.to_rgba(np.array([[-1, 0, 1, 7]]))[0]
    expected = [plotting.NO_DECISION_COLOR, *(plotting.CLASS_COLORS[k] for k in (0, 1, 7))]
    np.testing.assert_allclose(colors, [to_rgba(color) for color in expected])
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["a", "b", "no decision"]


def test_spike_time_histories_have_a_panel_a_class_and_gaps():
    mean = MEAN.copy()
    mean[1, 0, 1] = INF
    axes = plotting.spike_time_histories(EPOCHS, mean, np.ones_like(mean), class_names=["a", "b"])
    assert [ax.get_title() for ax in axes] == ["class a", "class b"]
    for k, ax in enumerate(axes):
        widths = [line.get_linewidth() for line in ax.lines]
        assert widths[k] == max(widths) > min(widths)
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), MEAN[:, k, 0])
        assert len(ax.collections) == 2
    assert np.isnan(axes[0].lines[1].get_ydata()).tolist() == [False, True, False, False]


NAN = np.nan


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plotting.raster([1.0, NAN]), "times has 1 NaN"),
        (lambda: plotting.raster([[1.0], [NAN, 2.0]]), r"times\[1\] has 1 NaN"),
        (lambda: plotting.raster([-INF]), "a missing spike is"),
        (lambda: plotting.raster(np.zeros((1, 1, 1))), r"times has shape \(1, 1, 1\)"),
        (lambda: plotting.raster([1.0], groups=[0, 1]), "groups has shape"),
        (lambda: plotting.membrane_traces([0, 1], [0, NAN]), "voltages has 1 NaN"),
        (lambda: plotting.membrane_traces([0, INF], [0, 1]), "times has 1 infinite"),
        (lambda: plotting.membrane_traces([0, 1, 2], [[0, 1, 2]]), "voltages has 1 samples"),
        (lambda: plotting.membrane_traces([0, 1], [0, 1], threshold=NAN), "threshold has 1 NaN"),
        (lambda: plotting.membrane_traces([0, 1], [0, 1], spikes=[1, 2]), "spikes has 2"),
        (lambda: plotting.membrane_traces([0, 1], [0, 1], labels=["a", "b"]), "labels has 2"),
        (lambda: plotting.learning_curve([0, 1], [1, 2]), "values has shape"),
        (lambda: plotting.learning_curve([0, 1], [[1, 2, 3]]), r"must be \[seeds, 2\]"),
        (lambda: plotting.learning_curve([0, 1], [[1, NAN]]), "values has 1 NaN"),
        (lambda: plotting.learning_curve([], [[]]), "not empty"),
        (lambda: plotting.classification_map([[0, 8]]), r"lie in \[0, 8\]"),
        (lambda: plotting.classification_map([[0.5]]), "whole numbers"),
        (lambda: plotting.classification_map([[NAN]]), "1 NaN"),
        (lambda: plotting.classification_map([0, 1]), "must be 2-d"),
        (lambda: plotting.classification_map(lambda xy: xy[:3, 0] * 0), "returned 3 classes"),
        (lambda: plotting.classification_map([[0]], extent=(1, 0, 0, 1)), "extent is"),
        (lambda: plotting.classification_map([[0]], extent=(0, 1, 1)), "extent is"),
        (lambda: plotting.classification_map(lambda xy: xy, resolution=1), "resolution is 1"),
        (lambda: plotting.classification_map([[1]], class_names=["a"]), "class 1 occurs"),
        (lambda: plotting.spike_time_histories([0], MEAN, MEAN), r"must be \[1, classes"),
        (lambda: plotting.spike_time_histories(EPOCHS, MEAN, MEAN[:1]), "sd has shape"),
        (lambda: plotting.spike_time_histories(EPOCHS, MEAN, MEAN, axes=[]), "axes has 0"),
        (
            lambda: plotting.spike_time_histories(EPOCHS, MEAN, MEAN, class_names=["a"]),
            "class_names has 1",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
