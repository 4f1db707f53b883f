"""The example notebooks run clean from top to bottom, and are stored without outputs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
import torch.distributed.fsdp
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

import nnwidgets
from tests.support.notebook_runs import run_notebook

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))
SOURCE = str(Path(nnwidgets.__file__).parents[1])
WIDGET = "application/vnd.jupyter.widget-view+json"
EXPLORES = re.compile(r"^%nn \w+$", re.MULTILINE)


def read(name):
    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


@pytest.fixture
def clean_kernel(tmp_path, monkeypatch):
    """The kernel of this interpreter, whatever kernels and settings the machine has."""
    for variable in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (SOURCE, os.environ.get("PYTHONPATH")))))
    manager = KernelSpecManager(data_dir=str(tmp_path), ensure_native_kernel=True)
    manager.kernel_dirs = []
    return AsyncKernelManager(kernel_spec_manager=manager, kernel_name="python3")


def test_the_notebooks_are_there():
    assert NAMES == [
        "00_tour",
        "01_layers_and_blocks",
        "02_parameters",
        "03_initialization",
        "04_files",
        "05_many_ranks",
        "06_signal",
    ]


@pytest.mark.parametrize("name", [*NAMES, *(f"zh-CN/{name}" for name in NAMES)])
def test_an_example_is_stored_valid_and_without_outputs(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_clean_and_every_exploring_cell_gives_a_view_with_fallbacks(name, clean_kernel, tmp_path):
    notebook = read(name)
    if "import ipyparallel" in json.dumps(notebook):
        pytest.importorskip("ipyparallel")
    if "fully_shard" in json.dumps(notebook) and not hasattr(torch.distributed.fsdp, "fully_shard"):
        pytest.skip(f"torch {torch.__version__} has no torch.distributed.fsdp.fully_shard")
    where = {"metadata": {"path": str(tmp_path)}}
    run_notebook(notebook, is_attended=True, km=clean_kernel, resources=where)

    explored = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
        if EXPLORES.search(cell.source):
            explored += 1
            views = [output.data for output in cell.outputs if WIDGET in output.get("data", {})]
            assert len(views) == 1, cell.source
            assert views[0]["text/html"].lstrip().startswith("<")
            assert views[0]["text/plain"].strip()
    assert explored >= 3


@pytest.mark.parametrize("name", NAMES)
def test_each_explored_model_is_followed_by_what_to_notice(name):
    """A learner is told where to look."""
    cells = read(name).cells
    for index, cell in enumerate(cells):
        if cell.cell_type == "code" and EXPLORES.search(cell.source):
            told = " ".join(later.source for later in cells[index + 1 : index + 4] if later.cell_type == "markdown")
            assert re.search(r"notice in the Explorer|Try this|Keep this view", told), cell.id


@pytest.mark.parametrize("name", NAMES)
def test_links_between_the_examples_lead_somewhere(name):
    text = json.dumps([cell.source for cell in read(name).cells])
    for target in re.findall(r"\]\((\w+\.ipynb)\)", text):
        assert (EXAMPLES / target).is_file()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "05_many_ranks"])
def test_an_example_with_live_views_speaks_of_them_as_they_are(name):
    """Of how they follow the cells, of rows that are open at first, of the panel, of numbers as they are drawn."""
    text = " ".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")
    assert "one cell at a time" in text
    assert not re.search(r"\bOpen(\*\*)? `|Open that too", text), "it is open already, and would be closed"
    assert not re.search(r"histogram reaches that far|without a heat map", text)
    assert ("Create New View" in text) <= ("panel **Neural network**" in text)
