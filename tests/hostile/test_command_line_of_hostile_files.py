"""The command line on files made to mislead: exit code 2 and one sentence, nothing run, no name taken for markup."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import save_file

from nnwidgets.command_line import main
from tests.hostile.test_markup_in_names import HOSTILE, INVISIBLE, parsed
from tests.hostile.test_safetensors_files import FILES
from tests.hostile.test_torch_pickles import PAYLOADS
from tests.support.torch_builder import torch_zip


def ran(capsys, *arguments):
    code = main([str(each) for each in arguments])
    return code, *capsys.readouterr()


def assert_refused(capsys, file):
    report, sound = file.with_name("report.html"), file.with_name("sound.safetensors")
    save_file({"w": torch.ones(2)}, sound)
    for command in (["check", "--json", "--html", report], ["diff", sound]):
        code, out, err = ran(capsys, *command, file)
        assert code == 2, command
        assert re.fullmatch(r"nnwidgets: \S.*\n", err), err
        assert "error" in json.loads(out)[0] if "--json" in command else out == ""
    assert not report.exists()


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_pickle_that_misleads_is_a_sentence_and_runs_nothing(capsys, tmp_path, name):
    canary, file = tmp_path / "canary", tmp_path / "it.pt"
    file.write_bytes(torch_zip(PAYLOADS[name][0](canary)))
    assert_refused(capsys, file)
    assert not canary.exists()


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_lies_is_a_sentence(capsys, tmp_path, name):
    (tmp_path / "it.safetensors").write_bytes(FILES[name][0])
    assert_refused(capsys, tmp_path / "it.safetensors")


def test_a_file_cut_short_anywhere_is_a_sentence(capsys, tmp_path):
    torch.save({"w": torch.ones(20, 20)}, tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    for share in (0.0, 0.3, 0.9, 0.999):
        (tmp_path / "it.pt").write_bytes(whole[: int(share * len(whole))])
        assert_refused(capsys, tmp_path / "it.pt")


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_in_every_output(capsys, tmp_path, name):
    text, file, report = HOSTILE[name], tmp_path / "it.pt", tmp_path / "report.html"
    torch.save({f"{text}.{text}": torch.ones(3), "w": torch.tensor([torch.nan])}, file)
    for command in ("peek", "tree", "check", "diff", "plan"):
        files = [file] * (2 if command in ("diff", "plan") else 1)
        code, out, err = ran(capsys, command, "--html", report, *files)
        assert (code, err) == (int(command == "check"), "")
        page = report.read_text(encoding="utf-8")
        parsed(page[page.index("<body>") + len("<body>") : page.index("</body>")])
        assert not INVISIBLE.search(out + page)
        assert "<script" not in page.lower()
    (found,) = json.loads(ran(capsys, "check", "--json", file)[1])
    assert set(found["numbers"]) == {f"{text}.{text}", "w"}


def test_names_without_end_take_neither_memory_nor_time(tmp_path, capsys):
    names = [".".join(["a"] * 5_000) + f".{at}" for at in range(40)] + ["." * 20_000]
    save_file({name: torch.ones(1) for name in names}, tmp_path / "it.safetensors")
    assert ran(capsys, "tree", "--html", tmp_path / "report.html", tmp_path / "it.safetensors")[0] == 0
    assert ran(capsys, "plan", tmp_path / "it.safetensors", tmp_path / "it.safetensors")[0] == 0
