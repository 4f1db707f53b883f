"""Real files of ``torch.save`` whose pickles have some bytes changed, the checksums right again."""

from __future__ import annotations

import argparse
import io
import pickletools
import struct
import zipfile
from collections import OrderedDict
from pathlib import PurePosixPath

import torch
from torch import nn

from tests.support.torch_builder import Member, zip_file


class Mutator:
    """Makes one file after another."""

    def __init__(self, draw):
        self.draw = draw
        self.files = [self._members(content) for content in contents()]

    @staticmethod
    def _members(content):
        held = io.BytesIO()
        torch.save(content, held)
        with zipfile.ZipFile(held) as made:
            return {name: made.read(name) for name in made.namelist()}

    def file(self):
        members = self.draw.choice(self.files)
        return zip_file(
            [Member(name, self.changed(held) if name.endswith("data.pkl") else held) for name, held in members.items()]
        )

    def changed(self, held):
        """The pickle with some of its opcodes changed, or of its bytes, whatever they are."""
        n = self.draw.choice((1, 1, 1, 2, 3))
        if self.draw.random() < 0.2:
            made = bytearray(held)
            for _ in range(n):
                made[self.draw.randrange(2, len(made))] = self.draw.randrange(256)
            return bytes(made)
        starts = [at for *_, at in pickletools.genops(held)]
        codes = [held[at:end] for at, end in zip(starts, [*starts[1:], len(held)], strict=True)]
        for _ in range(n):
            at = self.draw.randrange(1, len(codes) - 1)
            codes[at] = self.draw.choice((self._other_argument,) * 6 + (self._other_code,))(codes, at)
        return b"".join(codes)

    def _other_argument(self, codes, at):
        """The opcode with another argument of its kind; of those without one, another opcode."""
        draw, code = self.draw, codes[at]
        if code[:1] in b"KMJ":
            return b"J" + struct.pack("<i", draw.choice((0, 1, 2, 3, 5, -1, 255, 2**31 - 1)))
        if code[:1] in b"hq":
            return code[:1] + bytes([draw.randrange(60)])
        if code[:1] in b"Xc":
            return draw.choice([each for each in codes if each[:1] == code[:1]])
        return draw.choice((b"", code + code, self._other_code(codes, at)))

    def _other_code(self, codes, _at):
        return self.draw.choice(
            (b"N", b")", b"]", b"}", b"0", b"2", b"\x85", b"\x86", b"\x88", b"X\x01\x00\x00\x00a", *codes[1:-1])
        )


def contents():
    torch.manual_seed(0)
    net = nn.Sequential(OrderedDict(a=nn.Linear(4, 4), b=nn.BatchNorm1d(4)))
    tied = nn.Sequential(nn.Embedding(3, 4), nn.Linear(4, 3, bias=False))
    tied[1].weight = tied[0].weight
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    lightning = {
        "epoch": 3, "global_step": 7, "pytorch-lightning_version": "2.5", "state_dict": net.state_dict(),
        "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [], "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": PurePosixPath("a/b")}},
        "hyper_parameters": argparse.Namespace(lr=0.1, betas=(0.9, 0.999), names={"a", "b"}),
    }  # fmt: skip
    odd = {
        "sparse": torch.eye(3).to_sparse(), "half": torch.ones(3).half(),
        "conj": torch.ones(2, dtype=torch.cfloat).conj(),
        "meta": torch.ones(3, device="meta"), "array": torch.arange(6).numpy(), "number": torch.ones(()).numpy()[()],
    }  # fmt: skip
    return [net.state_dict(), lightning, net, tied, [tied.state_dict(), {"ema": net.state_dict()}], odd]
