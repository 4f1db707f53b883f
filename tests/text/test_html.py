"""HTML without script, whose structure says it all."""

import itertools
import re
from html.parser import HTMLParser

import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.text.document import Curve, Curves
from nnwidgets.text.flow_layout import lay_out_flow
from nnwidgets.text.html import render_html
from nnwidgets.text.pages.changes import change_page
from nnwidgets.text.pages.model import findings_page, flow_page, tensor_page, trace_page, tree_page
from tests.introspect.data_flow.test_edges import Block, line


class Outline(HTMLParser):
    """Reads the lists and details of a page as nested names; what a sanitizer leaves when it drops every attribute."""

    def __init__(self):
        super().__init__()
        self.depth = 0
        self.rows = []
        self.tags = []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.depth += tag == "ul"
        if tag == "li":
            self.rows.append((self.depth, []))

    def handle_endtag(self, tag):
        self.depth -= tag == "ul"

    def handle_data(self, data):
        if self.rows:
            self.rows[-1][1].append(data)


def read(markup):
    outline = Outline()
    outline.feed(re.sub(r' (style|aria-hidden|scope)="[^"]*"', "", markup))
    return outline


def test_levels_of_the_tree_are_levels_of_lists_without_any_style():
    net = nn.Sequential(nn.Linear(20, 256), nn.Sequential(nn.ReLU()), nn.Linear(256, 10))
    outline = read(render_html(tree_page(nnw.tree(net))))
    levels = [(level, "".join(said).split()[0]) for level, said in outline.rows]
    assert levels == [
        (1, "Sequential"),
        (2, "0"), (3, "weight"), (3, "bias"), (2, "1"), (3, "0"), (2, "2"), (3, "weight"), (3, "bias"),
    ]  # fmt: skip


def test_a_row_reads_as_a_sentence_without_any_style():
    text = "".join(read(render_html(tree_page(nnw.tree(nn.Sequential(nn.Linear(20, 256)))))).rows[1][1])
    assert re.fullmatch(r"0 Linear · 20 → 256 · 5\s376 parameters", text.strip())


def test_what_has_something_below_opens_without_script():
    markup = render_html(tree_page(nnw.tree(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))))
    tags = [tag for tag, _ in read(markup).tags]
    assert tags.count("details") == tags.count("summary") == 2
    assert "script" not in markup
    assert "http" not in markup


def test_folded_blocks_are_closed_at_first():
    net = nn.Sequential(*[nn.Linear(2, 2) for _ in range(4)])
    details = [attributes for tag, attributes in read(render_html(tree_page(nnw.tree(net)))).tags if tag == "details"]
    assert ["open" in attributes for attributes in details] == [True, False]


def test_a_tree_can_begin_at_a_path_and_stop_at_a_depth():
    tree = nnw.tree(nn.Sequential(nn.Sequential(nn.Tanh()), nn.ReLU()))
    assert "Tanh" not in render_html(tree_page(tree, depth=1))
    assert "ReLU" not in render_html(tree_page(tree, path="0"))
    assert "Tanh" in render_html(tree_page(tree, path="0"))


def test_tables_have_heads():
    trace = nnw.trace(nn.Sequential(nn.Linear(2, 3)), torch.ones(1, 2))
    markup = render_html(trace_page(trace, name="net"))
    assert markup.count("<th ") == 7
    assert 'nowrap">1 × 3 f32' in markup  # where a page is narrow the table scrolls


def test_a_histogram_is_said_in_words_too():
    net = nn.Linear(20, 20)
    markup = render_html(tensor_page(nnw.tree(net).tensors[0], nnw.stats(net.weight)))
    assert "Histogram from" in markup
    assert 'aria-hidden="true"' in markup


def test_a_finding_has_its_severity_in_words_and_its_fix_as_code():
    net = nn.Linear(2, 2)
    net.loose = torch.ones(2)
    markup = render_html(findings_page(nnw.check(net)))
    assert "warning" in markup
    assert re.search(r"<pre[^>]*><code>", markup)
    assert "register_buffer(&#x27;loose&#x27;" in markup


def test_colours_are_the_pages_own():
    net = nn.Linear(2, 2)
    markup = render_html(tree_page(nnw.tree(net))) + render_html(
        tensor_page(nnw.tree(net).tensors[0], nnw.stats(net.weight))
    )
    styles = re.findall(r'style="([^"]*)"', markup)
    assert styles
    assert not any(re.search(r"#[0-9a-f]{3}|rgb|(?<!-)color:", style) for style in styles)


def test_columns_are_apart_where_a_host_has_no_style_for_tables():
    change = nnw.init(nn.Linear(2, 2), "weight", "normal_", preview=True)
    made = render_html(change_page(change))
    assert made.count("<table") == made.count('<table cellpadding="4">') == 2


def test_curves_are_drawn_without_script_and_their_names_are_text():
    fading = Curve("<script>", (1.0, None, 0.01), (0.5, None, 0.01), (2.0, None, 0.01))
    flat = Curve("flat", (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
    page = render_html((Curves("std", "0", "<b>", (fading, flat)),))
    assert "<script" not in page
    assert "std, 0.01 to 1 on a logarithmic axis, from 0 to &lt;b&gt;" in page
    assert page.count("<polyline") == 2
    assert page.count("<polygon") == 1
    assert re.search(r'<polyline points="0.0,4.0 210.0,4.0 420.0,4.0"', page)
    assert (
        render_html((Curves("std", "0", "1", (Curve("none", (None, 0.0), (None, 0.0), (None, 0.0)),)),)).count("<") == 2
    )


def graph_of(net, *inputs):
    with torch.no_grad():
        return nnw.trace(net, *inputs).graph()


def test_a_graph_is_drawn_box_below_box_with_what_skips_some_beside_them():
    graph = graph_of(nn.Sequential(line(), *(Block() for _ in range(3)), line()), torch.randn(2, 4))
    page = render_html(flow_page(graph))
    assert "<script" not in page
    assert "<details><summary>The same as a table</summary><table" in page
    found = lay_out_flow(graph)
    leaves = [box for box in found.boxes if not box.is_around]
    assert all(one.bottom < other.top for one, other in itertools.pairwise(leaves))
    for box in found.boxes:
        around = found.boxes[box.node.parent] if box.node.parent is not None else None
        if around is not None:
            assert around.left < box.left < box.right < around.right
            assert around.top < box.top < box.bottom < around.bottom
    assert len(found.lines) == len(graph.edges)
    beside = [line for line in found.lines if len(line.corners) > 2]
    block = next(box for box in found.boxes if box.is_around)
    skips = sorted((line.corners[1][0] > block.axis, line.is_to_next) for line in beside)
    assert skips == [(False, True), (False, True), (True, False)]
    for (_, (x, top), (_, bottom), _), *_ in beside:
        high, low = min(top, bottom), max(top, bottom)
        met = [box for box in found.boxes if box.bottom > high and box.top < low]
        between = [box for box in met if not (box.is_around and box.top < high and box.bottom > low)]
        assert between
        assert not any(box.left <= x <= box.right for box in between)
    assert all(0 < x < found.width and 0 < y < found.height for line in found.lines for x, y in line.corners)


def test_a_graphs_names_are_text_and_a_large_one_is_only_told():
    net = nn.Sequential()
    net.add_module("<b>", type("<script>", (nn.ReLU,), {})())
    net.add_module("tail", nn.Linear(2, 2))
    page = render_html(flow_page(graph_of(net, torch.ones(1, 2))))
    assert page.count("&lt;script&gt;") == page.count("&lt;b&gt;") == 2
    assert "<script" not in page
    unlike = nn.Sequential(*(nn.Dropout(at / 100) if at % 2 else nn.ReLU() for at in range(60)))
    told = render_html(flow_page(nnw.trace(unlike, torch.ones(1)).graph(fold=False)))
    assert "<svg" not in told
    assert "<details" not in told
