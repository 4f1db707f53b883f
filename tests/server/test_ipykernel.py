"""Whether a cell runs is known from the shell's own events, whatever thread asks."""

import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

from nnwidgets.introspect.safe_access import exclusion
from nnwidgets.introspect.statistics.exact_stats import CancelledError
from nnwidgets.server.notebook import ipykernel, main_thread


class View:
    began = 0

    def begins(self):
        self.began += 1

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


@pytest.mark.parametrize(
    ("content", "metadata", "software", "is_so"),
    [
        ({"allow_stdin": False}, {}, "", True),
        ({"allow_stdin": True}, {}, "", False),
        ({}, {}, "", False),
        ({"allow_stdin": False}, {"cellId": "a"}, "", False),
        ({"allow_stdin": False}, {"commandId": "a"}, "", False),
        ({"allow_stdin": False}, {}, "voila/0.5", False),
    ],
    ids=["nbclient", "Jupyter", "unknown", "VS Code", "Databricks", "Voilà"],
)
def test_nobody_looks_on_where_a_program_runs_cells_that_have_no_id_and_may_ask_nothing(
    monkeypatch, content, metadata, software, is_so
):
    request = {"header": {"msg_type": "execute_request", "msg_id": "1"}, "content": content, "metadata": metadata}
    kernel = types.SimpleNamespace(get_parent=lambda _channel: request)
    monkeypatch.setattr(ipykernel, "running_kernel", lambda: kernel)
    monkeypatch.setenv("SERVER_SOFTWARE", software)
    assert ipykernel.is_unattended() is is_so
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    assert not ipykernel.is_unattended()


def test_outside_of_a_kernel_and_of_a_cell_nobody_is_said_to_be_away(monkeypatch, shell):
    assert not ipykernel.is_unattended()
    monkeypatch.setattr(ipykernel, "running_kernel", lambda: None)
    assert not ipykernel.is_unattended()


@pytest.mark.parametrize("features", [[], ["kernel subshells"]])
def test_views_hear_of_a_cells_begin_where_it_keeps_them_waiting_and_not_beside_subshells(shell, features):
    kernel = ipykernel.running_kernel()
    kernel.kernel_info = {"supported_features": features}
    view = View()
    stop = ipykernel.before_each_cell_that_keeps_views_waiting(view.begins)
    shell.run_cell("1")
    assert view.began == (not features)
    kernel.get_parent("shell")["header"]["msg_type"] = "execute_request"
    kernel.get_parent("shell")["content"]["code"] = "1"
    assert ipykernel.keeps_views_waiting() == (not features)
    stop()
    shell.run_cell("1")
    assert view.began == (not features)


def test_work_for_the_main_thread_waits_until_no_cell_runs_nobody_has_the_model_and_can_be_called_off(monkeypatch):
    waiting, net = [], torch.nn.Linear(2, 2)
    loop = types.SimpleNamespace(add_callback=waiting.append)
    monkeypatch.setattr(main_thread, "running_kernel", lambda: types.SimpleNamespace(io_loop=loop))
    assert main_thread.on_main_thread(net, threading.get_ident) == threading.get_ident()
    assert not waiting

    def run_what_waits():
        while not waiting:
            time.sleep(0.01)
        waiting.pop()()

    with ThreadPoolExecutor() as pool:

        def do(work, check):
            with exclusion.wanted_as_long_as(check):
                return main_thread.on_main_thread(net, work)

        def ask(work, check=lambda: None):
            return pool.submit(do, work, check)

        def call_off():
            raise CancelledError("Nobody wants it.")

        answer = ask(threading.get_ident)
        run_what_waits()
        assert answer.result() == threading.get_ident()

        assert isinstance(ask(threading.get_ident, call_off).exception(), CancelledError)
        waiting.pop()()

        answer = ask(lambda: 1 / 0)
        run_what_waits()
        assert isinstance(answer.exception(), ZeroDivisionError)

        is_had, given_back = threading.Event(), threading.Event()

        def have_the_model():
            with exclusion.alone_with(net):
                is_had.set()
                given_back.wait(20)

        answer = ask(threading.get_ident)
        while not waiting:
            time.sleep(0.01)
        pool.submit(have_the_model)
        is_had.wait()
        waiting.pop()()
        assert isinstance(ask(threading.get_ident, call_off).exception(), CancelledError)
        assert not waiting
        assert not answer.done()
        given_back.set()
        run_what_waits()
        assert answer.result() == threading.get_ident()
