"""The heat map zooms down to real numbers, and they are torch's; the gradient stands beside the values."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from lab_driver import models
from lab_driver.explorer import number

BACKWARD = "(net(torch.rand(8, 20)) ** 2).sum().backward()"
SPECIAL = """net = nn.Module()
net.matrix = nn.Parameter(torch.randn(300, 200))
net.four = nn.Parameter(torch.randn(6, 3, 5, 5))
net.odd = nn.Parameter(torch.tensor([float('nan'), float('inf'), float('-inf'), 0.0, 1.0]))
net.scalar = nn.Parameter(torch.tensor(7.0))
net.empty = nn.Parameter(torch.empty(0, 4))
net.bf16 = nn.Parameter(torch.randn(20, 20, dtype=torch.bfloat16))
net.register_buffer('mask', torch.tensor([[True, False], [False, True]]))
net.register_buffer('count', torch.arange(12).reshape(3, 4))
net.register_buffer('wave', torch.complex(torch.randn(2, 2), torch.randn(2, 2)))"""


@pytest.fixture
def notebook(lab):
    notebook = lab.open([models.LOAD, models.MLP, BACKWARD, "%nn net", SPECIAL, "%nn net"])
    notebook.run(0, 1, 2, 3)
    return notebook


def read_picture(explorer):
    """Return row, column and value as the picture tells them to a screen reader."""
    label = explorer.part("Heat map").get_by_role("img", name=re.compile("^Heat map")).get_attribute("aria-label")
    row, column, text = re.search(r"At row (\d+), column (\d+): (\S+)\. ", label).groups()
    return int(row), int(column), number(text)


def wait_at(explorer, row, column):
    expect(explorer.part("Heat map").get_by_role("img", name=re.compile("^Heat map"))).to_have_accessible_name(
        re.compile(rf"At row {row}, column {column}: ")
    )


def test_a_click_in_the_picture_shows_the_numbers_under_it(notebook):
    explorer = notebook.explorer(3)
    explorer.expand("0")
    explorer.select("0.weight")
    canvas = explorer.part("Heat map").get_by_role("img", name=re.compile("^Heat map"))
    canvas.wait_for()
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 0.5, "y": box["height"] * 64.5 / 256})
    wait_at(explorer, 64, 10)
    row, column, value = read_picture(explorer)
    assert value == pytest.approx(notebook.kernel(f"net[0].weight[{row}, {column}].item()"), rel=1e-6)

    explorer.page.keyboard.press("ArrowRight")
    explorer.page.keyboard.press("ArrowDown")
    wait_at(explorer, 65, 11)
    *_, value = read_picture(explorer)
    assert value == pytest.approx(notebook.kernel("net[0].weight[65, 11].item()"), rel=1e-6)
    explorer.page.keyboard.press("Home")
    wait_at(explorer, 65, 0)
    for _ in range(4):
        explorer.page.keyboard.press("+")
    expect(explorer.part("Heat map")).to_contain_text(re.compile(r"rows \d+–\d+"))


def test_the_table_holds_torchs_numbers(notebook):
    explorer = notebook.explorer(3)
    explorer.expand("2")
    explorer.select("2.weight")
    table = explorer.part("Heat map").get_by_role("grid")
    table.wait_for()
    cells = table.locator("tbody td").evaluate_all("(all) => all.map((cell) => [cell.title, cell.textContent])")
    first = [number(title) for title, _ in cells[:3]]
    assert first == pytest.approx(notebook.kernel("net[2].weight[0, :3].tolist()"), rel=1e-6)


def test_the_gradient_stands_beside_and_can_be_looked_into(notebook):
    explorer = notebook.explorer(3)
    explorer.expand("0")
    explorer.select("0.weight")
    expect(explorer.inspector).to_contain_text("Gradient")
    explorer.part("Heat map").get_by_role("button", name="gradient").click()
    canvas = explorer.part("Heat map").get_by_role("img", name=re.compile("^Heat map of the gradient"))
    canvas.wait_for()
    canvas.focus()
    explorer.page.keyboard.press("ArrowDown")
    wait_at(explorer, 1, 0)
    *_, value = read_picture(explorer)
    assert value == pytest.approx(notebook.kernel("net[0].weight.grad[1, 0].item()"), rel=1e-6)


@pytest.mark.parametrize("path", ["four", "odd", "scalar", "empty", "bf16", "mask", "count", "wave"])
def test_every_shape_and_dtype_shows_something_sensible(notebook, path):
    notebook.run(4, 5)
    explorer = notebook.explorer(5)
    explorer.select(path)
    section = explorer.part("Heat map").or_(explorer.part("Numbers"))
    if path == "empty":
        expect(explorer.inspector).to_contain_text("the tensor is empty")
    elif path == "scalar":
        expect(explorer.part("Value")).to_contain_text("7")
    else:
        expect(section.get_by_role("grid")).to_be_visible()
        expect(section).to_have_attribute("aria-busy", "false")
    if path == "odd":
        for word in ("NaN", "inf"):
            expect(section.get_by_role("grid")).to_contain_text(re.compile(word, re.IGNORECASE))
    expect(explorer.inspector.get_by_role("alert")).to_have_count(0)
