"""%nn in a real kernel: what reaches the front end."""

from __future__ import annotations

import pytest

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def notebook(kernel):
    kernel.run("%load_ext nnwidgets\nnet = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))")
    return kernel


def complete(notebook, code):
    """The texts that complete_request offers at the end of ``code``, with the part they replace."""
    client = notebook.client
    asked = client.complete(code, len(code))
    while True:
        reply = client.get_shell_msg(timeout=60)
        if reply["parent_header"].get("msg_id") == asked:
            content = reply["content"]
            return set(content["matches"]), code[content["cursor_start"] : content["cursor_end"]]


def test_what_the_first_explorer_needs_is_imported_once_torch_is_there(notebook):
    n_before = len(notebook.displayed())
    notebook.run("import sys\n'nnwidgets.widgets.explorer' in sys.modules")
    assert [data["text/plain"] for data in notebook.displayed()[n_before:]] == ["True"]


def test_complete_request_offers_subcommands_models_paths_and_options(notebook):
    assert complete(notebook, "%nn tr") == ({"tree", "trace"}, "tr")
    assert complete(notebook, "x = 1\n%nn tree n") == ({"net"}, "n")
    assert complete(notebook, "%nn show net 0.") == ({"0.weight", "0.bias"}, "0.")
    assert complete(notebook, "%nn tree net --d") == ({"--depth"}, "--d")


def test_a_line_shows_html_and_text(notebook):
    n_before = len(notebook.displayed())
    notebook.run("%nn tree net")
    (data,) = notebook.displayed()[n_before:]
    assert "256 × 20" in data["text/plain"]
    assert "<details" in data["text/html"]


def test_a_name_opens_an_explorer_and_rerunning_the_cell_closes_the_last(notebook):
    notebook.run("%nn net", cell="explore")
    assert WIDGET in notebook.displayed()[-1]
    notebook.run("%nn net", cell="explore")
    assert notebook.run("from nnwidgets.server.session.open_views import views_of\nprint(len(views_of(net)))") == "1\n"


def test_a_line_that_cannot_be_followed_is_one_line_without_a_traceback(notebook):
    printed = notebook.run("%nn tree nett")
    assert printed == "UsageError: No variable 'nett'; did you mean net?\n"


def test_the_comm_target_answers_once_loaded_and_not_after_unloading(notebook):
    notebook.run("%unload_ext nnwidgets")
    assert notebook.run("print('nnwidgets' in get_ipython().kernel.comm_manager.targets)") == "False\n"
    notebook.run("%load_ext nnwidgets")
    notebook.send("magic-comm", {}, message_type="comm_open", target_name="nnwidgets")
    body = notebook.answer("magic-comm", "open", {"model": "net"}, as_widget=False)
    assert body["totals"]["n_params"] == 7946
    notebook.send("magic-comm", {}, message_type="comm_close")


def test_auto_explores_a_bare_model(notebook):
    notebook.run("%nn auto on")
    notebook.run("net")
    assert WIDGET in notebook.displayed()[-1]
    notebook.run("%nn auto off")
    notebook.run("net")
    assert notebook.displayed()[-1]["text/plain"].startswith("Sequential(")


def test_a_changed_model_is_told_to_its_open_explorers(notebook):
    """What %nn init and %%nn_init wrote is on view without a click."""
    notebook.run("%nn net", cell="watched")
    comm = notebook.explorers()[-1]
    for cell, wanted in (
        ("%nn init net 2.bias constant_ val=3", 3),
        ("%%nn_init net 2\nm.bias.fill_(4)", 4),
        ("%nn undo net", 3),
        ("%nn set net 2.bias = 5", 5),
    ):
        n_before = len(notebook.events(comm))
        notebook.run(cell)
        assert len(notebook.events(comm)) > n_before, cell
        assert notebook.answer(comm, "stats", {"path": "2.bias"})["mean"] == wanted


def test_changes_are_shown_as_html_and_text_and_completed(notebook):
    assert complete(notebook, "%nn init net 2.bias zer")[0] == {"zeros_", "zeros"}
    assert complete(notebook, "%%nn_init net Lin")[0] == {"Linear"}
    notebook.run("%nn init net 0.weight normal_ --seed 7")
    data = notebook.displayed()[-1]
    assert "before" in data["text/plain"]
    assert "<table" in data["text/html"]
    notebook.run("%nn init?")
    assert "nonlinearity='leaky_relu'" in notebook.displayed()[-1]["text/plain"]


def test_a_cell_that_raises_is_one_line_without_a_traceback(notebook):
    printed = notebook.run("%%nn_init net Linear\nm.bias.zero_()\nm.no_such_thing")
    assert printed.startswith("UsageError: %%nn_init raised on 0 in line 2 of the cell, 'm.no_such_thing': ")
    assert printed.count("\n") == 1
