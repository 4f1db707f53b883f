"""Drives real Jupyter front ends, VS Code's widget manager, Colab's frames and marimo in a real Chromium."""

from lab_driver.browser import launched
from lab_driver.colab import ColabNotebook
from lab_driver.explorer import Explorer
from lab_driver.forked_kernels import KernelHost
from lab_driver.lab import Lab
from lab_driver.marimo import MarimoNotebook, MarimoServer
from lab_driver.notebook import Notebook
from lab_driver.notebook_seven import NotebookSeven
from lab_driver.panel import Panel
from lab_driver.server import LabServer
from lab_driver.vscode import VSCodeNotebook

__all__ = [
    "ColabNotebook",
    "Explorer",
    "KernelHost",
    "Lab",
    "LabServer",
    "MarimoNotebook",
    "MarimoServer",
    "Notebook",
    "NotebookSeven",
    "Panel",
    "VSCodeNotebook",
    "launched",
]
