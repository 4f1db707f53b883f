"""Light, dark and narrow: colours of the host's theme, parts in their places, nothing cut off. Saves the pictures."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from lab_driver import models

TENSOR = "transformer.h.3.mlp.c_fc.weight"
DRAFT = """import copy
tokens = torch.randint(50257, (1, 32))
gpt2.transformer.h[0].requires_grad_(False)
gpt2.transformer.wpe.requires_grad_(False)
gpt2.temperature = torch.ones(())
gpt2(tokens, labels=tokens).loss.backward()
net = gpt2"""
LUMINANCE = """(element) => {
  let painted = element;
  while (painted && getComputedStyle(painted).backgroundColor === 'rgba(0, 0, 0, 0)') painted = painted.parentElement;
  const [red, green, blue] = getComputedStyle(painted).backgroundColor.match(/[\\d.]+/g).map(Number);
  return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255;
}"""


def open_gpt2(lab):
    notebook = lab.open([models.LOAD, models.GPT2, DRAFT, "%nn net"])
    notebook.run(0, 1, 2, 3)
    explorer = notebook.explorer(3)
    explorer.expand("transformer", "transformer.wte")
    explorer.filter(TENSOR)
    explorer.select(TENSOR)
    explorer.statistics()
    explorer.filter("")
    expect(explorer.row(TENSOR).last).to_be_visible()
    return explorer


def box(locator):
    found = locator.bounding_box()
    assert found is not None
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_wide_the_inspector_stands_beside_the_tree_in_the_hosts_colours(lab, theme):
    lab.theme(f"JupyterLab {theme.capitalize()}")
    explorer = open_gpt2(lab)
    tree, inspector, whole = box(explorer.grid), box(explorer.inspector), box(explorer.root)
    assert inspector["x"] >= tree["x"] + tree["width"] - 1
    assert inspector["x"] + inspector["width"] <= whole["x"] + whole["width"] + 1
    luminance = explorer.root.evaluate(LUMINANCE)
    assert luminance > 0.9 if theme == "light" else luminance < 0.2
    explorer.screenshot(f"wide-{theme}")


def test_the_theme_changes_under_an_open_view(lab):
    notebook = lab.open([models.LOAD, models.MLP, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    lab.theme("JupyterLab Dark")
    expect(explorer.root).to_have_attribute("data-tone", "dark")
    assert explorer.root.evaluate(LUMINANCE) < 0.2
    lab.theme("JupyterLab Light")
    expect(explorer.root).to_have_attribute("data-tone", "light")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_narrow_the_inspector_stands_below_and_nothing_sticks_out(lab, theme):
    lab.page.set_viewport_size({"width": 640, "height": 1400})
    lab.theme(f"JupyterLab {theme.capitalize()}")
    explorer = open_gpt2(lab)
    tree, inspector, whole = box(explorer.grid), box(explorer.inspector), box(explorer.root)
    assert whole["width"] < 640
    assert inspector["y"] >= tree["y"] + tree["height"] - 1
    sticking_out = explorer.root.evaluate(
        "(root) => [...root.querySelectorAll('*')].filter((element) => {"
        "  const inside = element.getBoundingClientRect(), outside = root.getBoundingClientRect();"
        "  return inside.width > 0 && inside.height > 0 && inside.right > outside.right + 1"
        "    && !element.closest('.nnw-hidden, svg, .nnw-path');"
        "}).map((element) => element.outerHTML.slice(0, 200))"
    )
    assert sticking_out == []
    explorer.screenshot(f"narrow-{theme}")


TICKED = "net(torch.randint(50, (2, 5))).sum().backward()\nfor _ in range(3):\n    view.tick()"
RUN = "tokens = torch.randint(50, (2, 5))\n%nn activations net tokens --loss noise"
ENDS = """(root) => {
  const grid = root.querySelector('.nnw-grid').getBoundingClientRect();
  const cells = [...root.querySelectorAll('.nnw-row > *')].filter((cell) => cell.getBoundingClientRect().width > 0);
  const names = [...root.querySelectorAll('.nnw-row:not(.nnw-head) > .nnw-name')];
  return {
    beyond: cells.filter((cell) => {
      const box = cell.getBoundingClientRect(), row = cell.parentElement.getBoundingClientRect();
      return box.right > grid.right + 1 || box.bottom > row.bottom + 1;
    }).map((cell) => cell.className),
    name: Math.min(...names.map((name) => name.getBoundingClientRect().width)),
  };
}"""


MISLEADING = """(root) => [...root.querySelectorAll('*')].filter((element) => {
  const style = getComputedStyle(element);
  const hints = style.textDecorationStyle === 'dotted' && element.closest('button, a') !== null;
  const isSwitch = element.matches('button[aria-pressed]') && element.getBoundingClientRect().width > 0;
  const hasEdge = style.borderTopWidth !== '0px' && style.borderTopColor !== 'rgba(0, 0, 0, 0)';
  return hints || (isSwitch && !hasEdge && style.backgroundColor === 'rgba(0, 0, 0, 0)'
    && getComputedStyle(element.parentElement).borderTopWidth === '0px' && style.boxShadow === 'none');
}).map((element) => element.outerHTML.slice(0, 120))"""
OPENERS = """(root) => [...root.querySelectorAll('.nnw-opener')].map((button) => {
  const { top, width } = button.getBoundingClientRect();
  return { top, says: button.innerText.trim(), width };
})"""


def test_at_every_width_names_have_room_and_no_cell_ends_beyond_the_tree(lab):
    lab.page.set_viewport_size({"width": 2400, "height": 1000})
    view = "import nnwidgets as nnw\nview = nnw.explore(net)\nview"
    notebook = lab.open([models.LOAD, models.BLOCKS, view, TICKED, RUN])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.select("embed.weight")
    explorer.statistics()
    for state in ("still", "ticking", "signal"):
        if state == "ticking":
            notebook.run(3)
            expect(explorer.root.locator(".nnw-pulse path").first).to_be_attached()
        if state == "signal":
            notebook.run(4)
            expect(explorer.root.locator(".nnw-signal > i").first).to_be_attached()
        for width in (240, 280, 320, 360, 420, 560, 640, 800, 1000, 1008, 1120, 1168, 1440, 2000):
            explorer.root.evaluate("(root, width) => { root.style.width = `${width}px`; }", width)
            ends = explorer.root.evaluate(ENDS)
            assert ends["beyond"] == [], (width, state)
            assert ends["name"] >= (140 if state == "still" else 100), (width, state)
            openers = explorer.root.evaluate(OPENERS)
            assert [each["says"] for each in openers] == ["Trace", "Table", "Checkpoints"], width
            assert len({each["top"] for each in openers}) == 1 or width < 360, width
            assert explorer.root.evaluate(MISLEADING) == []
            if width in (240, 360, 1008):
                explorer.screenshot(f"width-{width}-{state}")
