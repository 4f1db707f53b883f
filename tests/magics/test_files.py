"""%nn save, load, diff and ls in a real IPython shell."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.ipython_shell import shell


def mlp(out="output"):
    net = nn.Module()
    net.hidden = nn.Linear(20, 256)
    setattr(net, out, nn.Linear(256, 10))
    return net


def same(one, other):
    return nnw.diff(one, other).is_equal


@pytest.fixture(scope="module")
def ip():
    with shell() as started:
        yield started


@pytest.fixture
def net(ip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(ip.variables)
    made = ip.variables["net"] = mlp()
    ip.variables["torch"], ip.variables["nn"] = torch, nn
    yield made
    for name in set(ip.variables) - before:
        del ip.variables[name]


def test_a_model_is_saved_and_loaded_and_the_load_undone(ip, net):
    text = ip.nn("save net mlp.params")
    assert "4 tensors" in text
    assert "✓ read back, equal" in text
    assert torch.equal(torch.load("mlp.params")["hidden.weight"], net.hidden.weight)
    clone = ip.variables["clone"] = mlp()
    old = {name: value.clone() for name, value in clone.state_dict().items()}
    text = ip.nn("load clone mlp.params")
    assert "4 tensors · 7\u202f946 elements" in text
    assert "✓ equal to the file" in text
    assert "%nn undo clone" in text
    assert same(net, clone)
    assert "torch.load('mlp.params'" in ip.nn("code clone")
    ip.nn("undo clone")
    assert same(old, clone)


def test_a_dry_run_shows_the_plan_and_the_renames_that_would_do(ip, net):
    nnw.save(mlp("out"), "old.params")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    text = ip.nn("load net old.params --dry-run")
    assert "2 match · 2 unexpected · 2 missing" in text
    assert "out.weight →" in text
    assert "sure: out in the file is output in the model" in text
    assert "Nothing was loaded." in text
    line = text.splitlines()[-1]
    assert line == "%nn load net old.params --rename out=output"
    assert same(before, net)
    assert "2 match" not in ip.run(f"{line} --dry-run").printed
    ip.nn(line.removeprefix("%nn "))
    assert torch.equal(net.output.bias, torch.load("old.params")["out.bias"])


@pytest.mark.parametrize(
    ("names", "rename"),
    [
        (lambda name: f"module.{name}", "module.="),
        (lambda name: name.replace("hidden", "h7"), r"re:^h\d=hidden"),
        (lambda name: f"module.{name.replace('output', 'out')}", "module.= --rename out=output"),
        (lambda name: name.replace("hidden.weight", "w"), "w=hidden.weight"),
    ],
)
def test_renames_of_every_kind_can_be_typed(ip, net, names, rename):
    wanted = mlp()
    torch.save({names(name): value for name, value in wanted.state_dict().items()}, "it.pt")
    ip.nn(f"load net it.pt --rename {rename}")
    assert same(wanted, net)


def test_what_fits_is_loaded_with_partial(ip, net):
    torch.save({"hidden.bias": torch.ones(256), "more": torch.zeros(1)}, "part.pt")
    said = ip.refused("load net part.pt")
    assert "fits 1 of the model's 4 tensors" in said
    assert "%nn" not in said.split("part.pt")[0]
    text = ip.nn("load net part.pt --partial")
    assert "1 of 4 tensors" in text
    assert (net.hidden.bias == 1).all()


def test_an_optimizer_goes_along_where_it_is_named(ip, net):
    adam = ip.variables["adam"] = torch.optim.Adam(net.parameters())
    net.output(net.hidden(torch.randn(2, 20))).sum().backward()
    adam.step()
    ip.nn("save net it.pt --optimizer adam")
    other = ip.variables["other"] = mlp()
    other_adam = ip.variables["other_adam"] = torch.optim.Adam(other.parameters())
    ip.nn("load other it.pt --optimizer other_adam")
    assert torch.equal(other_adam.state[other.output.bias]["exp_avg"], adam.state[net.output.bias]["exp_avg"])
    text = ip.nn("load net it.pt")
    assert "Adam keeps moments of the old values" in text
    assert "expected a torch.optim.Optimizer" in ip.refused("load other it.pt --optimizer net")


def test_tensors_lists_and_dicts_are_saved_and_given_back_to_a_variable(ip, net):
    ip.variables.update(x=torch.arange(4), many=[torch.zeros(2), torch.ones(3)], named={"a": torch.ones(1), "n": 3})
    for name in ("x", "many", "named"):
        ip.nn(f"save {name} {name}.pt")
    assert "fresh is now what x.pt holds" in ip.nn("load fresh x.pt")
    assert torch.equal(ip.variables["fresh"], torch.arange(4))
    ip.nn("load many x.pt")
    assert torch.equal(ip.variables["many"], torch.arange(4))
    ip.nn("load named named.pt")
    assert ip.variables["named"]["n"] == 3
    assert "options have no meaning" in ip.refused("load x x.pt --partial")
    ip.variables["number"] = 3
    assert "number is of type int, expected a model" in ip.refused("load number x.pt")


def test_a_file_is_not_written_over_unless_told(ip, net):
    ip.nn("save net it.safetensors")
    before = nnw.peek("it.safetensors")
    nn.init.zeros_(net.hidden.bias)
    said = ip.refused("save net it.safetensors")
    assert "is there already" in said
    assert "--overwrite" in said
    assert "overwrite=True" not in said
    assert nnw.peek("it.safetensors") == before
    ip.nn("save net it.safetensors --overwrite")
    assert same(net, "it.safetensors")


def test_shards_are_written_where_a_size_is_given(ip, net):
    text = ip.nn("save net many --shards 15kB")
    assert "index.json" in text
    assert nnw.peek("many").format == "sharded"
    assert same(net, "many")


def test_a_difference_is_told_between_models_and_files(ip, net):
    ip.nn("save net before.pt")
    other = ip.variables["other"] = mlp()
    other.load_state_dict(net.state_dict())
    assert "every bit the same" in ip.nn("diff before.pt other")
    with torch.no_grad():
        net.hidden.bias[3] += 1
    text = ip.nn("diff before.pt net")
    assert "~ changed" in text
    assert "hidden.bias" in text
    assert "1 element" in text
    assert "Bit-equal: hidden.weight" in text
    assert "every bit the same" not in ip.nn("diff net other")


def test_a_folder_and_a_file_are_listed(ip, net, tmp_path):
    ip.nn("save net it.pt")
    (tmp_path / "notes.txt").write_text("no checkpoint")
    (tmp_path / "below").mkdir()
    text = ip.nn("ls")
    assert "it.pt" in text
    assert "torch-zip" in text
    assert "below/" in text
    assert "1 other file, no checkpoints." in text
    text = ip.nn("ls it.pt")
    assert "hidden.weight" in text
    assert "256 × 20" in text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("save net", "no file is named"),
        ("save", "no model is named"),
        ("load net a b", "'b' is one word too many"),
        ("load net nothing.pt", "There is no file 'nothing.pt'"),
        ("load missing.x nothing.pt", "No variable 'missing'"),
        ("load net it.pt --rename out", "is not old=new"),
        ("load net it.pt --rename re:*=x", "no regular expression"),
        ("load net it.pt --dry", "did you mean --dry-run?"),
        ("save net it.pt --shards much", "is not a size such as 2GB"),
        ("diff net", "two sides are compared"),
        ("ls a b", "one word too many"),
        ("ls nothing", "There is no file 'nothing'"),
    ],
)
def test_a_line_that_cannot_be_done_says_so_in_one_line(ip, net, line, says):
    torch.save(net.state_dict(), "it.pt")
    assert says in ip.refused(line)


def test_a_file_that_wants_to_run_code_is_refused_in_one_line(ip, net, tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "canary"), "w")

    torch.save({"x": Evil()}, "evil.pt")
    for line in ("load net evil.pt", "diff net evil.pt", "load fresh evil.pt", "ls evil.pt"):
        assert "wants to import" in ip.refused(line)
    assert "refused" in ip.nn("ls")
    assert not (tmp_path / "canary").exists()


def test_tab_offers_files_names_and_renames(ip, net, tmp_path):
    nnw.save(mlp("out"), "old.params")
    (tmp_path / "a folder").mkdir()
    assert set(ip.completions("%nn load net ")) == {'"a folder/"', "old.params"}
    assert ip.completions("%nn load net ol") == ["old.params"]
    assert ip.completions("%nn ls ol") == ["old.params"]
    assert "net" in ip.completions("%nn diff ")
    assert "old.params" in ip.completions("%nn diff net ")
    offered = ip.completions("%nn load net old.params --rename ")
    assert "out.weight=output.weight" in offered
    assert "hidden.weight=" not in offered
    assert "out.weight=output.weight" in ip.completions("%nn load net old.params --rename out.weight=out")
    assert ip.completions("%nn load net old.params --") == [
        "--rename",
        "--entry",
        "--optimizer",
        "--dry-run",
        "--partial",
    ]
    assert ip.completions("%nn load ") == ["net"]


def test_what_a_file_says_is_inert_in_html(ip, net):
    name = "<img src=x onerror=alert(1)>"
    torch.save({name: torch.zeros(2), "output.weight": torch.zeros(3)}, "odd.pt")
    for line in ("ls odd.pt", "load net odd.pt --dry-run", "diff odd.pt net"):
        (html,) = ip.run(f"%nn {line}").html
        assert "<img" not in html
        assert "&lt;img" in html


def two_entries(file):
    """A file of two state dicts with other numbers; the second is an average by its name."""
    raw, average = mlp(), mlp()
    torch.save({"model": raw.state_dict(), "my ema": average.state_dict()}, file)
    return raw, average


def test_a_state_dict_of_the_file_is_chosen_with_entry(ip, net):
    raw, average = two_entries("two.pt")
    assert "state dict" in (text := ip.nn("load net two.pt --dry-run"))
    assert "'my ema' fits as well" in text
    assert "Every tensor of the model is in the state dict at 'model', and no other." in text
    ip.nn("load net two.pt")
    assert same(raw, net)
    ip.nn('load net two.pt --entry "my ema"')
    assert same(average, net)
    assert "every bit the same" in ip.nn('diff net two.pt --entry "my ema"')
    text = ip.nn("ls two.pt")
    assert "my ema" in text
    assert "5,120" not in text
    assert "holds no state dict at 'emma'; it has 'model', 'my ema'" in ip.refused("load net two.pt --entry emma")


def test_tab_offers_the_state_dicts_of_the_file(ip, net):
    two_entries("two.pt")
    assert ip.completions("%nn load net two.pt --entry ") == ["model", '"my ema"']
    assert ip.completions("%nn load net two.pt --entry mo") == ["model"]
    assert ip.completions('%nn load net two.pt --entry "my') == ['"my ema"']
    assert ip.completions("%nn diff net two.pt --entry ") == ["model", '"my ema"']
    assert not any(ip.completions("%nn load net nothing.pt --entry "))


def test_ls_lists_a_folder_that_holds_one_file(ip, net, tmp_path):
    (tmp_path / "sub").mkdir()
    torch.save(net.state_dict(), "sub/it.pt")
    assert "it.pt" in ip.nn("ls sub")
    ip.nn("load net sub")


def test_a_refused_load_ends_in_the_line_that_goes_through(ip, net):
    torch.save(mlp(out="out").state_dict(), "other.params")
    said = ip.refused("load net other.params")
    assert "plan(net" not in said
    assert "This fits: %nn load net other.params --rename out=output." in said
    assert said.endswith("%nn load net other.params --dry-run shows both sides.")
    ip.nn("load net other.params --rename out=output")
    assert torch.equal(net.output.bias, torch.load("other.params")["out.bias"])


def test_the_sides_of_a_difference_are_called_what_was_typed_and_two_models_are_compared(ip, net):
    ip.nn("save net mlp.params")
    ip.variables["other"] = mlp()
    with torch.no_grad():
        net.hidden.bias.zero_()
    text = ip.nn("diff net other")
    assert text.splitlines()[0].startswith("net → other")
    assert next(line for line in text.splitlines() if "hidden.bias" in line).endswith("from 0")
    assert "mlp.params → net" in ip.nn("diff mlp.params net")
    assert "inf" not in text
    assert ip.nn("diff net net").startswith("net = net")


def test_a_mark_is_a_variable_and_a_side_of_diff_and_a_column_of_stats(ip, net):
    text = ip.nn("snapshot net before")
    assert isinstance(ip.variables["before"], nnw.Snapshot)
    assert "4 tensors, values in 31.78 kB" in text
    assert "%nn diff before net tells what moved since." in text
    assert "every bit the same" in ip.nn("diff before net")
    with torch.no_grad():
        net.hidden.bias.mul_(2.0)
    assert "hidden.bias" in ip.nn("diff before net")
    assert "100.00%" in ip.nn("diff before net")
    ip.nn("snapshot net --digests")
    assert not ip.variables["mark"].has_values
    assert "every bit the same" in ip.nn("diff mark net")
    assert ip.nn("stats net --since before --sort moved").splitlines()[1].startswith("hidden.bias")
    assert {"before", "mark"} <= set(ip.completions("%nn stats net --since "))
    assert "before" in ip.completions("%nn diff bef")


def test_a_mark_takes_the_place_of_no_variable_but_a_mark(ip, net):
    ip.variables["kept"] = 42
    assert "kept is a int of yours" in ip.refused("snapshot net kept")
    assert ip.variables["kept"] == 42
    assert "no name for a variable" in ip.refused("snapshot net 0.weight")
    assert "is no mark" in ip.refused("stats net --since kept")
    ip.nn("snapshot net m")
    ip.nn("snapshot net m")


def test_two_models_are_compared(ip, net):
    ip.variables["other"] = mlp()
    assert "hidden.weight" in ip.nn("diff net other")
