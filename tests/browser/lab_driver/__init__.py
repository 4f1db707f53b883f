"""Drives a real JupyterLab or marimo in a real Chromium: the server, the browser, a notebook, an Explorer in it."""

from lab_driver.browser import launched
from lab_driver.explorer import Explorer
from lab_driver.lab import Lab
from lab_driver.marimo import MarimoNotebook, MarimoServer
from lab_driver.notebook import Notebook
from lab_driver.server import LabServer

__all__ = ["Explorer", "Lab", "LabServer", "MarimoNotebook", "MarimoServer", "Notebook", "launched"]
