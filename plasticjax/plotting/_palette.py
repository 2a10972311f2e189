"""Colours that stay apart for the common kinds of colour blindness."""

CLASS_COLORS = (
    "#0072B2",  # blue
    "#D55E00",  # vermilion
    "#009E73",  # bluish green
    "#CC79A7",  # reddish purple
    "#E69F00",  # orange
    "#56B4E9",  # sky blue
    "#F0E442",  # yellow
    "#000000",  # black
)
"""Colours of classes 0 to 7. Source: Okabe & Ito (2008), Color Universal Design."""

NO_DECISION_COLOR = "#D9D9D9"
"""Colour of what belongs to no class (light grey)."""


def class_color(index: int) -> str:
    """The colour of a class, neuron or curve; after eight they repeat.

    Args:
        index: class number (dimensionless), -1 for 'no decision'.

    Returns:
        An RGB colour in hexadecimal notation.

    Raises:
        ValueError: if `index` is below -1.
    """
    if index < -1:
        raise ValueError(f"index is {index}; must be a class from 0 on, or -1 for no decision")
    return NO_DECISION_COLOR if index == -1 else CLASS_COLORS[index % len(CLASS_COLORS)]
