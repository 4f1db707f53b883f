"""The one thing that writes a model's tensors: changes as transactions, previewed, logged, undone, and told as code.

Every kind of change (`init`, `assign`, `freeze`, `unfreeze`, `apply`) is planned and checked whole, copies the
old bytes, writes in place, and on any failure leaves each bit as it was. What was done is a `Change`; `history` lists
them, `undo` and `redo` go through them, and ``to_code()`` of either is Python that does the same with torch alone.

Start at `transaction.commit`: every operation makes a plan and has it carried out there.

    targets.py          which tensors or modules a target means, and what these are tied to
    writable.py         whether they can be written, and which of them where they share bytes
    transaction.py      a plan, carried out as a whole or not at all
    over_ranks/         models that ranks hold together: the part here, and changes of all or none
    operations/         `init`, `apply`, `assign`, `freeze`, `unfreeze`: what each plans
    init_comparison/    `compare_inits`: initializers side by side, before one is chosen
    undo_copy/          old bytes kept beside live ones, to undo and redo
    change.py           `Change`, the record of what was done
    log.py              what was done to each model, and what it takes to undo it
    history.py          `history`, `undo`, `redo`
    optimizer_state.py  what optimizers remember of a parameter, told, cleared and put back
    rng.py              seeds, and generators left as they were
    code.py             changes as Python

Example:
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(2, 3))
    >>> change = init(net, "Linear.weight", "xavier_uniform_", gain=2, seed=7)
    >>> print(history(net).to_code())
    import torch
    from torch import nn
    <BLANKLINE>
    generator = torch.Generator("cpu").manual_seed(7)
    nn.init.xavier_uniform_(net[0].weight, gain=2, generator=generator)
    <BLANKLINE>
    >>> undo(net).label == change.label
    True
"""

from __future__ import annotations

from nnwidgets.edit.change import Change
from nnwidgets.edit.history import History, history, redo, set_budget, undo
from nnwidgets.edit.init_comparison.compare_inits import compare_inits
from nnwidgets.edit.init_comparison.comparison_records import (
    InitCandidate,
    InitComparison,
    SignalBand,
    SignalPoint,
    UpdateRatio,
)
from nnwidgets.edit.operations.apply import apply
from nnwidgets.edit.operations.assign import assign
from nnwidgets.edit.operations.fan import FanHint, fan_hint
from nnwidgets.edit.operations.freeze import freeze, unfreeze
from nnwidgets.edit.operations.init import init
from nnwidgets.edit.operations.initializers import Initializer, Parameter, initializer, initializers
from nnwidgets.edit.targets import Tie

__all__ = [
    "Change",
    "FanHint",
    "History",
    "InitCandidate",
    "InitComparison",
    "Initializer",
    "Parameter",
    "SignalBand",
    "SignalPoint",
    "Tie",
    "UpdateRatio",
    "apply",
    "assign",
    "compare_inits",
    "fan_hint",
    "freeze",
    "history",
    "init",
    "initializer",
    "initializers",
    "redo",
    "set_budget",
    "undo",
    "unfreeze",
]
