"""What is answered to each kind of request: beside each function that answers, `registry.handles` says which kind.

Start at `registry.py`, then go to the file of the kind. A new kind is an entry of the schema's `KINDS`, and a function
here; where its file is new, it is imported below.

    registry.py           `handles`, and what every request passes through
    open_and_rows.py      `open`, `rows`: the model at a glance, and a window of its rows
    locate.py             `locate`: what to open so that a path has a row
    inspect.py            `inspect`: the facts of one row
    stats.py              `stats`: statistics of a tensor, and their form on the wire
    values.py             `values`: a window of a tensor as a matrix
    depth.py              `depth`: the same tensor across the members of a fold
    findings_and_ties.py  `findings`, `ties`: of the whole model
    paging.py             the window of a long list, for `rows` and all that comes of files
    models_and_parts.py   `models`, `variables`, `part`: what is about no model
    all_tensors/          `table`, `mark`: statistics of all tensors, and how far they moved
    tracing/              `trace`, `forward`, `clear_trace`, `graph`: what is about a forward
    signal/               `activations` to `compare_inits`: the signal through the layers
    edit/                 `initializers` to `code`: what changes a model
    checkpoints/          `folder` to `save`: what speaks of files
    over_ranks/           `rank`: what speaks of models over several processes
"""

from nnwidgets.server.handlers import (  # noqa: F401 - each says what it answers as it is imported
    depth,
    findings_and_ties,
    inspect,
    locate,
    models_and_parts,
    open_and_rows,
    stats,
    values,
)
from nnwidgets.server.handlers.all_tensors import mark, table  # noqa: F401 - the same
from nnwidgets.server.handlers.checkpoints import browse, diff, load_save, plan  # noqa: F401 - the same
from nnwidgets.server.handlers.edit import changes, init, initializers  # noqa: F401 - the same
from nnwidgets.server.handlers.over_ranks import init_over_ranks, rank, stats_over_ranks, values_over_ranks  # noqa: F401 - the same
from nnwidgets.server.handlers.signal import compare_candidates, run_activations, signal_points  # noqa: F401 - the same
from nnwidgets.server.handlers.tracing import forward, graph  # noqa: F401 - the same
