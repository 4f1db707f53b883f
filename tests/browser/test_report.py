"""The page that ``python -m nnwidgets check --html`` writes, in Chromium: it folds, and asks for nothing."""

from __future__ import annotations

from pathlib import Path

import torch
from playwright.sync_api import BrowserContext, expect
from torch import nn

from nnwidgets.command_line import main

NAME = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def test_a_report_folds_and_has_numbers_without_script_or_network(context: BrowserContext, tmp_path: Path) -> None:
    net = nn.Sequential(*[nn.Linear(3, 3) for _ in range(4)])
    with torch.no_grad():
        net[2].weight[0, 0] = torch.nan
    torch.save({**net.state_dict(prefix="layers."), f"{NAME}.w": torch.ones(2)}, tmp_path / "net.pt")
    assert main(["check", "--html", str(tmp_path / "report.html"), str(tmp_path / "net.pt")]) == 1

    page = context.new_page()
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    address = (tmp_path / "report.html").as_uri()
    page.goto(address)

    expect(page).to_have_title("net.pt")
    expect(page.get_by_text("1 NaN of 9 elements.")).to_be_visible()
    expect(page.locator("summary > b", has_text=NAME)).to_be_visible()
    assert page.locator("script, img, link, iframe").count() == 0
    layer = page.locator("details").filter(has=page.locator("summary > b", has_text="2")).last
    expect(layer.locator("td", has_text="weight")).to_be_hidden()
    layer.locator("summary").click()
    row = layer.locator("tr", has=page.locator("td", has_text="weight"))
    expect(row).to_be_visible()
    mean = net[2].weight.detach()[~net[2].weight.isnan()].double().mean().item()
    expect(row.locator("td").nth(3)).to_have_text(f"{mean:.6g}")
    expect(layer.locator("th", has_text="NaN")).to_be_visible()
    for width in (360, 1100):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert (asked, problems) == ([address], [])
