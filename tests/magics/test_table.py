"""The table of subcommands: an entry is all that a subcommand needs."""

import dataclasses

import pytest
import torch
from torch import nn

from nnwidgets.magics.subcommands.subcommand import Option, Subcommand
from nnwidgets.magics.subcommands.table import ENTRIES, SUBCOMMANDS, usage_of_all
from nnwidgets.text.document import Note
from tests.support.ipython_shell import shell


def times(request):
    names = ", ".join(name for name, _ in request.module.named_parameters())
    return (Note(f"{names} of {request.command.model}, {request.command.depth} deep"),)


ENTRY = Subcommand(
    "names", "The names of parameters.", times, options=(Option("--depth", "how deep", "2", "depth", int),)
)


@pytest.fixture
def ip(monkeypatch):
    for table in (SUBCOMMANDS, ENTRIES):
        monkeypatch.setitem(table, ENTRY.name, ENTRY)
    with shell() as started:
        started.variables.update(net=nn.Linear(2, 3), x=torch.ones(2))
        yield started


def test_one_entry_is_parsed_run_completed_and_explained(ip):
    assert ip.nn("names net --depth 3") == "weight, bias of net, 3 deep"
    assert ip.completions("%nn nam") == ["names"]
    assert ip.completions("%nn names n") == ["net"]
    assert ip.completions("%nn names net --") == ["--depth"]
    assert "no option '--deep' (did you mean --depth?). Usage: %nn names net [--depth 2]" in ip.refused(
        "names net --deep"
    )
    assert "did you mean 'names'?" in ip.refused("naems net")
    text = ip.run("%nn names?").text
    assert "The names of parameters." in text
    assert "--depth 2: how deep." in text


def test_the_usage_of_all_names_every_subcommand_once():
    assert usage_of_all() == (
        "Usage: %nn net | %nn tree|show|stats|summary|tied|check|trace|graph|activations|costs|optimizer net … | "
        "%nn init|inits|set|freeze|unfreeze|undo|redo|log|code net … | %nn save|load|diff net file | "
        "%nn snapshot net [name] | %nn ls | "
        "%nn auto on|off. %nn? says more."
    )


def test_the_examples_of_every_subcommand_can_be_read():
    from nnwidgets.magics.parse import parse, parse_cell

    for name, entry in ENTRIES.items():
        read = parse_cell if name == "%%nn_init" else parse
        for line in entry.examples.splitlines():
            if line.startswith(entry.magic):
                command = read(line.removeprefix("%nn ").removeprefix("%%nn_init"))
                assert command.name == name
                assert dataclasses.is_dataclass(command)
