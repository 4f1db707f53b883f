"""Python that saves and loads the same with torch alone, for models without a state dict too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import nnwidgets as nnw
from nnwidgets.introspect import get
from tests.support.edited_models import run, tied
from tests.support.saved_files import BY_PATH, FILES, MLP, loaded, same, shared


@pytest.mark.parametrize("file", ["net.pt", "net.safetensors", "folder/"])
@pytest.mark.parametrize("kind", BY_PATH)
def test_a_model_without_a_state_dict_is_saved_by_path_and_plain_torch_loads_it(kind, file, tmp_path):
    build, says = BY_PATH[kind]
    torch.manual_seed(0)
    net = build()
    report = nnw.save(net, f"{tmp_path}/{file}")
    assert [says in warning and "path names" in warning for warning in report.warnings] == [True]
    entries = [entry for entry in nnw.tree(net).tensors if entry.persistent is not False]
    assert list(loaded(f"{tmp_path}/{file}")) == [entry.path for entry in entries]
    torch.manual_seed(1)
    fresh = build()
    run(report.to_load_code("fresh"), fresh=fresh)
    for entry in entries:
        assert same(get(net, entry.path).data, get(fresh, entry.path).data)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", ["mlp", "shared", "views", "home-made"])
def test_the_code_of_a_save_saves_the_same_and_loads_it(name, file, tmp_path):
    build = {"mlp": MLP, "shared": shared, "views": tied, "home-made": BY_PATH["non-string keys"][0]}[name]
    torch.manual_seed(0)
    net = build()
    (tmp_path / "folder").mkdir()
    path = f"{tmp_path}/{file}"
    report = nnw.save(net, path, shard_size=20_000 if file == "folder/" else None)
    ours = loaded(path)
    for written in report.paths:
        Path(written).unlink()
    run(report.to_code("model"), model=net)
    theirs = loaded(path)
    assert set(ours) == set(theirs)
    assert same(dict(ours), {name: theirs[name] for name in ours})
    torch.manual_seed(1)
    fresh = build()
    run(report.to_load_code("fresh"), fresh=fresh)
    for entry in nnw.tree(net).tensors:
        if entry.role != "unregistered":
            assert same(get(net, entry.path).data, get(fresh, entry.path).data)


def test_the_code_of_a_save_covers_optimizer_and_extra_and_plain_things(tmp_path):
    net = MLP()
    sgd = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
    net(torch.ones(1, 20)).sum().backward()
    sgd.step()
    report = nnw.save(net, tmp_path / "a.pt", optimizer=sgd, extra={"epoch": 3})
    (tmp_path / "a.pt").unlink()
    run(report.to_code("net", "sgd"), net=net, sgd=sgd, epoch=3)
    fresh = MLP()
    other = torch.optim.SGD(fresh.parameters(), lr=0.1)
    run(report.to_load_code("net", "sgd"), net=fresh, sgd=other)
    assert same(dict(net.state_dict()), dict(fresh.state_dict()))
    assert same(sgd.state_dict(), other.state_dict())
    report = nnw.save([torch.ones(2)], tmp_path / "b")
    (tmp_path / "b").unlink()
    run(report.to_code("xs"), xs=[torch.ones(2)])
    assert same(run(report.to_load_code("xs"))["xs"], [torch.ones(2)])
