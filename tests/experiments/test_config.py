import dataclasses
from typing import Literal

import pytest

from experiments._config import fingerprint, override
from experiments._errors import UserError


@dataclasses.dataclass(frozen=True)
class _Config:
    epochs: int = 300
    rate: float = 1e-3
    bump: bool = True
    name: str = "adam"
    layers: tuple[int, ...] = (120,)
    window: tuple[float, int] = (0.5, 3)
    noise: float | None = None
    limit: int | str = 3
    loss: Literal["mse", "ttfs"] = "ttfs"
    table: dict | None = None
    seeds: int = 3

    def __post_init__(self):
        if self.rate <= 0:
            raise ValueError(f"rate is {self.rate}; a positive number is required")


@pytest.mark.parametrize(
    "assignment, value",
    [
        ("epochs=15", 15),
        ("rate=5e-3", 5e-3),
        ("rate=2", 2.0),
        ("bump=false", False),
        ("bump=Yes", True),
        ("name=sgd = 1", "sgd = 1"),
        ("layers=120,60", (120, 60)),
        ("layers=(7,)", (7,)),
        ("layers=", ()),
        ("window=0.25, 4", (0.25, 4)),
        ("noise=0.1", 0.1),
        ("noise=none", None),
        ("limit=8", 8),
        ("limit=soft", "soft"),
        ("loss=mse", "mse"),
        ("table=none", None),
        (" epochs = 4 ", 4),
    ],
)
def test_values_are_read_by_the_type_of_their_field(assignment, value):
    changed = override(_Config(), [assignment])
    name = assignment.partition("=")[0].strip()
    assert getattr(changed, name) == value
    assert type(getattr(changed, name)) is type(value)
    assert dataclasses.replace(changed, **{name: getattr(_Config(), name)}) == _Config()


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("epoch=3", r"unknown field 'epoch'; did you mean 'epochs'\? valid: epochs, rate, bump"),
        ("zzz=3", r"unknown field 'zzz'; valid: epochs"),
        ("epochs=3.5", r"epochs=3.5 is not valid; int is expected"),
        ("epochs=", r"epochs= is not valid; int is expected"),
        ("rate=fast", r"rate=fast is not valid; float is expected"),
        ("rate=nan", r"rate=nan is not valid; float is expected"),
        ("bump=maybe", r"bump=maybe is not valid; bool is expected"),
        ("layers=1,x", r"layers=1,x is not valid; comma-separated ints is expected"),
        ("window=1", r"window=1 is not valid; \(float, int\) is expected"),
        ("noise=loud", r"noise=loud is not valid; float or none is expected"),
        ("loss=l1", r"loss=l1 is not valid; mse or ttfs is expected"),
        ("table=3", r"a field of type dict cannot be set"),
        ("epochs", r"--set takes field=value, not 'epochs'"),
        ("rate=-1", r"rate is -1.0; a positive number is required"),
    ],
)
def test_what_is_wrong_is_named(assignment, message):
    with pytest.raises(UserError, match=message):
        override(_Config(), [assignment])


def test_several_fields_change_together():
    assert override(_Config(), ["epochs=1", "rate=2"]) == _Config(epochs=1, rate=2.0)


def test_fingerprints_tell_runs_apart():
    runs = [("a", _Config(), 0), ("b", _Config(), 0), ("a", _Config(), 1), ("a", _Config(2), 0)]
    assert len({fingerprint(*run) for run in runs}) == 4
    assert fingerprint("a", _Config(), 0) == fingerprint("a", _Config(epochs=300), 0)
