"""Cells that build the models under test, as a user would write them."""

from textwrap import indent

LOAD = "%load_ext nnwidgets\nimport torch\nfrom torch import nn\ntorch.manual_seed(0)"

GPT2 = """from transformers import GPT2Config, GPT2LMHeadModel
gpt2 = GPT2LMHeadModel(GPT2Config())"""

MLP = "net = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))"

TIED = """class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.body = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16))
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embed.weight
net = Tied()"""

MANY = """net = nn.Module()
for index in range(100_000):
    net.add_module(f'part_{index}', nn.Dropout(0.1) if index % 2 else nn.ReLU())"""
"""Neighbours differ, so that none fold and each has a row of its own."""

BLOCKS = """class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.linear = nn.Linear(16, 16)
    def forward(self, x):
        return x + self.linear(self.norm(x))
class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.blocks = nn.ModuleList(Block() for _ in range(6))
        self.frozen = nn.Linear(16, 16).requires_grad_(False)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embed.weight
        self.scale = torch.ones(16)
    def forward(self, tokens):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.frozen(x) * self.scale)
net = Stack()"""
"""Folds, a tie, something frozen, something unregistered: a bit of all that a row can show."""

FILL = """with torch.no_grad():
    net[2].bias.fill_(2.5)"""


def once_asked(work: str) -> str:
    """Return a cell that starts a thread, which works once the file ``go`` appears: no cell runs when it does."""
    return f"""import os, threading, time
def later():
    while not os.path.exists('go'):
        time.sleep(0.01)
    os.remove('go')
{indent(work, "    ")}
threading.Thread(target=later, daemon=True).start()"""


LATE = once_asked(FILL)
"""Changes `net` of the MLP."""
