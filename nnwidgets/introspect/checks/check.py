"""Looking a model over for what its author will want to know."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from itertools import chain
from typing import Any

from torch import nn

from nnwidgets.introspect.checks.declared_ties import declared_tie_findings
from nnwidgets.introspect.checks.detached_parameters import gradient_findings
from nnwidgets.introspect.checks.findings import findings, worst_first
from nnwidgets.introspect.checks.registration import registration_findings
from nnwidgets.introspect.checks.tensor_state import state_findings
from nnwidgets.introspect.checks.tensor_values import EXACT_BYTES, value_findings
from nnwidgets.introspect.checks.training import training_findings
from nnwidgets.introspect.module_tree.expressions import ExpressionWriter
from nnwidgets.introspect.optimizers import optimizers_in
from nnwidgets.introspect.records import Finding, Findings
from nnwidgets.introspect.safe_access.objects import no_torch_function
from nnwidgets.introspect.safe_access.scan import ModelScan, read


def check(module: nn.Module, *, optimizer: Any = None) -> tuple[Finding, ...]:
    """Find what is wrong or worth knowing in a model, the worst first.

    An ``error`` is certain to harm training or saving, a ``warning`` likely to, a ``note`` is good to know. Like
    findings in repeated blocks are one. Nothing of the model's code runs and nothing of it changes; of `forward` only
    the source is read. Data is read where it is in the CPU's memory, all of it up to 8 GiB.

    Codes: ``non-string-key``, ``unregistered-tensor``, ``unregistered-module``, ``cycle``, ``constant-weight``,
    ``data-in-forward``, ``nan-or-inf``, ``dead-units``, ``broken-tie``, ``uninitialized``, ``frozen``,
    ``stale-optimizer``, ``two-optimizers``, ``frozen-but-moved``,
    ``non-persistent-buffer``, ``mixed-training``, ``mixed-dtypes``, ``mixed-devices``,
    ``not-read``, ``unreadable-module``.

    Args:
        module: The model.
        optimizer: The optimizer that trains it, or a list of them, to be checked against it.

    Returns:
        The findings, which print as ``%nn check`` does; the ``fix`` of one is Python in which the model is called
        ``net`` and the optimizer ``optimizer``.

    Raises:
        InvalidTargetError: If ``module`` is not a module, or ``optimizer`` not an optimizer.

    Example:
        >>> import math
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(20, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
        >>> check(net)
        Nothing found.
        >>> _ = torch.nn.init.constant_(net[0].weight, math.nan)
        >>> [(finding.code, finding.severity, finding.path) for finding in check(net)]
        [('nan-or-inf', 'error', '0.weight')]
        >>> print(check(net)[0].fix)
        with torch.no_grad():
            net[0].weight.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
    """
    return Findings(all_findings(module, optimizers=optimizers_in(optimizer)))


def all_findings(
    module: nn.Module, *, name: str = "net", optimizers: Sequence[Any] = (), elsewhere: Container[int] = ()
) -> tuple[Finding, ...]:
    """Return what structure and data tell of a model, the worst first, ``name`` being the variable it is in."""
    scan = read(module)
    found = structural_findings(scan, name=name, optimizers=optimizers, elsewhere=elsewhere)
    return worst_first((*found, *data_findings(scan, name=name)))


def structural_findings(
    scan: ModelScan, *, name: str = "net", optimizers: Sequence[Any] = (), elsewhere: Container[int] = ()
) -> tuple[Finding, ...]:
    """Return what can be found without reading the data of a tensor: quick for any model.

    Args:
        scan: The model as read.
        name: The variable it is in, for the fixes.
        optimizers: What trains it.
        elsewhere: Ids of tensors of other models, which these optimizers may hold too.
    """
    writer = ExpressionWriter(scan.modules[0], name)
    with no_torch_function():
        return findings(
            chain(
                registration_findings(scan, writer),
                declared_tie_findings(scan, writer),
                gradient_findings(scan),
                state_findings(scan),
                training_findings(scan, writer, optimizers, elsewhere),
            )
        )


def data_findings(
    scan: ModelScan,
    *,
    name: str = "net",
    cancelled: Callable[[], bool] = lambda: False,
    exact_bytes: int = EXACT_BYTES,
) -> tuple[Finding, ...]:
    """Return what only the data tells: as long as reading the model's bytes once.

    Args:
        scan: The model as read.
        name: The variable it is in, for the fixes.
        cancelled: Asked between blocks of a few million elements; true ends the work.
        exact_bytes: How much is read in full; of tensors beyond, a sample is.

    Raises:
        CancelledError: If ``cancelled`` was true.
    """
    return findings(value_findings(scan, ExpressionWriter(scan.modules[0], name), cancelled, exact_bytes))
