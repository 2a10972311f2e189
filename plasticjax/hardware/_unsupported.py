"""The refusal of what the plasticity processor cannot do."""

from ._signals import Place


class UnsupportedOnPPU(ValueError):
    """A rule asks for something that the plasticity processor cannot do.

    Attributes:
        primitive: name of the operation in JAX.
        source_line: file, number and text of the line of the rule.
        place: what the value belongs to, or None.
        reason: why it cannot be.
        hint: what to do instead.
    """

    def __init__(
        self, primitive: str, source_line: str, place: Place | None, reason: str, hint: str
    ):
        self.primitive, self.source_line, self.place = primitive, source_line, place
        self.reason, self.hint = reason, hint
        of = "" if place is None else f" of a {place.name} value"
        where = f"\n  {source_line}" if source_line else ""
        super().__init__(f"{primitive}{of} cannot be lowered: {reason}; {hint}{where}")
