"""What the documents show runs as it stands, and the reference has every public name."""

from __future__ import annotations

import doctest
import importlib.util
import re
import zlib
from pathlib import Path

import pytest

import nnwidgets as nnw
from tests.support.documents import DOCS, code_in
from tests.support.ipython_shell import shell

PAGE = Path(nnw.__file__).parent / "static"
SHOWN = [DOCS / "tutorial.md", *sorted((DOCS / "how-to").glob("*.md"))]


LENIENT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(scope="module")
def shown():
    spec = importlib.util.spec_from_file_location("shown", DOCS / "shown.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_from_top_to_bottom_and_prints_what_is_shown(page, shown):
    """An ``…`` in what is shown stands for what differs each time: seconds, a digest."""
    blocks = shown.blocks(page.read_text(encoding="utf-8"))
    assert [code for code, _ in blocks] == code_in(page, "python") != []
    for (code, wanted), printed in zip(blocks, shown.printed([code for code, _ in blocks]), strict=True):
        is_so = doctest.OutputChecker().check_output(wanted.replace("…", "..."), printed, LENIENT)
        assert is_so, f"{code}\nprints\n{printed}\nRun: python docs/shown.py {page}"


def test_the_reference_has_every_public_name_once():
    listed = re.findall(
        r"^::: nnwidgets\.(?:\w+\.)*(\w+)$", (DOCS / "api.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert sorted(listed) == sorted(nnw.__all__)


README_MODEL = """
import torch, nnwidgets as nnw
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))
net.output = nn.Linear(10, 4)
X, y, x, tensor, a, b = torch.rand(2, 20), torch.tensor([0, 3]), torch.ones(3), net[0].weight, net, net
adam = torch.optim.Adam(net.parameters())
def fn(m):
    m.weight.mul_(1)
@nnw.initializer
def mine(tensor, generator):
    tensor.normal_(generator=generator)
state = net.state_dict()
torch.save({name.replace("output", "out"): value for name, value in state.items()}, "old.params")
torch.save({"g": {"w": x}, "d": state, "d_ema": state}, "gan.pt")
nnw.save(x, "x-file")
nnw.save(net, "mlp.safetensors")
"""


def test_each_line_of_the_readmes_table_does_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = (DOCS.parent / "README.md").read_text(encoding="utf-8").split("| in a cell | from Python | gives |")[1]
    rows = table.split("\n\n")[0].split("\n")[2:]
    spans = re.findall("`([^`]+)`", "\n".join(" | ".join(row.split(" | ")[:2]) for row in rows))
    lines = [re.sub(r" \[[^\]]*\]", "", span.replace("\\|", "|")) for span in spans]
    runs = [line for line in lines if re.match(r"%|nnw\.|\w+ = nnw\.|view\.", line)]
    assert len(runs) > 35
    with shell() as ip:
        ran = ip.run(README_MODEL)
        assert ran.error is None, ran.printed
        for line in runs:
            if "save" in line:
                (tmp_path / "mlp.params").unlink(missing_ok=True)
            fitting = line.replace("mlp.params", "old.params") if re.search(r"out\W+output", line) else line
            ran = ip.run(f"{fitting}\n{'m.weight.mul_(1)' if line.startswith('%%') else ''}")
            assert ran.error is None, f"{line}: {ran.printed}"


def test_a_figure_of_the_readme_says_where_it_is_over_its_mark_and_the_bundle_is_as_large_as_it_says():
    table = (DOCS.parent / "README.md").read_text(encoding="utf-8").split("## Figures")[1].split("\n\n")[2]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.split("\n")[2:]]
    assert len(rows) > 50
    for what, measured, mark, note in rows:
        found, most = (
            [float(each.replace(",", "")) for each in re.findall(r"[\d,]*\.?\d+", cell)] for cell in (measured, mark)
        )
        is_over = any(a > b for a, b in zip(found, most * len(found) if len(most) == 1 else most, strict=bool(most)))
        assert is_over == ("**over**" in note), what
    (said,) = (note for what, _, _, note in rows if what == "bundle")
    script, style = (PAGE / f"nnwidgets.{kind}" for kind in ("js", "css"))
    sent = len(zlib.compress(script.read_bytes(), 9)) + len(zlib.compress(style.read_bytes(), 9))
    (told,) = (measured for what, measured, _, _ in rows if what == "bundle")
    numbers = [float(each) for each in re.findall(r"\d+\.?\d*", f"{told} {said}")]
    sizes = [script.stat().st_size / 1e3, style.stat().st_size / 1e3, sent / 1e3]
    assert numbers == pytest.approx(sizes, rel=0.03)
