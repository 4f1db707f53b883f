"""axe-core finds nothing to object to, in any theme, width, or tab."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from lab_driver import models
from lab_driver.axe import violations

NARROW = {"width": 620, "height": 1000}


def opened(lab):
    notebook = lab.open(
        [
            models.LOAD,
            models.BLOCKS,
            "net(torch.randint(50, (2, 5))).sum().backward()",
            "%nn net",
        ]
    )
    notebook.run(0, 1, 2, 3)
    explorer = notebook.explorer(3)
    explorer.expand("frozen", "head")
    return explorer


@pytest.mark.parametrize(
    ("theme", "width"),
    [
        *(("JupyterLab Light", width) for width in ("wide", "narrow")),
        *(("JupyterLab Dark", width) for width in ("wide", "narrow")),
        ("JupyterLab Dark High Contrast", "wide"),
    ],
)
def test_no_violation_on_any_tab(lab, theme, width):
    if width == "narrow":
        lab.page.set_viewport_size(NARROW)
    lab.theme(theme)
    explorer = opened(lab)
    assert violations(explorer) == []
    for path in ("frozen.weight", "head.weight", "blocks.0", ""):
        explorer.filter(path if path.endswith("weight") else "")
        explorer.select(path)
        explorer.tab("Overview")
        explorer.tab("Overview")
        if path.endswith("weight"):
            explorer.statistics()
        for tab in explorer.inspector.get_by_role("tab").all():
            if tab.is_enabled():
                tab.click()
                expect(tab).to_have_attribute("aria-selected", "true")
                found = violations(explorer)
                assert found == [], f"{path} {tab.inner_text()}"


def test_no_violation_with_a_tie_group_lit_a_filter_that_fails_and_no_kernel(lab):
    explorer = opened(lab)
    explorer.row("head.weight").hover()
    assert violations(explorer) == []
    explorer.filter("no such thing")
    expect(explorer.row("head.weight")).to_have_count(0)
    assert violations(explorer) == []
    explorer.filter("")
    explorer.notebook.shut_down()
    expect(explorer.root).to_contain_text("No kernel")
    assert violations(explorer) == []


def test_the_audit_itself_can_fail(lab):
    """A picture without words, put into the page, is found."""
    explorer = opened(lab)
    explorer.root.evaluate(
        "(root) => { const image = document.createElement('img');"
        " image.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw='; root.append(image); }"
    )
    assert any(line.startswith("image-alt") for line in violations(explorer))
