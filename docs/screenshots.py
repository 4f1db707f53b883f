"""Takes the pictures of the documentation from a real JupyterLab: ``python docs/screenshots.py``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import BrowserContext

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))

from lab_driver import Explorer, Lab, LabServer, launched  # noqa: E402

PICTURES = ROOT / "docs" / "screenshots"
CELLS = (
    "%load_ext nnwidgets\nimport torch\nfrom torch import nn",
    """from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(0)
net = GPT2LMHeadModel(GPT2Config())
net.draft = nn.Module()
net.draft.up = nn.Linear(768, 3072, bias=False)
net.draft.up.weight = nn.Parameter(net.transformer.h[3].mlp.c_fc.weight.data.t())
net.draft.output = nn.Linear(768, 2)
net.draft.temperature = torch.ones(())
for part in (net.transformer.wpe, net.transformer.h[0], net.transformer.h[1]):
    part.requires_grad_(False)
tokens = torch.randint(50257, (2, 32))
net(tokens, labels=tokens).loss.backward()""",
    "import nnwidgets as nnw\nview = nnw.explore(net, height=720)\nview",
)
FILES = (
    "%load_ext nnwidgets\nimport torch, os\nfrom torch import nn\nfrom torch.nn import functional as F",
    """import nnwidgets as nnw
class MLP(nn.Module):
    def __init__(self, out):
        super().__init__()
        self.hidden = nn.Linear(20, 256)
        self.norm = nn.BatchNorm1d(256)
        setattr(self, out, nn.Linear(256, 10))
torch.manual_seed(0)
net, old = MLP("output"), MLP("out")
for name in ("mlp.params", "mlp.safetensors"):
    nnw.save(net, name, overwrite=True)
nnw.save(nn.DataParallel(net), "parallel.pt", overwrite=True)
nnw.save(old, "a-month-ago.params", overwrite=True)
os.makedirs("runs", exist_ok=True)""",
    "view = nnw.explore(net, height=520)\nview",
)
TENSOR = "transformer.h.3.mlp.c_fc.weight"
WIDTH, HEIGHT = 1120, 1000


def opened(lab: Lab) -> Explorer:
    """Show GPT-2 with a tensor of a middle block selected and its tie group lit."""
    notebook = lab.open(CELLS)
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    notebook.execute(f"view.selected = {TENSOR!r}")
    explorer.wait_inspecting(TENSOR)
    return explorer


def checkpoints(lab: Lab) -> Explorer:
    """Show what loading a file with other names would do."""
    notebook = lab.open(FILES)
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.root.get_by_role("button", name="Checkpoints").click()
    explorer.root.get_by_text("a-month-ago.params").first.click()
    explorer.root.get_by_role("button", name="Accept all").wait_for()
    return explorer


def started(server: LabServer, browser: BrowserContext, tone: str) -> Lab:
    """Start JupyterLab in a theme."""
    lab = Lab(server, browser)
    lab.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    lab.theme(f"JupyterLab {tone.capitalize()}")
    return lab


def main() -> int:
    """Take every picture."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, launched(Path(folder) / "chromium") as browser:
        server = LabServer(Path(folder) / "lab", source=ROOT)
        try:
            for tone in ("light", "dark"):
                explorer = opened(started(server, browser, tone))
                explorer.row("draft.up.weight").last.hover()
                explorer.statistics()
                explorer.root.screenshot(path=PICTURES / f"explorer-{tone}.png")
                server.end_kernels()
                panel = checkpoints(started(server, browser, tone))
                panel.root.screenshot(path=PICTURES / f"checkpoints-{tone}.png")
                server.end_kernels()
        finally:
            server.end()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
