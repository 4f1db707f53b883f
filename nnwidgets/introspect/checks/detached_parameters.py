"""Parameters that a forward reads in a way that no gradient reaches them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nnwidgets.introspect import paths
from nnwidgets.introspect.checks.findings import SingleFinding
from nnwidgets.introspect.checks.forward_source import Chain, Detached, ForwardReads, forward_reads
from nnwidgets.introspect.safe_access.modules import own_attribute, registered_by_name
from nnwidgets.introspect.safe_access.objects import is_tensor, type_name
from nnwidgets.introspect.safe_access.scan import ModelScan

_READS_ALL = frozenset({"parameters", "named_parameters", "state_dict", "__dict__", "_parameters", "children",
                        "modules", "named_modules", "named_children", "get_parameter", "get_submodule"})  # fmt: skip


def gradient_findings(scan: ModelScan) -> Iterator[SingleFinding]:
    """Yield the trainable parameters that their module's forward only reads detached."""
    by_class: dict[int, ForwardReads] = {}
    for row, module in enumerate(scan.modules):
        if row in scan.first_met:
            continue
        kind = type(module)
        reads = by_class.get(id(kind))
        if reads is None:
            reads = by_class[id(kind)] = forward_reads(kind)
        if not reads.detached or not reads.is_known or own_attribute(module, "forward") is not None:
            continue
        if any(chain[0] in _READS_ALL for chain in reads.plain):
            continue
        told: set[Chain] = set()
        for read in reads.detached:
            if read.chain not in told and _is_trained(module, read.chain) and not _is_read_plainly(read.chain, reads):
                told.add(read.chain)
                yield _finding_of(scan, row, read)


def _is_trained(module: Any, chain: Chain) -> bool:
    *steps, last = chain
    for step in steps:
        module = registered_by_name(module, "_modules").get(step)
    tensor = registered_by_name(module, "_parameters").get(last)
    return tensor is not None and is_tensor(tensor) and bool(tensor.requires_grad)


def _is_read_plainly(chain: Chain, reads: ForwardReads) -> bool:
    """Say whether the tensor, or a module it is in, is used in a way that lets gradients through."""
    return any(chain[: len(other)] == other or other[: len(chain)] == chain for other in reads.plain)


def _finding_of(scan: ModelScan, row: int, read: Detached) -> SingleFinding:
    kind = type_name(type(scan.modules[row]))
    where = scan.path(row)
    for step in read.chain:
        where = paths.join(where, paths.component(step))
    written = "self." + ".".join(read.chain)
    how = f"inside {read.how}" if read.how.startswith("torch") else f"as {written}{read.how}"
    return SingleFinding(
        "data-in-forward",
        "warning",
        row,
        where,
        f"{kind}.forward reads {'.'.join(read.chain)} {how} (line {read.line}), so no gradient will reach it: after "
        f"backward() its grad stays None and the optimizer never moves it. Use {written} itself.",
        None if read.fix is None else f"# in {kind}.forward, line {read.line}\n{read.fix}",
        f"{kind} {read.how}",
    )
