"""Class names, keys, attributes and error texts as an attacker would write them: cut, and inert in text and HTML."""

import re
from html.parser import HTMLParser

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect.records import Finding
from nnwidgets.text.html import render_html
from nnwidgets.text.pages.model import findings_page, module_page, tensor_page, ties_page, trace_page, tree_page
from nnwidgets.text.plain import render_text

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "image": '"><img src=x onerror=alert(1)>',
    "closing": "</summary></details></div><h1>out</h1>",
    "entity": "&lt;b&gt;&#x3c;script&#x3e;",
    "attribute": "' onmouseover='alert(1)",
    "terminal": "\x1b[2J\x1b[31mred\x07\r\x08",
    "direction": "abc\u202egnp.exe\u2066\u2069\u200f",
    "invisible": "a\u200b\u200d\ufeff\u2060b\u00ad\U000e0041",
    "lines": "one\ntwo\x0bthree\u2028four\x85five",
    "surrogate": "\ud800 alone",
    "long": "A" * 50_000,
    "marks": "Z" + "\u0300" * 5_000,
    "template": "{{7*7}} ${7*7} {0}",
    "markdown": "[x](javascript:alert(1)) **b**",
}

ALLOWED = {
    "b", "br", "code", "details", "div", "li", "p", "pre", "span", "summary", "table", "tbody", "td", "th", "thead",
    "tr", "ul",
}  # fmt: skip
VOID = {"br"}
INVISIBLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


class Strict(HTMLParser):
    """Fails on a tag or attribute that is not ours, and on tags that don't nest."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.deepest = 0

    def handle_starttag(self, tag, attributes):
        assert tag in ALLOWED, tag
        assert {name for name, _ in attributes} <= {"cellpadding", "style", "open", "scope", "aria-hidden"}
        assert not any("url(" in (value or "") or "expression" in (value or "") for _, value in attributes)
        if tag not in VOID:
            self.open.append(tag)
            self.deepest = max(self.deepest, len(self.open))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def parsed(markup):
    parser = Strict()
    parser.feed(markup)
    parser.close()
    assert parser.open == []
    return parser


def model(text):
    """A model that says ``text`` wherever a model can say something."""
    named = type(text.replace("\x00", "") if "\ud800" not in text else "S", (nn.Linear,), {})
    net = nn.Module()
    net._modules[text] = named(2, 2)
    net._modules["again"] = net._modules[text]
    net._parameters[text + "p"] = nn.Parameter(torch.ones(2))
    net._buffers[text + "b"] = torch.zeros(2)
    net.__dict__[text + "t"] = torch.ones(3)
    net._modules["tail"] = nn.Linear(2, 2)
    net._modules["tail"].weight = net._modules[text].weight
    return net


def renderings(net, text):
    tree = nnw.tree(net)
    path = tree.root.children[0].path
    finding = Finding(text, "warning", text, text, text)
    documents = (
        tree_page(tree, name=text),
        tree_page(tree, path=path),
        module_page(tree, path, name=text, findings=(finding,)),
        tensor_page(tree.tensors[0], nnw.stats(torch.ones(3)), unread=text),
        tensor_page(tree.tensors[-1], unread=text),
        ties_page(tree.ties),
        findings_page((finding,)),
    )
    for form, render in (("text", render_text), ("html", render_html)):
        for document in documents:
            yield form, render(document)


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_name_becomes_markup_or_moves_the_cursor(kind):
    text = HOSTILE[kind]
    for form, made in renderings(model(text), text):
        assert not INVISIBLE.search(made)
        assert len(made) < 100_000
        if form == "html":
            parsed(made)
            assert "<script" not in made.lower()
        else:
            assert max(map(len, made.splitlines())) < 1_300
        made.encode("utf-8")


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_error_text_is_inert_in_a_trace(kind):
    class Raises(nn.Module):
        def forward(self, x):
            raise ValueError(HOSTILE[kind])

    trace = nnw.trace(nn.Sequential(Raises()), torch.ones(2))
    for made in (
        render_text(trace_page(trace, name=HOSTILE[kind])),
        render_html(trace_page(trace, name=HOSTILE[kind])),
    ):
        assert not INVISIBLE.search(made)
        assert len(made) < 50_000
    parsed(render_html(trace_page(trace, name=HOSTILE[kind])))


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_summary_of_hostile_classes_is_inert(kind):
    from nnwidgets.magics.subcommands.summary import summary_page

    page = summary_page(model(HOSTILE[kind]), [])
    assert not INVISIBLE.search(render_text(page))
    parsed(render_html(page))


def test_html_of_a_hundred_thousand_modules_is_bounded_and_says_how_many_are_left_out():
    wide = nn.Module()
    for index in range(100_000):
        wide._modules[f"m{index}"] = nn.Identity() if index % 2 else nn.ReLU()
    tree = nnw.tree(wide)
    made = render_html(tree_page(tree))
    assert len(made) < 200_000
    assert re.search(r"… 99\s501 more", made)
    parsed(made)
    assert len(render_text(tree_page(tree)).splitlines()) < 600


def test_html_of_a_deep_nest_stays_within_what_a_browser_nests():
    deep = nn.Linear(2, 2)
    for _ in range(5_000):
        deep = nn.Sequential(deep)
    made = render_html(tree_page(nnw.tree(deep)))
    assert parsed(made).deepest < 400
    assert len(made) < 300_000
    assert max(map(len, str(nnw.tree(deep)).splitlines())) <= 125
