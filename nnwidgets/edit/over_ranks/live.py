"""What a change of a model over ranks reads and writes: the parts that last, whatever a forward has made whole."""

from __future__ import annotations

from nnwidgets.introspect import LiveModel
from nnwidgets.introspect.safe_access.scan import ModelScan
from nnwidgets.introspect.tracing.unsharded import read_shards, shard_again


def live_with_shards(module: object) -> LiveModel:
    """The live objects of a model, with the shards of parameters that FSDP keeps whole for now."""
    live = LiveModel(module)
    read_shards(live.scan)
    return live


def reshard(scan: ModelScan) -> None:
    """Have FSDP cut again what it keeps whole: the next forward makes it whole from what is written now."""
    shard_again(scan, {})
