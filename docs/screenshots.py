"""Takes the pictures of the documentation from a real JupyterLab: ``python docs/screenshots.py``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

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


def main() -> int:
    """Take every picture."""
    PICTURES.mkdir(exist_ok=True)
    with launched() as browser, tempfile.TemporaryDirectory() as folder:
        server = LabServer(Path(folder), source=ROOT)
        try:
            for tone in ("light", "dark"):
                lab = Lab(server, browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}))
                lab.theme(f"JupyterLab {tone.capitalize()}")
                explorer = opened(lab)
                explorer.row("draft.up.weight").last.hover()
                explorer.statistics()
                explorer.root.screenshot(path=PICTURES / f"explorer-{tone}.png")
                server.end_kernels()
        finally:
            server.end()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
