"""For more readers: Chinese, pages read from right to left, forced colours, twice the size, screen readers' names."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from lab_driver import Panel, models
from lab_driver.axe import violations

TRAINED = "net(torch.randint(50, (2, 5))).sum().backward()"
PATH = "head.weight"
SAVE = "(values) => window.jupyterapp.serviceManager.settings.save('nnwidgets:plugin', values)"
STICKING_OUT = """(root) => {
  const outside = root.getBoundingClientRect();
  return [...root.querySelectorAll('*')].filter((element) => {
    const inside = element.getBoundingClientRect();
    return inside.width > 0 && inside.height > 0 && (inside.right > outside.right + 1 || inside.left < outside.left - 1)
      && !element.closest('.nnw-hidden, svg, .nnw-path, .nnw-label');
  }).map((element) => element.outerHTML.slice(0, 200));
}"""
# But for names of the model, of torch and of files, code and keys.
WORDS = """(root) => {
  const found = [], texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { parentElement, data } = texts.currentNode;
    if (!parentElement.closest('bdi, option, pre, kbd, [lang=en], .nnw-shape, .nnw-dtype, .nnw-mono, label[for]')) {
      found.push(...(data.match(/[A-Za-z]{2,}/g) ?? []));
    }
  }
  return [...new Set(found)];
}"""
# dtypes, devices, units, signs of numbers and formats are the same in every language.
SAME = {"float", "cpu", "kB", "NaN", "inf", "std", "pt", "torch", "zip", "safetensors", "CSV", "Markdown"}
# As a screen reader goes through it: roles, names and states.
SNAPSHOT = """
- 'region "nnwidgets Explorer: net, Stack"':
  - group "Filter and totals":
    - searchbox "Filter by path, glob or class"
    - button "What the filter understands, and keys": "?"
    - button "trainable 26"
    - button "frozen 2"
    - button "tied 2"
    - button "findings 1"
    - button "notes 1"
    - button "Checkpoints"
  - treegrid "Modules and tensors of net":
    - row "Name Class Shape Params Type Marks":
      - columnheader "Name"
      - columnheader "Class"
      - columnheader "Shape"
      - columnheader "Params"
      - columnheader "Type"
      - columnheader "Marks"
    - rowgroup:
      - row /^net Stack/ [expanded] [level=1]
      - row /^unregistered tensor scale Tensor 16/ [level=2]:
        - gridcell /unregistered. state_dict.. and .to.. will not see it/
  - region "Inspector":
    - heading "head.weight" [level=2]
    - button "Copy net.head.weight"
    - img "Tie group A"
    - button "Freeze 1 tensor"
    - tablist "Inspector":
      - tab "Overview" [selected]
      - tab "Re-initialize"
      - tab "Ties 2"
      - tab "Code"
    - tabpanel "Overview":
      - region "Statistics"
      - region "Values":
        - button "log scale of counts"
        - img /Histogram of the values. from .* to .*, most between .* to .*, standard deviation/
      - region "Gradient":
        - img /Histogram of the gradient/
      - region "Heat map":
        - img /Heat map of the values, 50 rows by 16 columns/
        - grid "Values round the focus"
  - region "History":
    - button "Undo (u)" [disabled]
    - button "Redo (Shift+U)" [disabled]
    - button "中文"
"""


@pytest.fixture
def page(lab):
    """The lab's tab; what is stored of a language is gone after it, and so are the system's colours."""
    yield lab.page
    lab.page.evaluate(SAVE, "{}")
    lab.page.evaluate("() => localStorage.removeItem('nnwidgets-language')")
    lab.page.emulate_media(forced_colors="none", color_scheme="light")


def opened(lab, *, lang="en", direction="ltr"):
    """Open a page in a language and a direction, with an Explorer that shows one tied weight."""
    lab.page.evaluate("([lang, dir]) => Object.assign(document.documentElement, { lang, dir })", [lang, direction])
    notebook = lab.open([models.LOAD, models.BLOCKS, TRAINED, "%nn net"])
    notebook.run(0, 1, 2, 3)
    explorer = notebook.explorer(3)
    explorer.expand("head")
    explorer.row(PATH).locator(".nnw-label").click()
    expect(explorer.root.get_by_role("heading", level=2).get_by_title(PATH, exact=True)).to_be_visible()
    return explorer


def english(locator):
    """Return the words of English in what is written there, but for names."""
    return set(locator.evaluate(WORDS)) - SAME


def test_a_chinese_page_has_an_explorer_in_chinese_that_can_be_had_in_english(lab, page):
    explorer = opened(lab, lang="zh-CN")
    root = explorer.root
    expect(root.get_by_role("region", name="统计", exact=True)).to_contain_text("精确")
    expect(root).to_have_attribute("lang", "zh-CN")
    assert english(root) == set()
    assert violations(explorer) == []
    explorer.screenshot("chinese")

    root.get_by_role("tab", name="重新初始化").click()
    expect(root.get_by_role("button", name="应用")).to_have_attribute("aria-disabled", "false")
    assert english(root) == set()
    assert violations(explorer) == []
    explorer.screenshot("chinese-edit")

    explorer.notebook.execute("torch.save(net.state_dict(), 'net.pt')")
    root.get_by_role("button", name="检查点").click()
    root.get_by_role("option", name="net.pt").click()
    expect(root.get_by_role("button", name="加载全部 28 个")).to_be_enabled()
    assert english(root) == set()
    assert violations(explorer) == []
    explorer.screenshot("chinese-checkpoints")

    root.get_by_role("button", name="English").click()
    expect(root.get_by_role("button", name="Load all 28")).to_be_enabled()
    assert page.evaluate("() => localStorage.getItem('nnwidgets-language')") == "en"


def test_where_reading_goes_from_right_to_left_the_layout_is_turned_and_paths_are_not(lab, page):
    explorer = opened(lab, direction="rtl")
    tree, inspector = explorer.grid.bounding_box(), explorer.inspector.bounding_box()
    assert inspector["x"] + inspector["width"] <= tree["x"] + 1
    columns = [each.bounding_box()["x"] for each in explorer.grid.get_by_role("columnheader").all()]
    assert columns == sorted(columns, reverse=True)
    path = explorer.inspector.get_by_title(PATH, exact=True)
    parent, name = (path.locator(f"bdi bdi:nth-child({n})").bounding_box() for n in (1, 2))
    assert parent["x"] + parent["width"] <= name["x"] + 1
    assert explorer.root.evaluate(STICKING_OUT) == []
    assert violations(explorer) == []
    explorer.screenshot("right-to-left")

    explorer.row("head").click()
    for key, is_open in (("ArrowRight", "false"), ("ArrowLeft", "true")):
        page.keyboard.press(key)
        expect(explorer.row("head")).to_have_attribute("aria-expanded", is_open)
    page.keyboard.press("ArrowLeft")
    explorer.wait_focused(PATH)

    explorer.inspector.get_by_role("tab", name="Overview").focus()
    page.keyboard.press("ArrowLeft")
    expect(explorer.inspector.get_by_role("tab", name="Re-initialize")).to_be_focused()
    expect(explorer.inspector.get_by_role("button", name="Apply")).to_have_attribute("aria-disabled", "false")
    explorer.screenshot("right-to-left-edit")


def test_forced_colours_keep_what_is_selected_tied_and_shown_by_colour_and_twice_the_size_loses_nothing(lab, page):
    explorer = opened(lab)
    root = explorer.root
    expect(root.get_by_role("region", name="Statistics", exact=True)).to_contain_text("exact")
    page.mouse.move(0, 0)
    expect(root).to_match_aria_snapshot(SNAPSHOT)

    lab.theme("JupyterLab Dark High Contrast")
    expect(root).to_have_attribute("data-tone", "dark")
    assert violations(explorer) == []
    lab.theme("JupyterLab Light")
    for scheme in ("light", "dark"):
        page.emulate_media(forced_colors="active", color_scheme=scheme)
        expect(root).to_have_attribute("data-tone", scheme)
        style = "(element, name) => getComputedStyle(element)[name]"
        assert explorer.row(PATH).evaluate(style, "outlineStyle") == "solid"
        badge = explorer.row(PATH).get_by_role("img", name="Tie group A")
        assert badge.evaluate(style, "color") != badge.evaluate(style, "backgroundColor")
        cells = explorer.inspector.get_by_role("grid").get_by_role("gridcell")
        colours = set(cells.evaluate_all("(all) => all.map((each) => getComputedStyle(each).backgroundColor)"))
        assert len(colours) > 20
        explorer.screenshot(f"forced-colours-{scheme}")
    explorer.row(PATH).focus()
    page.keyboard.press("ArrowUp")
    explorer.wait_focused("head")
    assert explorer.row("head").evaluate(style, "outlineWidth") == "3px"
    page.keyboard.press("ArrowDown")
    explorer.wait_inspecting(PATH)
    page.emulate_media(forced_colors="none", color_scheme="light")

    page.set_viewport_size({"width": 680, "height": 500})
    expect(explorer.inspector).to_be_visible()
    assert root.evaluate(STICKING_OUT) == []
    explorer.inspector.get_by_role("tab", name="Re-initialize").click()
    explorer.inspector.get_by_role("button", name="Apply").scroll_into_view_if_needed()
    assert root.evaluate(STICKING_OUT) == []
    root.get_by_role("button", name="Checkpoints").click()
    expect(root.get_by_role("heading", name="Checkpoints")).to_be_visible()
    assert root.evaluate(STICKING_OUT) == []
    page.set_viewport_size({"width": 680, "height": 1600})
    explorer.screenshot("twice-the-size")


def test_a_setting_of_jupyterlab_writes_the_panel_and_every_explorer_in_chinese(lab, page):
    page.evaluate(SAVE, json.dumps({"language": "zh"}))
    lab.load()
    explorer = opened(lab)
    expect(explorer.root.get_by_role("button", name="检查点")).to_be_visible()
    Panel(lab).command("nnwidgets:open-panel")
    panel = page.get_by_role("region", name="神经网络", exact=True)
    expect(panel.get_by_role("list", name="模型")).to_be_visible()
    expect(panel.get_by_role("treegrid", name="net 的模块与张量")).to_be_visible()
    panel.get_by_role("button", name="English").click()
    expect(page.get_by_role("treegrid", name="Modules and tensors of net")).to_have_count(2)
    expect(page.get_by_role("region", name="Neural network", exact=True)).to_be_visible()
    Panel(lab).command("application:toggle-right-area")
