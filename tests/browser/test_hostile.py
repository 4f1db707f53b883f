"""What a model calls itself is shown cut and inert: no script runs, no element is made, nothing overflows."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from lab_driver import models

MARKUP = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>"
HOSTILE = """class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 2))
markup = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>"
texts = {
    "markup": markup,
    "attribute": "\\" onmouseover=\\"window.pwned=1\\" x='",
    "control": "a\\x00b\\x07c\\x1b[31md\\r\\ne\\x85\\u2028f",
    "bidi": "\\u202e\\u2067gnp.exe\\u2066\\u200f",
    "long": "n" * 50_000,
    "template": "{{constructor.constructor('window.pwned=1')()}} ${window.pwned=1} javascript:window.pwned=1",
    "zalgo": "z" + "\\u0310" * 500,
    "empty": " ",
}
net = nn.Module()
for name, text in texts.items():
    part = Odd()
    part.__class__ = type(text.replace("\\x00", "") or "E", (Odd,), {"__doc__": text})
    net._modules[text] = part
    part._parameters["p" + text] = nn.Parameter(torch.zeros(1))
    part.in_features = text
net.plain = nn.Linear(2, 2)"""


@pytest.fixture
def explorer(lab):
    notebook = lab.open([models.LOAD, HOSTILE, "%nn net", "%nn tree net", "%nn check net"])
    notebook.run(0, 1, 2)
    return notebook.explorer(2)


def made(explorer):
    return explorer.root.evaluate(
        "(root) => root.querySelectorAll('img, script, iframe, object, embed, [onerror], [onmouseover], "
        "a[href^=javascript]').length"
    )


def test_hostile_names_are_inert_wherever_they_show(lab, explorer):
    explorer.expand("")
    for row in explorer.rows().all():
        row.scroll_into_view_if_needed()
        row.hover()
    count = explorer.rows().count()
    assert count > 8
    for index in range(count):
        row = explorer.rows().nth(index)
        row.click()
        expect(row).to_have_attribute("aria-selected", "true")
        explorer.wait_inspecting("")
        for tab in explorer.inspector.get_by_role("tab").all():
            if tab.is_enabled():
                tab.click()
    explorer.filter(MARKUP)
    assert made(explorer) == 0
    assert lab.page.evaluate("() => window.pwned") is None
    explorer.notebook.run(3, 4)
    assert lab.page.evaluate("() => window.pwned") is None
    for cell in (3, 4):
        assert explorer.notebook.output(cell).locator("img, script, iframe").count() == 0


def test_hostile_names_leave_the_layout_as_it_is(explorer):
    explorer.expand("")
    heights = set(explorer.rows().evaluate_all("(rows) => rows.map((row) => row.getBoundingClientRect().height)"))
    assert len(heights) == 1, "every row is as high as any"
    plain = explorer.row("plain")
    box = plain.bounding_box()
    for row in explorer.rows().all():
        row.click()
        assert plain.bounding_box()["width"] == box["width"]
    root = explorer.root.bounding_box()
    assert explorer.root.evaluate("(root) => root.scrollWidth <= root.clientWidth + 1")
    assert explorer.inspector.bounding_box()["x"] + explorer.inspector.bounding_box()["width"] <= (
        root["x"] + root["width"] + 1
    )
    explorer.screenshot("hostile")


def test_what_is_shown_of_a_name_is_cut_and_has_no_control_or_direction_characters(explorer):
    explorer.expand("")
    for text in explorer.rows().all_inner_texts():
        assert len(text) < 2_000
    shown = explorer.root.evaluate("(root) => root.textContent")
    assert len(shown) < 60_000
    assert not set(shown) & set("\x00\x07\x1b\x85\u202e\u2067\u2066\u2028")
