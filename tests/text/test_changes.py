"""A change and a history as text and as HTML without script."""

from html.parser import HTMLParser

import pytest
from torch import nn

import nnwidgets as nnw
from nnwidgets.edit import set_budget
from nnwidgets.text.document import Code, Table
from nnwidgets.text.html import render_html
from nnwidgets.text.pages.changes import MOST_TENSORS, change_page, code_page, history_page
from nnwidgets.text.plain import render_text
from tests.support.edited_models import mlp


class Cells(HTMLParser):
    """The rows of the tables, and every tag."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_numbers_before_and_after_are_those_of_stats():
    net = mlp()
    before = nnw.stats(net[0].weight)
    change = nnw.init(net, "0.weight", "normal_", seed=7)
    after = nnw.stats(net[0].weight)
    rows = Cells(render_html(change_page(change))).rows
    names = ("mean", "std", "min", "max")
    for label, wanted in (("before", before), ("after", after)):
        row = next(row for row in rows if label in row)
        assert row[2:] == [f"{getattr(wanted, name):.6g}" for name in names]
        assert all(cell in render_text(change_page(change)) for cell in row)


def test_an_undone_change_shows_what_there_is_now_below_what_was_taken_back():
    net = mlp()
    nnw.init(net, "0.bias", "constant_", val=2)
    page = change_page(nnw.undo(net), outcome="undone")
    table = next(block for block in page if isinstance(block, Table))
    assert table.rows[0][:3] == ("0.bias", "undone", "2")
    assert table.rows[1][1] == "now"
    assert table.rows[1][2] == f"{nnw.stats(net[0].bias).mean:.6g}"


def test_only_the_numbers_that_are_shown_are_made(monkeypatch):
    net = nn.Sequential(*[nn.Linear(2, 2, bias=False) for _ in range(MOST_TENSORS + 30)])
    change = nnw.init(net, "Linear.weight", "normal_")
    before, after = change.before, change.after
    other = nnw.undo(net) and nnw.init(net, "Linear.weight", "normal_", seed=change.seed)
    made = []
    monkeypatch.setattr(
        "nnwidgets.edit.undo_copy.undo.summarize", lambda tensor: made.append(tensor) or nnw.stats(tensor)
    )
    few = ["3.weight", "5.weight"]
    assert other.numbers(few) == ({path: before[path] for path in few}, {path: after[path] for path in few})
    assert len(made) == 4
    render_text(change_page(other))
    assert len(made) == 4 + 2 * MOST_TENSORS


def test_values_that_are_not_finite_are_counted():
    net = mlp()
    text = render_text(change_page(nnw.assign(net, "0.bias[:3]", float("nan"))))
    assert "not finite" in text
    assert next(line for line in text.splitlines() if "after" in line).split()[-1] == "3"
    assert "becomes NaN" in text


def test_many_tensors_are_counted_and_names_stay_in_line():
    net = nn.Sequential(*[nn.Linear(2, 2, bias=False) for _ in range(MOST_TENSORS + 5)])
    text = render_text(change_page(nnw.init(net, "Linear.weight", "normal_")))
    assert "… 5 more" in text
    lines = [line for line in text.splitlines() if " before " in line]
    assert len(lines) == MOST_TENSORS
    assert len({line.index("before") for line in lines}) == 1


def test_a_sampled_number_is_marked():
    change = nnw.init(nn.Linear(2100, 2000, bias=False), "weight", "normal_", seed=1)
    assert "≈" in render_text(change_page(change))


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\u202e\x1b[31m"])
def test_names_of_the_model_are_inert(hostile):
    net = nn.Module()
    net.add_module(hostile, nn.Linear(2, 2))
    net.again = net._modules[hostile]
    change = nnw.init(net, "Linear.weight", "ones_", seed=7)
    nnw.assign(net, "again.weight[0, 0]", 3)
    for made in (render_html(change_page(change)), render_html(history_page(nnw.history(net), name=hostile))):
        assert Cells(made).tags <= {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "code", "pre"}
        assert "\u202e" not in made
        assert "\x1b" not in made
    for made in (render_text(change_page(change)), render_text(history_page(nnw.history(net), name=hostile))):
        assert "\u202e" not in made
        assert "\x1b" not in made


def test_a_history_says_what_can_not_be_undone_any_more():
    net = mlp()
    for _ in range(3):
        nnw.init(net, "0.weight", "normal_")
    set_budget(net, 200)
    lines = render_text(history_page(nnw.history(net), name="net")).splitlines()
    assert [("can't be undone" in line) for line in lines[1:4]] == [True, True, False]
    assert any("The oldest 2 can't be undone" in line for line in lines)


def test_a_history_of_thousands_shows_the_latest():
    net = mlp()
    for value in range(510):
        nnw.assign(net, "0.bias[0]", value)
    text = render_text(history_page(nnw.history(net)))
    assert "… 10 older changes" in text
    assert "0.bias[0] = 509" in text
    assert "0.bias[0] = 9 " not in text


def test_code_is_whole_from_the_left_edge_with_its_tabs_and_without_marks_that_hide():
    source = "if True:\n\tname = '" + "x" * 500 + "\u202e'\n"
    page = code_page(source)
    assert page == (Code(source.rstrip("\n"), is_whole=True),)
    text = render_text(page)
    names = {}
    exec(text, names)  # noqa: S102 - that it runs is the claim
    assert names["name"] == "x" * 500 + "\u202e"
    assert "\u202e" not in text
    assert "x" * 500 in render_html(page)


def test_a_change_of_flags_says_what_they_are():
    net = mlp()
    assert "frozen" in render_text(change_page(nnw.freeze(net, "0")))
