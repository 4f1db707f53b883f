"""The notebook's folder as a page sees it: everything below it, nothing beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from nnwidgets import handle
from nnwidgets.server.notebook import folder as notebook_folder
from tests.support.opened_files import opened_files

ASK = {"expanded": None, "text": "", "start": 0, "count": 100}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A notebook's folder with a variable `net` in the notebook."""
    made = tmp_path / "notebooks"
    made.mkdir()
    monkeypatch.setattr(notebook_folder, "root", lambda: made)
    monkeypatch.setattr(sys.modules["__main__"], "net", nn.Linear(3, 2), raising=False)
    return made


def ask(kind, **body):
    return handle({"v": 1, "id": "1", "kind": kind, "body": {"model": "net", **body}})


def named(reply):
    return {entry["name"]: entry for entry in reply["body"]["entries"]}


def test_a_folder_is_listed_with_sizes_and_dates_the_newest_first(folder):
    for age, name in enumerate(["new.pt", "middle.pt", "old.pt"]):
        (folder / name).write_bytes(b"x" * (age + 1))
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    reply = ask("folder", path="")
    assert [entry["name"] for entry in reply["body"]["entries"]] == ["new.pt", "middle.pt", "old.pt"]
    assert [entry["size_bytes"] for entry in reply["body"]["entries"]] == [1, 2, 3]
    assert reply["body"]["entries"][0]["modified"] == 1e9


def test_crumbs_lead_back_to_the_notebooks_folder(folder):
    (folder / "runs" / "a").mkdir(parents=True)
    crumbs = ask("folder", path="runs/a")["body"]["crumbs"]
    assert [(crumb["name"], crumb["path"]) for crumb in crumbs] == [
        ("notebooks", ""),
        ("runs", "runs"),
        ("a", "runs/a"),
    ]


@pytest.mark.parametrize("path", ["..", "runs/../..", "/", "/etc", "./../x", "a\0b"])
@pytest.mark.parametrize("kind", ["folder", "peek"])
def test_no_path_leads_out_of_the_folder(folder, kind, path):
    (folder.parent / "x").mkdir()
    reply = ask(kind, path=path, **({} if kind == "folder" else ASK))
    assert reply["error"]["code"] == "outside-folder"
    assert reply["error"]["hint"]


@given(parts=st.lists(st.sampled_from(["..", ".", "", "in", "up", "here", "secret"]), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_whatever_the_path_what_it_names_lies_in_the_folder(folder, parts):
    (folder / "in").mkdir(exist_ok=True)
    for name, to in (("up", folder.parent), ("here", folder), ("in/up", "../..")):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(to)
    reply = ask("folder", path="/".join(parts))
    names = {entry["name"] for entry in reply.get("body", {}).get("entries", ())}
    assert names <= {"in", "up", "here"}
    assert reply["ok"] or reply["error"]["code"] in ("outside-folder", "path-not-found")


def test_a_link_that_leads_out_is_listed_as_refused_and_not_followed(folder):
    (folder.parent / "secret").mkdir()
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "loop").symlink_to("loop")
    entries = named(ask("folder", path=""))
    assert entries["link"]["refused"] == "leads out of this folder"
    assert entries["link"]["size_bytes"] is None
    assert "can't be read" in entries["loop"]["refused"]
    assert ask("folder", path="link")["error"]["code"] == "outside-folder"


def test_a_link_within_the_folder_is_followed(folder):
    save_file({"weight": torch.zeros(2)}, folder / "real.safetensors")
    (folder / "latest").symlink_to("real.safetensors")
    assert named(ask("folder", path=""))["latest"]["refused"] is None
    assert ask("peek", path="latest", **ASK)["body"]["n_tensors"] == 1


def test_what_is_no_regular_file_is_listed_and_refused_at_once(folder):
    os.mkfifo(folder / "pipe")
    assert named(ask("folder", path=""))["pipe"]["refused"] == "no regular file"
    assert ask("peek", path="pipe", **ASK)["error"]["code"] == "unsafe-checkpoint"


def test_a_name_that_is_no_text_is_listed_and_refused(folder):
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.pt")).write_bytes(b"")
    (entry,) = ask("folder", path="")["body"]["entries"]
    assert entry["refused"] == "its name is no text"


def test_a_folder_of_a_million_files_is_cut_and_says_so(folder, monkeypatch):
    for index in range(2_050):
        (folder / f"{index}.pt").touch()
    body = ask("folder", path="")["body"]
    assert (len(body["entries"]), body["n_entries"]) == (2_000, 2_050)


def test_errors_name_files_by_their_place_in_the_folder_not_on_the_machine(folder):
    (folder / "runs").mkdir()
    (folder / "runs" / "bad.pt").write_text("no checkpoint")
    for name in ("runs/bad.pt", "runs/none.pt"):
        error = ask("peek", path=name, **ASK)["error"]
        assert str(folder) not in str(error)
        assert error["path"] == name


def test_the_folder_stays_where_the_kernel_started_and_the_process_ends(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    code = (
        "import os, nnwidgets; nnwidgets.handle; os.chdir('elsewhere'); print(nnwidgets.handle("
        + repr({"v": 1, "id": "1", "kind": "folder", "body": {"path": "", "model": "net"}})
        + ")['body']['entries'][0]['name'])"
    )
    code = f"import torch; net = torch.nn.Linear(1, 1)\n{code}"
    source = Path(notebook_folder.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "elsewhere"


# ---- what is in a file ----


def test_names_form_a_tree_in_natural_order(folder):
    save_file({f"h.{k}.weight": torch.zeros(1) for k in range(12)}, folder / "f.safetensors")
    body = ask("peek", path="f.safetensors", **{**ASK, "expanded": ["g:h"]})["body"]
    assert [row["name"] for row in body["rows"]] == ["h", *map(str, range(12))]
    assert body["rows"][0]["n_tensors"] == 12
    assert [row["level"] for row in body["rows"]] == [1, *[2] * 12]


def test_a_large_file_opens_as_far_as_few_rows_show_and_comes_in_windows(folder):
    names = [f"layers.{k}.{part}.weight" for k in range(1_000) for part in ("a", "b")]
    save_file({name: torch.zeros(1) for name in names}, folder / "f.safetensors")
    body = ask("peek", path="f.safetensors", **ASK)["body"]
    assert (body["total"], body["expanded"]) == (1, [])
    body = ask("peek", path="f.safetensors", expanded=["g:layers"], text="", start=990, count=20)["body"]
    assert (body["total"], body["start"], body["rows"][0]["name"]) == (1_001, 990, "989")
    assert len(body["rows"]) == 11


def test_a_part_of_a_name_finds_tensors_whatever_the_case(folder):
    save_file({"Embed.weight": torch.zeros(1), "head.bias": torch.zeros(1)}, folder / "f.safetensors")
    body = ask("peek", path="f.safetensors", **{**ASK, "text": "embed WEIGHT"})["body"]
    assert [row["path"] for row in body["rows"]] == ["Embed.weight"]


def test_hostile_names_in_a_file_come_as_they_are_and_metadata_is_shown_inert(folder):
    name = "<img src=x onerror=alert(1)>.\u202eweight"
    save_file({name: torch.zeros(1)}, folder / "f.safetensors", metadata={"a\u202eb": "<script>\x1b[2J"})
    body = ask("peek", path="f.safetensors", **ASK)["body"]
    assert [row["path"] for row in body["rows"] if row["kind"] == "tensor"] == [name]
    assert body["metadata"] == [{"name": "a\\u202eb", "value": "<script>\\x1b[2J"}]


def test_a_file_that_has_changed_is_read_again(folder):
    for n in (1, 2):
        save_file({f"t{k}": torch.zeros(1) for k in range(n)}, folder / "f.safetensors")
        assert ask("peek", path="f.safetensors", **ASK)["body"]["n_tensors"] == n


def test_only_what_may_be_a_checkpoint_is_listed_where_that_is_asked_for(folder):
    torch.save({"w": torch.ones(2)}, folder / "no suffix")
    torch.save({"w": torch.ones(2)}, folder / "old", _use_new_zipfile_serialization=False)
    save_file({"w": torch.ones(2)}, folder / "x.safetensors")
    (folder / "damaged.pt").write_bytes(b"")
    (folder / "model.safetensors.index.json").write_text("{}")
    for name in ("a.ipynb", "b.py", "config.json", "c.csv", "README", "picture", "a.npz"):
        (folder / name).write_bytes(b"{}" if "." in name else b"words")
    for name in ("runs", "wandb", "__pycache__"):
        (folder / name).mkdir()
    os.mkfifo(folder / "pipe")
    every = ask("folder", path="")
    with opened_files() as opened:
        only = ask("folder", path="", checkpoints_only=True)
    assert {opened[name] for name in ("no suffix", "old", "x.safetensors", "README", "picture")} == {1}
    wanted = {"no suffix", "old", "x.safetensors", "damaged.pt", "model.safetensors.index.json", "runs", "pipe"}
    assert set(named(only)) == wanted
    assert (only["body"]["n_entries"], only["body"]["n_hidden"]) == (7, 9)
    assert (every["body"]["n_entries"], every["body"]["n_hidden"]) == (16, 0)
    assert only["body"]["is_checkpoint"] is True


def test_the_newest_checkpoints_are_listed_however_many_other_files_are_newer(folder):
    torch.save({"w": torch.ones(2)}, folder / "old.pt")
    os.utime(folder / "old.pt", (1e9, 1e9))
    for number in range(2_100):
        (folder / f"{number}.log").touch()
    assert "old.pt" not in named(ask("folder", path=""))
    assert set(named(ask("folder", path="", checkpoints_only=True))) == {"old.pt"}


def test_listed_checkpoints_tell_the_format_that_their_first_bytes_are_of(folder):
    state = nn.Linear(3, 2).state_dict()
    torch.save(state, folder / "net.bin")
    torch.save(state, folder / "old.pt", _use_new_zipfile_serialization=False)
    save_file(state, folder / "net.model")
    (folder / "packed.pt").write_bytes(b"PK\3\4" + bytes(100))
    (folder / "empty.pt").touch()
    told = {name: entry.get("format") for name, entry in named(ask("folder", path="", checkpoints_only=True)).items()}
    assert told == {
        "net.bin": "torch-zip",
        "old.pt": "torch-legacy",
        "net.model": "safetensors",
        "packed.pt": "zip",
        "empty.pt": None,
    }
    assert "format" not in named(ask("folder", path=""))["net.bin"]
