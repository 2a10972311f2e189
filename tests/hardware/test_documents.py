"""The page about the chip shows what the code does."""

import re
from pathlib import Path

from plasticjax import plasticity
from plasticjax.hardware import catalogue, catalogue_table
from plasticjax.plasticity import AbstractRule

PAGE = Path(__file__).parents[2] / "docs" / "systems" / "brainscales-2.md"


def test_the_table_of_rules_is_generated():
    shown = PAGE.read_text().split("<!-- catalogue -->\n")[1].split("<!-- end of catalogue -->")[0]
    assert shown == catalogue_table()


def test_the_listing_is_that_of_the_example():
    page = PAGE.read_text()
    names = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], names)
    shown = page.split("<!-- listing -->\n```text\n")[1].split("```")[0]
    assert shown == f"{names['program']}\n"


def test_every_rule_of_the_catalogue_is_in_the_table():
    rules = {
        name
        for name in plasticity.__all__
        if isinstance(getattr(plasticity, name), type)
        and issubclass(getattr(plasticity, name), AbstractRule)
    } - {"AbstractRule"}
    made = {"pair_stdp", "triplet_stdp", "inhibitory_stdp"}
    told = {entry.name.split(",")[0] for entry in catalogue()}
    assert rules | made <= told


def test_refusals_say_why():
    refused = [entry for entry in catalogue() if not entry.lowers]
    assert {entry.name for entry in refused} == {"Sanger", "SoftBound with exponent 0.5"}
    assert all(len(entry.reason) > 20 for entry in refused)
