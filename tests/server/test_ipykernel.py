"""Whether a cell runs is known from the shell's own events, whatever thread asks."""

import threading
import types

import pytest
from IPython.core.interactiveshell import InteractiveShell

from nnwidgets.server.notebook import ipykernel


class View:
    def ran(self):
        pass


@pytest.fixture
def shell(monkeypatch):
    shell = InteractiveShell()
    parent = {"header": {"msg_type": "comm_open", "msg_id": "1"}, "content": {}}
    kernel = types.SimpleNamespace(shell=shell, get_parent=lambda _channel: parent)
    monkeypatch.setattr(ipykernel, "running_kernel", lambda: kernel)
    return shell


def test_a_cell_runs_from_its_first_line_to_its_last_even_one_that_raises(shell):
    view = View()
    ipykernel.after_each_cell(view.ran)
    asked = []

    def ask():
        thread = threading.Thread(target=lambda: asked.append(ipykernel.is_cell_running()))
        thread.start()
        thread.join()

    shell.user_ns["ask"] = ask
    ask()
    shell.run_cell("ask()")
    ask()
    shell.run_cell("ask(); 1 / 0")
    ask()
    assert asked == [False, True, False, True, False]
