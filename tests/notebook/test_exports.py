"""What an Explorer leaves in a saved notebook: little, and readable where no widget is."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import nbformat
import pytest
from nbconvert import HTMLExporter

from tests.support.notebook_runs import run_notebook

LOAD = """import torch
from torch import nn
import nnwidgets as nnw
torch.set_default_device("meta")"""
MODELS = [
    "nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))",
    "nn.TransformerEncoder(nn.TransformerEncoderLayer(768, 12), 12)",
    "nn.Transformer()",
    # Nothing to fold: five hundred blocks, no two alike, with names as long as they may be.
    "nn.ModuleDict({f'{\"<long> & wide \" * 20}{i}': nn.Linear(i + 1, i + 2) for i in range(500)})",
]
NO_SCRIPT = {"div", "p", "b", "ul", "li", "details", "summary", "code", "span"}
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
LIMIT_BYTES = 300_000
TEN = [f"nnw.explore({MODELS[at % len(MODELS)]}, name='net')" for at in range(10)]


SELECTED = "view = nnw.explore(one)\nview.selected = 'weight'\nview"


def executed(cells, *, is_attended=False):
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    run_notebook(document, is_attended=is_attended, kernel_name="python3")
    return document


@pytest.fixture(scope="module")
def with_state():
    """Ten Explorers that somebody looked at, saved with the state of their widgets."""
    return executed([LOAD, *TEN], is_attended=True)


@pytest.fixture(scope="module")
def without_state(with_state):
    """The same as JupyterLab saves it: outputs alone."""
    document = nbformat.from_dict(with_state)
    document = nbformat.reads(nbformat.writes(document), as_version=4)
    del document.metadata["widgets"]
    return document


class Tags(HTMLParser):
    """The tags and attributes of a piece of HTML."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes = set(), set()
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}


def views(document):
    return [output.data for cell in document.cells for output in cell.outputs if VIEW in output.get("data", {})]


def size_bytes(document):
    return len(nbformat.writes(document).encode())


def test_ten_explorers_add_less_than_300_kilobytes_to_a_notebook_saved_with_widget_state(with_state):
    bare = nbformat.reads(nbformat.writes(with_state), as_version=4)
    bare.metadata.pop("widgets")
    for cell in bare.cells:
        cell.outputs = []
    state = with_state.metadata["widgets"][STATE]["state"]
    assert {view[VIEW]["model_id"] for view in views(with_state)} <= state.keys()
    assert len(views(with_state)) == 10
    assert size_bytes(with_state) - size_bytes(bare) < LIMIT_BYTES


def test_the_page_is_in_the_saved_state_once(with_state):
    saved = with_state.metadata["widgets"][STATE]["state"].values()
    pages = [each for each in saved if "digest" in each["state"]]
    assert len(pages) == 1
    assert {tuple(buffer["path"]) for buffer in pages[0]["buffers"]} == {("code",), ("style",)}
    assert max(len(each["state"].get("_esm", "")) for each in saved) < 2_000


def test_every_output_carries_script_free_html_and_text(with_state):
    for data in views(with_state):
        made = Tags(data["text/html"])
        assert made.tags <= NO_SCRIPT
        assert made.attributes <= {"style", "open", "scope"}
        assert re.search(r"As read on \d{4}-\d\d-\d\d \d\d:\d\d\. Run the cell for the live view\.", data["text/html"])
        assert len(data["text/plain"].splitlines()) > 3


def test_nbconvert_shows_the_tree_without_a_widget_where_no_state_was_saved(without_state):
    html, _ = HTMLExporter().from_notebook_node(without_state)
    assert VIEW not in html
    for name, count in {"Sequential": 3, "TransformerEncoder": 3, "Transformer": 2, "ModuleDict": 2}.items():
        assert html.count(f'<summary><b>net</b> <span style="opacity:.75">{name} ·') == count
    assert "<b>self_attn</b>" in html
    assert "<long>" not in html


def test_text_alone_still_tells_the_tree(without_state):
    # What GitHub keeps of an output whose HTML it strips.
    text = views(without_state)[1]["text/plain"]
    assert text.startswith("TransformerEncoder")
    assert "12 × TransformerEncoderLayer" in text
    assert "in_proj_weight" in text


def test_a_notebook_that_a_program_ran_holds_trees_and_no_widgets_and_is_exported_so_without_a_network():
    document = executed(
        [
            *(LOAD, f"net = {MODELS[0]}", "view = nnw.explore(net)\nview", "view.selected = '0'\nview.close()"),
            *("one = nn.Linear(2, 3, device='cpu')\nnn.init.constant_(one.weight, 0.625);", SELECTED),
        ]
    )
    (shown,) = (output.data for output in document.cells[2].outputs)
    assert set(shown) == {"text/html", "text/plain"}
    assert "widgets" not in document.metadata
    assert document.cells[3].outputs == []
    html, _ = HTMLExporter().from_notebook_node(document)
    assert "<summary><b>net</b> <span" in html
    assert VIEW not in html
    assert "0.625" not in shown["text/html"]
    # A view that begins at a tensor has its numbers with it.
    (numbers,) = (output.data["text/html"] for output in document.cells[5].outputs)
    assert "0.625" in numbers
    assert Tags(numbers).tags <= Tags(shown["text/html"]).tags | {"table", "tr", "td", "th", "tbody", "thead", "pre"}
