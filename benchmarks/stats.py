"""`stats` against one ``tensor.sum()`` pass, torch's own calls and NumPy's; extra memory in fresh processes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.common import Row, against, medians, parser, peak_mib, report
from benchmarks.models import gpt2
from nnwidgets.introspect.heatmap.window import window
from nnwidgets.introspect.statistics.sampling import sampled_stats
from nnwidgets.introspect.statistics.stats import stats

_MIB_256 = 64 * 1024 * 1024
_GIB = 256 * 1024 * 1024
_MEMORY_LIMIT_MIB = 8
_GPT2_LAYERS, _GPT2_WIDTH, _GPT2_WORDS, _GPT2_PLACES = 12, 768, 50_257, 1_024


def finite() -> torch.Tensor:
    """256 MiB of float32."""
    return torch.randn(_MIB_256, generator=torch.Generator().manual_seed(0))


def with_nan() -> torch.Tensor:
    """The same with NaN in every block."""
    tensor = finite()
    tensor[::1000] = torch.nan
    return tensor


def transposed() -> torch.Tensor:
    """The same, not contiguous."""
    return finite().view(8192, 8192)[:, ::2]


def bfloat16() -> torch.Tensor:
    """128 MiB of bfloat16."""
    return finite().bfloat16()


def offset() -> torch.Tensor:
    """The same with a mean 10^6 times the deviation."""
    return finite().add_(1e6)


def gpt2_parameters() -> list[torch.Tensor]:
    """Tensors of the shapes of GPT-2's parameters."""
    width = _GPT2_WIDTH
    block = [(width,)] * 2 + [(width, 3 * width), (3 * width,), (width, width), (width,)]
    block += [(width,)] * 2 + [(width, 4 * width), (4 * width,), (4 * width, width), (width,)]
    shapes = [(_GPT2_WORDS, width), (_GPT2_PLACES, width), *block * _GPT2_LAYERS, (width,), (width,)]
    return [torch.randn(shape) * 0.02 for shape in shapes]


def small_layers() -> nn.Module:
    """10,000 tensors of some elements each."""
    return nn.ModuleList(nn.Linear(10, 10) for _ in range(5_000))


def five_calls(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The numbers of a row, as people type them; zeros and NaN aren't counted."""
    return [tensor.mean(), tensor.std(), tensor.min(), tensor.max(), tensor.norm()]


def torch_calls(tensor: torch.Tensor) -> list[object]:
    """What people type: torch's own calls, each over the finite elements."""
    good = tensor[tensor.isfinite()]
    return [
        tensor.isnan().sum(),
        tensor.isinf().sum(),
        (tensor == 0).sum(),
        good.mean(),
        good.std(),
        good.min(),
        good.max(),
        good.norm(),
        torch.histogram(good.float(), 64),
    ]


def numpy_calls(tensor: torch.Tensor) -> list[object]:
    """The same in NumPy."""
    values = tensor.numpy()
    good = values[np.isfinite(values)]
    return [
        np.isnan(values).sum(),
        np.isinf(values).sum(),
        (values == 0).sum(),
        good.mean(dtype=np.float64),
        good.std(dtype=np.float64, ddof=1),
        good.min(),
        good.max(),
        np.linalg.norm(good),
        np.histogram(good, 64),
    ]


MEASURED = {"float32": (finite, 10.0), "float32, NaN present": (with_nan, 16.0), "bfloat16": (bfloat16, 10.0)}
EXTRA = {"float32, mean 10^6 deviations": (offset, None), "float32, every other column": (transposed, None)}
IN_MEMORY = {"finite": finite, "with_nan": with_nan, "bfloat16": bfloat16, "transposed": transposed}


def extra_memory(kind: str) -> float:
    """MiB that one `stats` takes beyond its tensor, by peak resident memory in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.stats", "--peak", kind]
    return float(
        subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1]).stdout
    )


def print_peak(kind: str) -> None:
    """Print how much one `stats` raises the peak, torch's threads and code paths being warm."""
    stats(torch.randn(2_000_000).to(torch.bfloat16 if kind == "bfloat16" else torch.float32)[::2])
    tensor = IN_MEMORY[kind]()
    if kind in {"bfloat16", "with_nan", "transposed"}:
        # What making the tensor took must not hide what reading it takes.
        Path("/proc/self/clear_refs").write_text("5")
    tensor.sum()
    before = _peak()
    stats(tensor)
    print(_peak() - before)


def _peak() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_mib()
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def rows(peers: bool) -> list[Row]:
    """Measure everything."""
    found = []
    for name, (make, limit) in {**MEASURED, **EXTRA}.items():
        tensor = make()
        found.append(against(f"stats, {name}", lambda t=tensor: stats(t), tensor.sum, limit=limit, theirs_is="sum()"))
    tensors = gpt2_parameters()
    found.append(
        against(
            "stats, GPT-2's parameters",
            lambda: [stats(tensor) for tensor in tensors],
            lambda: [tensor.sum() for tensor in tensors],
            limit=10.0,
            theirs_is="sum() of each",
        )
    )
    for name, net in {"GPT-2": gpt2(), "10,000 small tensors": small_layers()}.items():
        parameters = list(net.parameters())
        found.append(
            against(
                f"stats of all tensors, {name}",
                lambda net=net: stats(net),
                lambda parameters=parameters: [five_calls(each) for each in parameters],
                limit=1.5,
                theirs_is="mean, std, min, max and norm of each by torch",
            )
        )
    if peers:
        tensor = finite()
        for name, call in {"torch's calls": torch_calls, "NumPy's calls": numpy_calls}.items():
            found.append(
                against(f"{name}, float32", lambda call=call: call(tensor), tensor.sum, rounds=3, theirs_is="sum()")
            )
    found += [
        Row(f"extra memory, {kind}", extra_memory(kind), "MiB", _MEMORY_LIMIT_MIB, "peak in a fresh process")
        for kind in IN_MEMORY
    ]
    large = torch.empty(_GIB).uniform_()
    start = time.perf_counter()
    sampled_stats(large)
    found.append(Row("sample of 1 GiB, first call", (time.perf_counter() - start) * 1e3, "ms", 100.0))
    words = large[: 50_257 * 768].view(50_257, 768)
    thinned = medians(lambda: window(words, max_rows=400, max_columns=100))[0]
    found.append(Row("heat map of 50257 × 768", thinned * 1e3, "ms", 150.0, "400 × 100 cells"))
    return found


def main() -> int:
    """Run the benchmark."""
    options = parser("Statistics of tensors")
    options.add_argument("--peak", choices=IN_MEMORY, help="only print the extra memory of one kind, in MiB")
    options.add_argument("--no-peers", action="store_true", help="leave out torch's and NumPy's own calls")
    arguments = options.parse_args()
    if arguments.peak:
        print_peak(arguments.peak)
        return 0
    return report("Statistics of tensors", rows(not arguments.no_peers), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
