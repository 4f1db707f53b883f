"""`python -m nnwidgets`: what it prints, as JSON too, and how it ends: 0 fine, 1 different or wrong, 2 unreadable."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.command_line import commands, main
from tests.support.documents import DOCS, code_in
from tests.support.published_files import published

ROOT = Path(__file__).parents[2]
PUBLISHED = [
    "facenet_pytorch/data/pnet.pt",
    "lpips/weights/v0.1/vgg.pth",
    "resemblyzer/pretrained.pt",
    "silero_vad/data/silero_vad_16k.safetensors",
    "chgnet/pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
]


@pytest.fixture
def files(tmp_path):
    """A model's file, one that differs in a value, one of another layout, one with a NaN."""
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    other, odd = copy.deepcopy(net), copy.deepcopy(net)
    with torch.no_grad():
        other[0].weight[1, 2] += 0.5
        odd[2].bias[1] = float("nan")
    nnw.save(net, tmp_path / "net.pt")
    nnw.save(other, tmp_path / "other.safetensors")
    nnw.save(nn.Sequential(nn.Linear(3, 5)), tmp_path / "small.pt")
    nnw.save(odd, tmp_path / "odd.pt")
    nnw.save(net, tmp_path / "shards", shard_size=100)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Runs a command; gives its exit code and what it wrote to either stream."""

    def ran(*arguments):
        code = main([str(each) for each in arguments])
        return code, *capsys.readouterr()

    return ran


def test_peek_prints_what_peek_gives(run, files):
    code, out, err = run("peek", files / "net.pt", files / "shards")
    assert (code, err) == (0, "")
    assert out == f"{nnw.peek(files / 'net.pt')}\n\n{nnw.peek(files / 'shards')}\n"


def test_tree_prints_names_as_a_tree_with_shapes_and_counts(run, files):
    _, out, _ = run("tree", files / "net.pt")
    rows = [line.split() for line in out.splitlines()]
    assert rows[0][:2] == ["net.pt", "torch-zip"]
    assert ["weight", "4", "×", "3", "12", "f32"] in rows
    assert ["num_batches_tracked", "()", "i64", "buffer"] in rows
    assert "9 tensors · 43 elements, 9 of them in buffers" in out
    assert "meta" not in out
    _, shallow, _ = run("tree", "--depth", "1", files / "net.pt")
    assert len(shallow.splitlines()) == 5


def test_like_groups_of_a_tree_are_one_row(run, tmp_path):
    save_file({f"h.{i}.w": torch.zeros(2) for i in range(12)}, tmp_path / "x.safetensors")
    _, out, _ = run("tree", tmp_path / "x.safetensors")
    assert re.search(r"0 … 11 +12 × group", out)


@pytest.mark.parametrize(("name", "code", "says"), [("net.pt", 0, "Nothing found."), ("odd.pt", 1, "✗ error 2.bias")])
def test_check_ends_with_1_where_something_is_wrong(run, files, name, code, says):
    found, out, _ = run("check", files / name)
    assert found == code
    assert says in out


def test_diff_ends_with_1_where_something_differs(run, files):
    assert run("diff", files / "net.pt", files / "shards")[0] == 0
    code, out, err = run("diff", files / "net.pt", files / "other.safetensors")
    assert (code, err) == (1, "")
    assert out == f"{nnw.diff(files / 'net.pt', files / 'other.safetensors')}\n"
    assert run("diff", "--atol", "1", files / "net.pt", files / "other.safetensors")[0] == 0


def test_plan_ends_with_1_where_not_all_fits(run, files):
    code, out, _ = run("plan", files / "net.pt", files / "other.safetensors")
    assert code == 0
    assert "Every tensor of net.pt is in the file, and no other." in out
    code, out, _ = run("plan", files / "small.pt", files / "net.pt")
    assert code == 1
    assert "✗ other shape  0.weight 5 × 3" in out
    assert "in small.pt" in out


def test_json_is_one_document_of_the_records_and_nothing_else(run, files):
    net, other = files / "net.pt", files / "other.safetensors"
    assert json.loads(run("peek", "--json", net)[1]) == [as_json(nnw.peek(net))]
    assert json.loads(run("diff", "--json", net, other)[1]) == as_json(nnw.diff(net, other))
    assert json.loads(run("plan", "--json", net, other)[1])["is_complete"] is True
    (checked,) = json.loads(run("check", "--json", files / "odd.pt")[1])
    assert [each["code"] for each in checked["findings"] if each["severity"] == "error"] == ["nan-or-inf"]
    assert checked["numbers"]["2.bias"]["n_nan"] == 1
    (tree,) = json.loads(run("tree", "--json", net)[1])
    assert [each["path"] for each in tree["tensors"]] == list(torch.load(net))


def as_json(record):
    return json.loads(json.dumps(record.to_dict()))


def test_what_cannot_be_read_is_a_sentence_and_2_and_the_rest_is_told(run, files):
    code, out, err = run("peek", files / "missing.pt", files / "net.pt")
    assert code == 2
    assert err.startswith("nnwidgets: There is no file")
    assert "0.weight" in out
    code, out, err = run("peek", "--json", files / "missing.pt", files / "net.pt")
    bad, good = json.loads(out)
    assert (code, bad["error"]["code"], good["format"]) == (2, "path-not-found", "torch-zip")
    code, out, err = run("diff", "--json", files / "net.pt", files / "missing.pt")
    assert (code, json.loads(out)["error"]["code"]) == (2, "path-not-found")
    assert "missing.pt" in err


@pytest.mark.parametrize(
    "arguments",
    [[], ["peek"], ["diff", "one"], ["show", "x"], ["peek", "--jso", "x"], ["tree", "--depth", "-1", "x"],
     ["diff", "--rtol", "much", "a", "b"]],
)  # fmt: skip
def test_wrong_use_is_2_and_says_how(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: nnwidgets" in capsys.readouterr().err


def test_a_filter_keeps_names_by_globs_and_by_what_they_are_below(run, files):
    def names(*filters):
        words = [word for each in filters for word in ("--filter", each)]
        code, out, err = run("peek", "--json", *words, files / "net.pt")
        assert code == (0 if not err else 2), err
        return [each["name"] for index in json.loads(out) for each in index.get("tensors", [])]

    assert names("**.bias") == ["0.bias", "1.bias", "2.bias"]
    assert names("2") == ["2.weight", "2.bias"]
    assert names("2", "0.weight") == ["0.weight", "2.weight", "2.bias"]
    assert names("!1", "!**.bias") == ["0.weight", "2.weight"]
    assert names("3.*") == []
    net, other = files / "net.pt", files / "other.safetensors"
    assert run("diff", "--filter", "0", net, other)[0] == 1
    assert run("diff", "--filter", "2", net, other)[0] == 0
    assert run("plan", "--filter", "1", files / "small.pt", net)[0] == 1
    assert run("check", "--filter", "0", files / "odd.pt")[0] == 0
    assert "No tensor of" in run("diff", "--filter", "nothing", net, other)[2]
    assert "is no glob" in run("peek", "--filter", "", net)[2]


def test_an_entry_chooses_the_state_dict(run, tmp_path):
    made = {"model": {"w": torch.zeros(2)}, "ema": {"v": torch.ones(3)}}
    torch.save(made, tmp_path / "two.pt")
    for command in ("peek", "tree", "check"):
        assert run(command, "--entry", "ema", "--filter", "v", tmp_path / "two.pt")[0] == 0
        assert ("w" in run(command, "--json", "--entry", "model", tmp_path / "two.pt")[1]) is True
        assert run(command, "--entry", "gone", tmp_path / "two.pt")[0] == 2
    assert run("diff", "--entry", "ema", tmp_path / "two.pt", tmp_path / "two.pt")[0] == 0


@pytest.mark.parametrize(
    "name", ["two words.pt", "two\nlines.pt", "-leading.pt", "--json", "\udcff.pt", "网.pt", "[a]*.pt"]
)
def test_any_name_of_a_file_can_be_given(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.ones(2)}, "plain.pt")
    Path("plain.pt").rename(name)
    for command in (["peek"], ["tree"], ["check"], ["peek", "--json"], ["check", "--html", "report.html"]):
        code, out, err = run(*command, "--", name)
        assert (code, err) == (0, "")
        assert out.isprintable() or "\n" in out
    assert run("diff", "--", name, name)[0] == 0
    assert run("plan", "--", name, name)[0] == 0


def test_a_folder_an_index_and_a_part_are_read(run, files):
    (index,) = (files / "shards").glob("*.index.json")
    part = next((files / "shards").glob("*00001*.safetensors"))
    for place in (files / "shards", index, part):
        assert run("check", place)[0] == 0
    assert run("diff", index, files / "net.pt")[0] == 0
    code, _, err = run("peek", files)
    assert code == 2
    assert "Name the file you mean" in err


def test_a_fault_of_ours_and_an_interrupt_are_not_taken_for_a_difference(run, files, monkeypatch):
    def interrupted(_given):
        raise KeyboardInterrupt

    def broken(_given):
        raise ZeroDivisionError

    monkeypatch.setattr(commands, "diff", interrupted)
    assert run("diff", files / "net.pt", files / "net.pt") == (130, "", "")
    monkeypatch.setattr(commands, "diff", broken)
    code, _, err = run("diff", files / "net.pt", files / "net.pt")
    assert code == 2
    assert "ZeroDivisionError" in err


def test_as_a_process_it_takes_a_closed_pipe_and_an_ascii_terminal_and_writes_no_colours(files):
    command = [sys.executable, "-m", "nnwidgets"]
    with subprocess.Popen(
        [*command, "check", files / "odd.pt"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as ran:
        ran.stdout.close()
        assert (ran.stderr.read(), ran.wait()) == (b"", 1)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "FORCE_COLOR": "1"}
    ran = subprocess.run(
        [*command, "check", files / "odd.pt"], cwd=ROOT, capture_output=True, text=True, env=environment, check=False
    )
    assert (ran.returncode, ran.stderr) == (1, "")
    assert "\\u2717 error 2.bias" in ran.stdout
    assert "\x1b" not in ran.stdout


def test_help_and_wrong_use_import_no_torch():
    code = (
        "import sys\nfrom nnwidgets.command_line import main\n"
        "for words in (['--help'], ['diff', '--help'], ['diff']):\n"
        "    try: main(words)\n"
        "    except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_the_lines_of_the_document_end_as_it_says(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = DOCS / "how-to" / "terminal-and-ci.md"
    subprocess.run([sys.executable, "-c", code_in(page, "python")[0]], check=True)
    lines = [line for line in code_in(page, "sh")[0].splitlines() if line]
    assert len(lines) > 5
    for line in lines:
        (wanted,) = re.findall(r"# exit code (\d):", line)
        assert run(*shlex.split(line, comments=True)[1:])[0] == int(wanted), line


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_read_and_fit_themselves(run, name):
    file = published(name)
    for command in ("peek", "tree", "check"):
        code, out, err = run(command, file)
        assert (code, err) == (0, "")
        assert file.name in out
    assert run("diff", file, file)[0] == 0
    assert run("plan", file, file)[0] == 0


def test_a_published_file_of_another_kind_is_named(run):
    code, out, err = run("check", published("silero_vad/data/silero_vad_half.onnx"))
    assert (code, out) == (2, "")
    assert "ONNX" in err
