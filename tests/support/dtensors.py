"""Tensors spread over a mesh, under the names that torch gave them in 2.5, and before that kept to itself."""

from __future__ import annotations

try:
    from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
except ImportError:
    from torch.distributed._tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

__all__ = ["DTensor", "Partial", "Replicate", "Shard", "distribute_tensor"]
