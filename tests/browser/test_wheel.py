"""The wheel alone, in an environment of its own, far from the source tree."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from lab_driver import Lab, LabServer, Panel, models

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
(TORCH,) = (line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if line.startswith("torch=="))


@pytest.fixture(scope="package")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source tree as a release would be."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)], check=True, timeout=600
    )
    (built,) = folder.glob("nnwidgets-*.whl")
    return built


@pytest.fixture(scope="package")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds JupyterLab, torch, and the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    for packages in ((TORCH,), ("jupyterlab", str(wheel))):
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "-c", str(CONSTRAINTS), *packages],
            check=True,
            timeout=900,
            cwd=folder,
        )
    return python


@pytest.fixture
def lab_of_the_wheel(
    installed: Path, context: BrowserContext, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    server = LabServer(tmp_path_factory.mktemp("wheel-lab"), python=str(installed))
    try:
        yield Lab(server, context)
    finally:
        server.end()


@pytest.mark.slow
def test_the_wheel_holds_the_page_and_its_types_and_nothing_of_the_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    both = (
        f"{name}.{kind}" for name in ("nnwidgets", "checkpoints", "help", "pulse", "table") for kind in ("js", "css")
    )
    page = {
        f"nnwidgets/static/{name}"
        for name in (*both, "depth.js", "graph.js", "layout.js", "reinitialize.js", "sentences.js", "zh.json")
    }
    assert page | {"nnwidgets/py.typed"} <= set(names)
    assert zipfile.ZipFile(wheel).getinfo("nnwidgets/static/nnwidgets.js").file_size <= 130_000
    version = wheel.name.split("-")[1]
    extension = f"nnwidgets-{version}.data/data/share/jupyter/labextensions/nnwidgets"
    description = json.loads(zipfile.ZipFile(wheel).read(f"{extension}/package.json"))
    load = description["jupyterlab"]["_build"]["load"]
    assert {f"{extension}/{name}" for name in (load, "install.json", "schemas/nnwidgets/plugin.json")} <= set(names)
    folders = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert folders == {"nnwidgets", f"nnwidgets-{version}.data"}


@pytest.mark.slow
def test_the_wheel_alone_explores_a_model_in_jupyterlab(installed, lab_of_the_wheel):
    notebook = lab_of_the_wheel.open([models.LOAD, models.TIED, "%nn net"])
    notebook.run(0, 1, 2)
    home = Path(notebook.kernel("__import__('nnwidgets').__file__"))
    assert installed.parents[1] in home.parents
    assert ROOT not in home.parents

    explorer = notebook.explorer(2)
    explorer.expand("embed", "head")
    expect(explorer.row("embed.weight")).to_contain_text("50 × 16")
    explorer.select("embed.weight")
    figures = explorer.statistics()
    assert figures["mean"] == pytest.approx(notebook.kernel("net.embed.weight.double().mean().item()"), rel=1e-9)
    explorer.page.keyboard.press("t")
    explorer.wait_focused("head.weight")
    explorer.filter("Linear.weight")
    expect(explorer.row("body.0.weight")).to_be_visible()

    panel = Panel(lab_of_the_wheel)
    panel.open()
    expect(panel.explorer(notebook, "net").row("embed.weight")).to_be_visible()
