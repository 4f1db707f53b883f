"""What is saved is what torch and safetensors read, bit for bit, and what `read` gives back."""

from __future__ import annotations

import zipfile
from collections import OrderedDict

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint import peek
from nnwidgets.checkpoint.formats import open_checkpoint
from tests.support.edited_models import tied
from tests.support.saved_files import FILES, MLP, NETS, loaded, names, odd_tensors, same, torch_only
from tests.support.stacks import safetensors_reads, torch_keeps


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", NETS)
def test_a_tutorials_net_comes_back_through_the_plain_libraries_and_through_read(name, file, tmp_path):
    torch.manual_seed(0)
    net = NETS[name]()
    path = f"{tmp_path}/{file}"
    report = nnw.save(net, path)
    state = net.state_dict()
    assert report.verified
    assert report.warnings == ()
    assert report.n_tensors == len(state)
    for found in (loaded(path), nnw.read(path)):
        assert same(dict(state), {key: found[key] for key in state})
        assert len(found) == len(state)
    torch.manual_seed(1)
    fresh = NETS[name]()
    fresh.load_state_dict(loaded(path))
    assert same(dict(fresh.state_dict()), dict(state))


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", [*odd_tensors(), "float32"])
def test_an_odd_tensor_is_bit_equal_in_every_format_that_has_it(kind, file, tmp_path):
    tensor = odd_tensors().get(kind, torch.randn(3))
    path = f"{tmp_path}/{file}"
    assert nnw.save({"x": tensor}, path).warnings == ()
    assert same({"x": tensor}, nnw.read(path))
    of_torch = path.endswith((".pt", ".params"))
    if not (torch_keeps({"x": tensor}) if of_torch else safetensors_reads(tensor.dtype)):
        pytest.skip(f"this {'torch' if of_torch else 'safetensors'} doesn't read {tensor.dtype}")
    assert same({"x": tensor}, loaded(path))


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
@pytest.mark.parametrize("kind", torch_only())
def test_a_tensor_that_safetensors_has_no_form_for_is_saved_by_torch_and_refused_there(kind, tmp_path):
    tensor = torch_only()[kind]
    nnw.save({"x": [tensor]}, tmp_path / "x.pt")
    assert same({"x": [tensor]}, loaded(tmp_path / "x.pt"))
    assert same({"x": [tensor]}, nnw.read(tmp_path / "x.pt"))
    with pytest.raises(nnw.SaveError, match=r"x is .*safetensors.*torch file") as raised:
        nnw.save({"x": tensor}, tmp_path / "x.safetensors")
    assert raised.value.path == "x"
    assert names(tmp_path) == ["x.pt"]


def test_a_tensor_a_list_a_dict_and_nests_of_them_come_back_equal(tmp_path):
    plain = [1, 10**30, -2.5, "text", None, True, (1, 2), {"a": 1j}, b"bytes", {1, 2}, torch.float32, torch.Size([2])]
    things = {
        "tensor": torch.arange(4),
        "list": [torch.zeros(4), torch.arange(4)],
        "dict": {"x": torch.zeros(4), "y": torch.arange(4)},
        "nest": {"xs": [torch.ones(2), (torch.zeros(1), [])], "plain": plain, 3: {"epoch": 7}, (1, "b"): 2},
        "nothing": {},
    }
    for name, thing in things.items():
        nnw.save(thing, tmp_path / name)
        assert same(thing, nnw.read(tmp_path / name)), name
        if torch_keeps(thing):
            assert same(thing, torch.load(tmp_path / name, weights_only=True)), name


def test_parameters_stay_parameters_and_what_needs_a_gradient_still_does(tmp_path):
    thing = [
        nn.Parameter(torch.ones(2)),
        nn.Parameter(torch.ones(2), requires_grad=False),
        torch.ones(2).requires_grad_(),
    ]
    nnw.save(thing, tmp_path / "x")
    found = torch.load(tmp_path / "x", weights_only=True)
    assert [(type(each), each.requires_grad) for each in found] == [
        (nn.Parameter, True), (nn.Parameter, False), (torch.Tensor, True),
    ]  # fmt: skip


def test_a_slice_of_something_huge_takes_the_room_of_the_slice(tmp_path):
    huge = torch.zeros(4_000_000)
    thing = {"a": huge[10:20], "b": huge[1_000_000:1_000_010], "c": huge.view(2000, 2000)[5:9, ::100]}
    report = nnw.save(thing, tmp_path / "x")
    assert report.size_bytes == (tmp_path / "x").stat().st_size < 4_000


def test_a_state_dicts_versions_are_kept(tmp_path):
    net = nn.BatchNorm1d(3)
    nnw.save(net, tmp_path / "net.pt")
    found = torch.load(tmp_path / "net.pt", weights_only=True)
    assert type(found) is OrderedDict
    assert found._metadata == net.state_dict()._metadata == {"": {"version": 2}}


def test_an_optimizer_and_extra_values_lie_beside_the_model(tmp_path):
    torch.manual_seed(0)
    net = MLP()
    adam = torch.optim.Adam(net.parameters())
    net(torch.ones(2, 20)).sum().backward()
    adam.step()
    nnw.save(net, tmp_path / "net.pt", optimizer=adam, extra={"epoch": 3, "losses": [0.5, 0.25]})
    found = torch.load(tmp_path / "net.pt", weights_only=True)
    assert list(found) == ["model", "optimizer", "epoch", "losses"]
    assert same(dict(found["model"]), dict(net.state_dict()))
    assert same(found["optimizer"], adam.state_dict())
    assert (found["epoch"], found["losses"]) == (3, [0.5, 0.25])
    assert peek(tmp_path / "net.pt").optimizer == "optimizer"
    with pytest.raises(nnw.SaveError, match=r"an optimizer can't be beside.*'net.pt'"):
        nnw.save(net, tmp_path / "net.safetensors", optimizer=adam)
    with pytest.raises(nnw.InvalidTargetError, match="'model'"):
        nnw.save(net, tmp_path / "other.pt", extra={"model": 1})
    assert names(tmp_path) == ["net.pt"]


def test_a_subclass_is_saved_as_the_plain_tensor_of_its_data_and_the_report_says_so(tmp_path):
    class Named(torch.Tensor):
        pass

    thing = {"x": torch.ones(2).as_subclass(Named)}
    report = nnw.save(thing, tmp_path / "x")
    assert report.warnings == ("x is a Named and is saved as the plain tensor of its data.",)
    assert type(torch.load(tmp_path / "x", weights_only=True)["x"]) is torch.Tensor


def test_more_tensors_than_sixteen_bits_count_go_into_one_torch_file(tmp_path):
    tensor = torch.empty(0)
    thing = {str(number): tensor.detach() for number in range(66_000)}
    nnw.save(thing, tmp_path / "x", verify=False)
    assert torch._C.PyTorchFileReader(str(tmp_path / "x")).get_record("data/65999") == b""
    with zipfile.ZipFile(tmp_path / "x") as archive:
        assert len(archive.namelist()) == 66_005
    with open_checkpoint(tmp_path / "x") as held:
        assert (len(held.content), held.departures) == (66_000, [])


def test_a_torch_file_is_a_sound_zip_whose_storages_begin_at_multiples_of_64(tmp_path):
    nnw.save(tied(), tmp_path / "net.pt")
    with zipfile.ZipFile(tmp_path / "net.pt") as archive:
        assert archive.testzip() is None
        names = [each.filename for each in archive.infolist()]
    assert names[0] == "archive/data.pkl"
    reader = torch._C.PyTorchFileReader(str(tmp_path / "net.pt"))
    for key in reader.get_all_records():
        assert reader.get_record_offset(key) % 64 == 0
    assert same(dict(torch.load(tmp_path / "net.pt", weights_only=True, mmap=True)), dict(tied().state_dict()))
