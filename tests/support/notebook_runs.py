"""Runs a notebook from its first cell to its last, as a program does or as if somebody looked on."""

from __future__ import annotations

from typing import Any

from nbclient import NotebookClient


def run_notebook(document: Any, *, is_attended: bool, **options: Any) -> None:
    """Run all cells; the document gets their outputs, and the state of the widgets that they made.

    Args:
        document: The notebook, as nbformat has it.
        is_attended: Whether cells may ask something of somebody, as in JupyterLab.
        **options: Of nbclient's own.
    """
    client = NotebookClient(document, timeout=300, **options)

    def attend(**_: Any) -> None:
        client.kc.allow_stdin = is_attended

    client.on_notebook_start = attend
    client.execute()
