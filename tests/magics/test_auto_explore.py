"""%nn auto: a model at the end of a cell."""

from typing import ClassVar

import pytest
from torch import nn

from tests.support.ipython_shell import shell

WIDGET = "application/vnd.jupyter.widget-view+json"


class Loud(nn.Module):
    """Any code of its own that showing it runs leaves a trace."""

    ran: ClassVar[list] = []

    def __repr__(self):
        self.ran.append("__repr__")
        return "Loud"

    def __getattr__(self, name):
        Loud.ran.append(name)
        return super().__getattr__(name)

    @property
    def __class__(self):
        Loud.ran.append("__class__")
        return Loud

    def _ipython_display_(self):
        Loud.ran.append("_ipython_display_")


@pytest.fixture
def ip():
    with shell() as started:
        started.variables["net"] = nn.Sequential(nn.Linear(2, 3))
        yield started


def shown(ran):
    return [WIDGET in output.data for output in ran.outputs]


def test_a_model_prints_at_first(ip):
    ran = ip.run("net")
    assert shown(ran) == []
    assert "(0): Linear" in ran.printed


def test_a_model_explores_once_it_is_on_and_prints_again_once_it_is_off(ip):
    ip.run("%nn auto on")
    assert shown(ip.run("net")) == [True]
    assert shown(ip.run("net[0]")) == [True]
    assert shown(ip.run("net;")) in ([], [True])
    ip.run("%nn auto off")
    ran = ip.run("net")
    assert shown(ran) == []
    assert "(0): Linear" in ran.printed


def test_other_values_print_as_ever(ip):
    ip.run("%nn auto on")
    assert "[1, 2]" in ip.run("[1, 2]").printed
    ip.variables["x"] = Plain()
    assert "displayed by itself" in ip.run("x").printed


class Plain:
    def _ipython_display_(self):
        print("displayed by itself")


def test_showing_a_model_runs_none_of_its_code(ip):
    ip.variables["loud"] = Loud()
    ip.run("%nn auto on")
    Loud.ran.clear()
    # Of a cell of one line, IPython itself asks for the first word's __class__, on or off.
    assert shown(ip.run("1\nloud")) == [True]
    assert Loud.ran == []


def test_twice_on_and_twice_off_are_as_once(ip):
    before = ip.ip.display_formatter.ipython_display_formatter
    for _ in range(2):
        ip.run("%nn auto on")
    for _ in range(2):
        ip.run("%nn auto off")
    assert ip.ip.display_formatter.ipython_display_formatter is before


def test_what_the_user_registers_meanwhile_stays(ip):
    ip.run("%nn auto on")
    ip.ip.display_formatter.ipython_display_formatter.for_type(Plain, lambda _: print("by the user"))
    ip.variables["x"] = Plain()
    assert "by the user" in ip.run("x").printed
    ip.run("%nn auto off")
    assert "by the user" in ip.run("x").printed
