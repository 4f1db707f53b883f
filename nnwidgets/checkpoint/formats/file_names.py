"""What libraries and trainers call their files."""

from __future__ import annotations

import re

USUAL = (
    "model.safetensors", "pytorch_model.bin", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin",
    "adapter_model.safetensors", "adapter_model.bin", "consolidated.safetensors", "consolidated.00.pth",
)  # fmt: skip
"""What libraries call a model's only file."""

SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".params", ".tar", ".th", ".weights", ".model"})
"""What names of files with weights end in; others are looked at where there are none of these."""

BESIDE = re.compile(
    r"(optimizer|scheduler|scaler|sampler|rng_state|random_states|training_args|lr_scheduler|dataloader)\b.*"
    r"|(rng_state|random_states|optimizer|scheduler|sampler|dl_state_dict|custom_checkpoint)_\d+\b.*"
    r"|.*zero_pp_rank_\d+.*"
)
"""What trainers write beside a model: ``optimizer.pt``, ``rng_state_0.pth``, ``training_args.bin``."""

OTHERS = frozenset({
    ".zip", ".npz", ".json", ".docx", ".xlsx", ".pptx", ".whl", ".jar", ".egg", ".npy", ".h5", ".onnx", ".distcp",
})  # fmt: skip
"""What names of files that hold something else, or a part of a folder's checkpoint, end in."""

TEXTS = frozenset({
    ".ipynb", ".py", ".md", ".txt", ".csv", ".tsv", ".log", ".yaml", ".yml", ".toml", ".html", ".js", ".ts", ".css",
    ".png", ".jpg", ".jpeg", ".svg", ".gif", ".pdf", ".sh", ".ini", ".cfg", ".lock", ".sha256",
})  # fmt: skip
"""What names of texts and pictures end in, which lie beside checkpoints and begin like none."""

TOOLS_FOLDERS = frozenset({"__pycache__", "node_modules", "wandb"})
"""Folders in which tools keep their own files."""
