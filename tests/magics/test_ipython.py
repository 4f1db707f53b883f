"""Loading the extension, and taking it back."""

import subprocess
import sys

import pytest
from torch import nn

from nnwidgets.magics import load, unload
from tests.support.ipython_shell import shell


@pytest.fixture
def ip():
    with shell() as started:
        yield started


def test_loading_twice_is_harmless(ip):
    magic = ip.ip.find_line_magic("nn")
    matchers = list(ip.ip.Completer.custom_matchers)
    load(ip.ip)
    assert ip.ip.find_line_magic("nn") == magic
    assert ip.ip.Completer.custom_matchers == matchers


def test_unloading_takes_everything_back():
    with shell() as ip:
        unload(ip.ip)
        before = _state(ip.ip)
        load(ip.ip)
        ip.run("%nn auto on")
        assert _state(ip.ip) != before
        unload(ip.ip)
        assert _state(ip.ip) == before
        unload(ip.ip)
        assert ip.ip.find_line_magic("nn") is None


def _state(ip):
    return (
        ip.find_line_magic("nn"),
        list(ip.Completer.custom_matchers),
        ip.display_formatter.ipython_display_formatter,
        {name: list(callbacks) for name, callbacks in ip.events.callbacks.items()},
        set(ip.magics_manager.registry),
        {kind: set(known) for kind, known in ip.magics_manager.magics.items()},
        list(ip.input_transformers_cleanup),
        list(ip.ast_transformers),
        dict(ip.display_formatter.formatters["text/html"].deferred_printers),
        dict(ip.display_formatter.formatters["text/html"].type_printers),
    )


def test_it_can_be_loaded_again_after_unloading(ip):
    unload(ip.ip)
    load(ip.ip)
    ip.variables["net"] = nn.ReLU()
    assert "ReLU" in ip.nn("tree net")


def test_loading_imports_neither_torch_nor_anywidget_nor_torchinfo():
    code = (
        "import sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "ip = InteractiveShell.instance()\n"
        "ip.run_line_magic('load_ext', 'nnwidgets')\n"
        "print([name for name in ('torch', 'anywidget', 'ipywidgets', 'torchinfo') if name in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_ipython_ends_without_a_word_where_a_view_is_open():
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "import nnwidgets\n"
        "from torch import nn\n"
        "net = nn.ReLU()\n"
        "view = nnwidgets.explore(net)\n"
        "ip = InteractiveShell.instance()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
