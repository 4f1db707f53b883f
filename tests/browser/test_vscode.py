"""The Explorer in VS Code: in its own widget manager, which has no subshells, no dialogs, no windows and no network."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from lab_driver import VSCodeNotebook, models
from lab_driver.axe import violations
from lab_driver.explorer import NO_KERNEL
from lab_driver.picture import picture

GRADIENTS = "net(torch.randint(50, (2, 5))).sum().backward()"
EXPLORE = "import nnwidgets as nnw\nexplorer = nnw.explore(net)\nexplorer"
TRAIN = """import os
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
steps = 0
while not os.path.exists('stop'):
    optimizer.zero_grad()
    net(torch.randint(50, (2, 5))).square().mean().backward()
    optimizer.step()
    explorer.tick()
    steps += 1
    if steps == 1:
        print('trains')"""
CELLS = [models.LOAD, models.BLOCKS, GRADIENTS, "%nn net", EXPLORE, TRAIN]
MAGIC, TRAITS, TRAINING = 3, 4, 5
BUSY = "The kernel is busy: it answers when the running cell has ended."
FIGURES = """(lambda x: {'mean': x.mean().item(), 'std': x.std().item(), 'min': x.min().item(), 'max': x.max().item(),
 'L2 norm': x.norm().item(), 'zeros': (x == 0).sum().item()})(net.get_parameter('%s').detach().double())"""
LOOKS = """(root) => [...root.querySelectorAll('.nnw-body *')].map((element) => {
  const { display, font, margin, padding, borderWidth, gap, height } = getComputedStyle(element);
  return [element.getAttribute('class'), display, font, margin, padding, borderWidth, gap, height].join(' | ');
})"""
WHITE = ".cell-output-ipywidget-background.cell-output-ipywidget-background { background: white !important; }"
BACKGROUNDS = {
    "light": "rgb(255, 255, 255)",
    "dark": "rgb(31, 31, 31)",
    "high-contrast": "rgb(0, 0, 0)",
    "high-contrast-light": "rgb(255, 255, 255)",
}
FAR = 20
WATCH = """(root) => {
  window.said = [];
  const look = () => /kernel is busy|Waiting for the kernel/.test(root.outerHTML) && window.said.push(root.innerText);
  new MutationObserver(look).observe(root, { childList: true, subtree: true, characterData: true });
}"""
UNCOVERED = """(root) => [...root.querySelectorAll('[role=columnheader], .nnw-inspector h2')].every((head) => {
  const { left, top, width, height } = head.getBoundingClientRect();
  return width === 0 || head.contains(document.elementFromPoint(left + width / 2, top + height / 2));
})"""


@pytest.fixture(scope="module")
def notebook(chromium, server):
    """One notebook in one tab for all tests here: they follow one another."""
    notebook = VSCodeNotebook(server, chromium, CELLS)
    notebook.run(0, 1, 2, MAGIC)
    yield notebook
    notebook.page.close()
    server.end_kernels()


@pytest.fixture(autouse=True)
def _no_faults(notebook, request):
    """Nothing thrown, which is what dialogs and windows do here, and nothing asked of the network."""
    yield
    if getattr(request.node, "failed", False):
        picture(notebook.page, f"failed-{request.node.name}")
    assert notebook.faults == []
    assert notebook.strays == []


def test_a_model_is_opened_filtered_and_read_and_the_numbers_are_torchs(notebook):
    explorer = notebook.explorer(MAGIC)
    explorer.expand("blocks.0")
    explorer.select("blocks.0.linear.weight")
    for path in ("blocks.0.linear.weight", "embed.weight"):
        explorer.reach(path)
        explorer.select(path)
        read = explorer.statistics()
        for name, value in notebook.kernel(FIGURES % path).items():
            assert read[name] == pytest.approx(value, rel=1e-9, abs=1e-12), f"{name} of {path}"
    explorer.filter("Linear.bias")
    expect(explorer.row("embed.weight")).to_have_count(0)
    explorer.filter("")
    expect(explorer.row("embed.weight")).to_be_visible()


def test_a_tensor_is_initialized_anew_by_a_button_and_undone(notebook):
    explorer = notebook.explorer(MAGIC)
    notebook.execute("before = net.frozen.bias.detach().clone()")
    explorer.reach("frozen.bias")
    explorer.select("frozen.bias")
    panel = explorer.tab("Re-initialize")
    panel.get_by_label("Initializer").select_option("constant_")
    panel.get_by_label("val", exact=True).fill("0.25")
    panel.get_by_role("button", name="Apply").click()
    expect(panel.get_by_text("applied", exact=True)).to_be_visible()
    assert notebook.kernel("net.frozen.bias.tolist()") == [0.25] * 16
    explorer.root.get_by_role("button", name="Undo").first.click()
    notebook.wait_for("torch.equal(net.frozen.bias, before)", True)
    explorer.tab("Overview")
    expect(explorer.part("Statistics")).not_to_contain_text("0.25")
    assert explorer.statistics()["mean"] == pytest.approx(notebook.kernel("before.double().mean().item()"), rel=1e-9)


def test_selected_and_filter_go_both_ways(notebook):
    notebook.run(TRAITS)
    explorer = notebook.explorer(TRAITS)
    explorer.expand("frozen")
    explorer.select("frozen.weight")
    notebook.wait_for("explorer.selected", "frozen.weight")
    notebook.execute("explorer.selected = 'head.weight'")
    explorer.wait_inspecting("head.weight")
    explorer.filter("Linear.bias")
    notebook.wait_for("explorer.filter", "Linear.bias")
    notebook.execute("explorer.filter = 'frozen.weight'")
    expect(explorer.filter_box).to_have_value("frozen.weight")
    expect(explorer.row("frozen.weight")).to_be_visible()
    notebook.execute("explorer.close()")
    expect(notebook.output(TRAITS).locator(".nnw-explorer")).to_have_count(0)


def test_a_pass_with_the_keyboard_only_of_which_the_editor_hears_nothing(notebook):
    explorer = notebook.explorer(MAGIC)
    explorer.filter("")
    keys = explorer.page.keyboard
    explorer.filter_box.blur()
    explorer.tab_in(within=FAR)
    notebook.keys()
    keys.press("Home")
    explorer.wait_focused("")
    for key in ("End", "ArrowUp", "Home"):
        keys.press(key)
    explorer.wait_focused("")
    keys.press("/")
    expect(explorer.filter_box).to_be_focused()
    keys.type("frozen.weight")
    expect(explorer.row("frozen.weight")).to_be_visible()
    keys.press("ArrowDown")
    explorer.arrow_down_to("frozen.weight")
    keys.press("Enter")
    explorer.wait_inspecting("frozen.weight")
    assert explorer.inspector.evaluate("(pane) => pane.contains(document.activeElement)")
    keys.press("Escape")
    explorer.wait_focused("frozen.weight")
    keys.press("c")
    explorer.page.wait_for_function("async () => (await navigator.clipboard.readText()).includes('frozen.weight')")
    for key in ("Shift+Enter", "a", "b", "d", "d", "Delete"):
        keys.press(key)
    keys.press("/")
    keys.press("Escape")
    expect(explorer.filter_box).to_have_value("")
    assert notebook.keys() == []


def test_what_comes_with_the_panel_of_checkpoints_changes_the_looks_of_nothing_else(notebook):
    explorer = notebook.explorer(MAGIC)
    explorer.select("frozen.weight")
    explorer.statistics()
    looks = explorer.root.evaluate(LOOKS)
    explorer.root.get_by_role("button", name="Checkpoints").click()
    expect(explorer.root.get_by_role("button", name="Save")).to_be_visible()
    notebook.page.keyboard.press("Escape")
    expect(explorer.grid).to_be_visible()
    assert explorer.root.evaluate(LOOKS) == looks


@pytest.mark.parametrize("theme", list(BACKGROUNDS))
def test_it_wears_the_themes_colours_and_every_text_is_legible(notebook, theme):
    notebook.dress(theme)
    explorer = notebook.explorer(MAGIC)
    tone = "light" if theme.endswith("light") else "dark"
    expect(explorer.root).to_have_attribute("data-tone", tone)
    expect(explorer.root).to_have_css("background-color", BACKGROUNDS[theme])
    expect(notebook.output(MAGIC).locator(".cell-output-ipywidget-background")).to_have_css(
        "background-color", "rgba(0, 0, 0, 0)"
    )
    explorer.reach("head.weight")
    explorer.filter("")
    explorer.select("head.weight")
    explorer.tab("Overview")
    explorer.statistics()
    picture(notebook.page, f"vscode-{theme}")
    for tab in explorer.inspector.get_by_role("tab").all():
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        assert violations(explorer) == [], tab.inner_text()
    explorer.tab("Overview")
    explorer.root.get_by_role("button", name="Checkpoints").click()
    expect(explorer.root.get_by_role("button", name="Save")).to_be_visible()
    explorer.screenshot(f"vscode-checkpoints-{theme}")
    assert violations(explorer) == []
    notebook.page.keyboard.press("Escape")
    expect(explorer.grid).to_be_visible()


def test_it_is_as_legible_where_the_background_stays_white_under_a_dark_theme(notebook):
    notebook.dress("dark")
    forced = notebook.page.add_style_tag(content=WHITE)
    explorer = notebook.explorer(MAGIC)
    expect(notebook.output(MAGIC).locator(".cell-output-ipywidget-background")).to_have_css(
        "background-color", "rgb(255, 255, 255)"
    )
    expect(explorer.root).to_have_css("background-color", BACKGROUNDS["dark"])
    assert violations(explorer) == []
    picture(notebook.page, "vscode-dark-on-white")
    forced.evaluate("(style) => style.remove()")


def test_a_training_says_nothing_of_waiting_before_something_is_asked_and_answers_after_it(notebook, server):
    stop = server.work / "stop"
    notebook.run(TRAITS)
    explorer = notebook.explorer(TRAITS)
    explorer.expand("embed", "frozen")
    explorer.select("embed.weight")
    explorer.statistics()
    explorer.root.scroll_into_view_if_needed()
    explorer.root.evaluate(WATCH)
    notebook.start(TRAINING)
    try:
        line = explorer.row("embed.weight").locator(".nnw-pulse path").first
        drawn = {line.get_attribute("d", timeout=60_000)}
        while len(drawn) < 8:
            drawn.add(line.get_attribute("d"))
        assert notebook.page.evaluate("() => window.said") == []
        assert explorer.root.evaluate(UNCOVERED)
        explorer.screenshot("vscode-training")
        explorer.row("frozen.weight").locator(".nnw-label").click()
        expect(explorer.root.get_by_text(BUSY)).to_be_visible()
        assert explorer.root.evaluate(UNCOVERED)
        explorer.row("embed.weight").locator(".nnw-label").click()
        expect(explorer.row("embed.weight")).to_have_attribute("aria-selected", "true")
        expect(explorer.inspector.get_by_role("tabpanel").locator("[aria-busy=true]").first).to_be_hidden()
        explorer.screenshot("vscode-busy")
        assert violations(explorer) == []
        assert notebook.executing(TRAINING)
    finally:
        stop.touch()
        notebook.wait_ended(TRAINING)
        stop.unlink()
    explorer.wait_inspecting("embed.weight")
    expect(explorer.root).not_to_contain_text(BUSY)
    mean = notebook.kernel("net.embed.weight.double().mean().item()")
    assert explorer.statistics()["mean"] == pytest.approx(mean, rel=1e-9)
    notebook.execute("explorer.close()")


def test_a_cell_run_again_shows_a_new_view_in_place_of_the_earlier(notebook):
    notebook.execute("net = nn.Linear(3, 7)")
    notebook.run(MAGIC)
    explorer = notebook.explorer(MAGIC)
    expect(explorer.row("")).to_contain_text("Linear")
    expect(notebook.output(MAGIC).locator(".nnw-explorer")).to_have_count(1)


def test_a_window_loaded_anew_has_the_tree_as_html_and_the_view_once_the_cell_is_run_on_the_same_kernel(notebook):
    notebook.reload()
    output = notebook.output(MAGIC)
    expect(output.get_by_text("Run the cell for the live view")).to_be_visible()
    expect(output.locator("summary").get_by_text("Linear")).to_be_visible()
    weight = output.get_by_text("weight", exact=True)
    expect(weight).to_be_visible()
    output.locator("summary").click()
    expect(weight).to_be_hidden()
    notebook.take_kernel()
    notebook.run(MAGIC)
    explorer = notebook.explorer(MAGIC)
    explorer.select("weight")
    mean = notebook.kernel("net.weight.double().mean().item()")
    assert explorer.statistics()["mean"] == pytest.approx(mean, rel=1e-9)


@pytest.mark.parametrize("how", ["restart", "shut_down"])
def test_without_its_kernel_a_view_says_so_and_stays_readable(notebook, how):
    explorer = notebook.explorer(MAGIC)
    explorer.select("weight")
    before = explorer.statistics()
    getattr(notebook, how)()
    expect(explorer.root).to_contain_text(NO_KERNEL)
    expect(explorer.root.locator("[aria-busy=true]")).to_have_count(0)
    expect(explorer.row("weight")).to_be_visible()
    assert explorer.statistics() == before
    assert violations(explorer) == []
    explorer.screenshot(f"vscode-{how}")
    if how == "restart":
        notebook.run(0)
        notebook.execute("net = nn.Linear(3, 7)")
        notebook.run(MAGIC)
        explorer = notebook.explorer(MAGIC)
        explorer.select("weight")
        mean = notebook.kernel("net.weight.double().mean().item()")
        assert explorer.statistics()["mean"] == pytest.approx(mean, rel=1e-9)
