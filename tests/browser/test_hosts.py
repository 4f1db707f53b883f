"""The same stories in every host; the README's table of what works where is what came of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

import nnwidgets
from lab_driver import KernelHost, LabServer, stages
from lab_driver.axe import violations
from lab_driver.explorer import NO_KERNEL
from lab_driver.stages import Stage

SOURCE = Path(nnwidgets.__file__).parents[1]
README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- hosts -->", "<!-- end of hosts -->"
HOSTS = ("jupyterlab", "panel", "notebook_seven", "vscode", "marimo")
FAR = 60
ANSWERED = {
    "answers": "at once",
    "tells": "when the cell ends; says at once that the kernel is busy",
    "is silent": "when the cell ends; what is shown is dimmed until then",
}

SEEN: dict[str, dict[str, str]] = {}
"""What each story said of each host, by the story's words and the host's name."""


@pytest.fixture(scope="module", params=HOSTS)
def stage(
    request: pytest.FixtureRequest,
    chromium: BrowserContext,
    server: LabServer,
    kernels: KernelHost,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """One host after the other; the stories follow one another in it."""
    folder = tmp_path_factory.mktemp(request.param)
    opened = stages.by_host(server, kernels, chromium, folder, SOURCE)
    with opened[request.param]() as stage:
        yield stage
        assert [fault for fault in stage.faults if is_ours(fault, stage)] == []


HEAR = """(root) => {
  window.heard = [];
  root.parentNode.addEventListener('keydown', ({ key }) => key !== 'Control' && window.heard.push(key));
  if (window.panels) { window.shown = () => Object.values(window.panels).find((panel) => panel.isVisible); }
}"""


def is_ours(fault: str, stage: Stage) -> bool:
    """Notebook 7.6 itself throws while it loads its settings, and marimo where its server is gone."""
    return stage.name not in ("Notebook 7", "marimo") or "nnwidgets" in fault or "blob:" in fault


def saw(story: str, stage: Stage, what: str = "✓") -> None:
    SEEN.setdefault(story, {})[stage.name] = what


def test_numbers_are_torchs(stage: Stage):
    explorer = stage.find()
    explorer.expand("0", "2")
    explorer.filter("0.weight")
    expect(explorer.row("2.weight")).to_have_count(0)
    explorer.filter("")
    explorer.select("0.weight")
    assert explorer.statistics()["mean"] == pytest.approx(stage.mean("0.weight"), rel=1e-6)
    saw("tree, filter, statistics that are torch’s", stage)


def test_a_tensor_is_filled_anew_and_it_is_taken_back(stage: Stage):
    explorer = stage.find()
    before = stage.mean("0.weight")
    explorer.select("0.weight")
    panel = explorer.tab("Re-initialize")
    panel.get_by_label("Initializer").select_option("eye_")
    panel.get_by_role("button", name="Apply").click()
    expect(panel.get_by_text("applied", exact=True)).to_be_visible()
    assert stage.mean("0.weight") == 1 / 256, "twenty ones in 256 rows of 20"
    history = explorer.root.get_by_role("region", name="History")
    history.get_by_role("button", name="Undo eye_").click()
    expect(history).to_contain_text("No changes in force")
    assert stage.mean("0.weight") == before
    explorer.tab("Overview")
    saw("re-initialize, undo", stage)


def test_everything_is_reached_by_keyboard(stage: Stage):
    explorer = stage.find()
    keys = stage.page.keyboard
    explorer.filter_box.focus()
    explorer.tab_in(within=FAR)
    keys.press("Home")
    explorer.wait_focused("")
    keys.press("ArrowDown")
    explorer.wait_focused("0")
    keys.press("ArrowLeft")
    expect(explorer.row("0")).to_have_attribute("aria-expanded", "false")
    keys.press("ArrowRight")
    expect(explorer.row("0.weight")).to_be_visible()
    keys.press("ArrowRight")
    explorer.wait_focused("0.weight")
    keys.press("Enter")
    expect(explorer.inspector.locator(":focus")).not_to_have_count(0)
    keys.press("Escape")
    explorer.wait_focused("0.weight")
    keys.press("/")
    expect(explorer.filter_box).to_be_focused()
    saw("everything by keyboard", stage)


def test_a_forward_is_run_and_its_graph_followed(stage: Stage):
    explorer = stage.find()
    explorer.filter("")
    explorer.select("")
    panel = explorer.tab("Graph")
    panel.get_by_label("Size", exact=True).fill("2,20")
    panel.get_by_role("button", name="Run a forward").click()
    nodes = panel.get_by_role("group", name="Graph of").get_by_role("button")
    expect(nodes).to_have_count(5)
    nodes.filter(has_text="ReLU").click()
    explorer.wait_inspecting("1")
    stage.page.keyboard.press("ArrowDown")
    expect(nodes.filter(has_text="2Linear")).to_be_focused()
    explorer.tab("Overview")
    saw("`trace`’s graph, drawn and followed", stage)


def test_shortcuts_of_the_host_work_with_the_focus_in_the_view(stage: Stage):
    explorer = stage.find()
    page, keys = stage.page, stage.page.keyboard
    explorer.root.evaluate(HEAR)
    for focus in (lambda: explorer.select("0.weight"), explorer.filter_box.focus):
        focus()
        page.evaluate("() => { window.shown?.().context.model.sharedModel.setMetadata('n', {}); }")
        for key in ("a", "Enter", "F1", "Control+s"):
            keys.press(key)
        if stage.name == "marimo":
            page.get_by_role("dialog", name="Save notebook").get_by_role("button", name="Cancel").click()
        page.wait_for_function("() => !window.shown?.().context.model.dirty")
        explorer.filter("")
    # Jupyter may take its own before they get to the view.
    assert set(page.evaluate("() => window.heard")) | {"s"} == {"F1", "s"}
    saw("the host’s shortcuts, Ctrl+S too, with the focus in the view", stage)


def test_no_accessibility_violation_in_light_and_dark(stage: Stage):
    explorer = stage.find()
    explorer.select("0.weight")
    explorer.statistics()
    for theme in ("dark", "light"):
        stage.dress(theme)
        expect(explorer.root).to_have_attribute("data-tone", theme)
        assert violations(explorer) == []
        explorer.screenshot(f"host-{stage.name}-{theme}")
    saw("light and dark, no axe-core violation", stage)


def test_a_training_is_drawn_and_clicks_are_answered(stage: Stage):
    explorer = stage.find()
    is_widget = stage.name != "JupyterLab’s panel"
    with stage.training():
        if is_widget:
            expect(explorer.row("0.weight").locator(".nnw-pulse path")).to_have_count(3)
        explorer.row("2.bias").locator(".nnw-label").click()
        expect(explorer.row("2.bias")).to_have_attribute("aria-selected", "true")
        if stage.while_busy == "answers":
            mean = explorer.statistics()["mean"]
        elif stage.while_busy == "tells":
            expect(explorer.root).to_contain_text("The kernel is busy: it answers when the running cell has ended.")
        else:
            expect(explorer.inspector.locator("[aria-busy=true]")).not_to_have_count(0)
    if stage.while_busy != "answers":
        explorer.wait_inspecting("2.bias")
        mean = explorer.statistics()["mean"]
    assert mean == pytest.approx(stage.mean("2.bias"), rel=1e-6)
    saw("`tick()` draws a training while it runs", stage, "✓" if is_widget else "–")
    saw("clicks during a training cell are answered", stage, ANSWERED[stage.while_busy])


def test_without_its_kernel_the_view_says_so_and_stays_readable(stage: Stage):
    explorer = stage.find()
    explorer.filter("")
    explorer.select("0.weight")
    stage.lose_kernel()
    explorer.row("2.weight").locator(".nnw-label").click()
    expect(explorer.root).to_contain_text(NO_KERNEL)
    expect(explorer.root.locator("[aria-busy=true]")).to_have_count(0)
    expect(explorer.row("0.weight")).to_be_visible()
    saw("without a kernel: says so, stays readable", stage)


def test_the_readmes_table_is_what_was_seen():
    if any(len(each) != len(HOSTS) for each in SEEN.values()) or len(SEEN) < 8:
        pytest.skip("not all stories were played")
    names = list(next(iter(SEEN.values())))
    lines = [f"| | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    lines += [f"| {story} | {' | '.join(seen[name] for name in names)} |" for story, seen in SEEN.items()]
    table = "\n".join(lines)
    text = README.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    if text[begin:end].strip() != table:
        pytest.fail(f"put this between the marks in README.md:\n\n{table}\n")
