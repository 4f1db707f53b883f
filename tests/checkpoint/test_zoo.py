"""Every kind of model goes through a file as torch means it: bit for bit, all or nothing, undone and redone."""

from __future__ import annotations

import ctypes

import pytest
import torch

import nnwidgets as nnw
from nnwidgets.checkpoint.formats import file as files
from tests.support.model_state import attributes, copied, unchanged
from tests.support.saved_files import same
from tests.support.stacks import torch_keeps
from tests.support.zoo import ZOO, quantized_recurrent

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("seeded")]


@pytest.fixture
def seeded():
    torch.manual_seed(0)


@pytest.fixture(params=ZOO)
def kind(request):
    return ZOO[request.param]


def state(net):
    return dict(net.state_dict())


def saved(kind, net, file):
    """Saved by us, or by torch where a refusal says that we can't."""
    refused = kind.refused.get(file.suffix)
    if refused is None:
        assert nnw.save(net, file).verified
        return file
    with pytest.raises(nnw.SaveError, match=refused):
        nnw.save(net, file)
    assert not file.exists()
    torch.save(net.state_dict(), file.with_suffix(".pt"))
    return file.with_suffix(".pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_save_and_load_mean_what_torch_means(kind, suffix, tmp_path):
    net, other, theirs, replayed = kind.make(), *(kind.fresh() for _ in range(3))
    file, plain = saved(kind, net, tmp_path / f"ours{suffix}"), tmp_path / "theirs.pt"
    if not torch_keeps(net.state_dict()):
        pytest.skip("this torch doesn't load it with weights_only=True")
    torch.save(net.state_dict(), plain)
    read = torch.load(plain, weights_only=True)
    if file.suffix == ".pt":
        assert same(torch.load(file, weights_only=True), read)
    assert nnw.diff(file, net).is_equal
    theirs.load_state_dict(read)
    report = nnw.load(other, file)
    assert same(state(other), state(theirs))
    assert report.verified
    assert nnw.diff(file, other).is_equal
    assert nnw.diff(net, other).is_equal
    assert nnw.diff(plain, other).is_equal
    exec(report.to_code("net"), {"net": replayed})  # noqa: S102 - it is what the user would paste
    assert same(state(replayed), state(theirs))


def test_a_model_gets_its_values_back_and_loses_and_regains_them(kind, tmp_path):
    net = kind.make()
    file = saved(kind, net, tmp_path / "net.pt")
    wanted = copied(state(net))
    net.load_state_dict(kind.make().state_dict())
    other = copied(state(net))
    assert not same(other, wanted)
    before = attributes(net)
    nnw.load(net, file)
    assert same(state(net), wanted)
    after = attributes(net)
    for _ in range(2):
        nnw.undo(net)
        assert unchanged(net, before)
        assert same(state(net), other)
        nnw.redo(net)
        assert unchanged(net, after)
        assert same(state(net), wanted)


class Faults:
    """Counts calls, and raises once one of them has done its work."""

    def __init__(self):
        self.n = 0
        self.at = None

    def calls(self, call):
        def made(*args, **kwargs):
            found = call(*args, **kwargs)
            self.n += 1
            if self.n - 1 == self.at:
                raise OSError(5, "injected")
            return found

        return made


def spread(n):
    """A few of so many steps: the first, the last, some between."""
    return sorted({*range(min(n, 2)), n // 2, n - 2, n - 1} & set(range(n)))


PLACES = {
    "reading": [(files, "_read_at")],
    "copying": [(ctypes, "memmove"), (torch.Tensor, "copy_")],
}


@pytest.mark.parametrize("place", PLACES)
def test_a_failure_at_any_step_leaves_the_model_as_it_was(kind, place, tmp_path, monkeypatch):
    one, two, other, counted = kind.make(), kind.make(), kind.fresh(), kind.fresh()
    first, second = saved(kind, one, tmp_path / "one.pt"), saved(kind, two, tmp_path / "two.pt")
    fresh = attributes(other)
    nnw.load(other, first)
    nnw.load(counted, first)
    before, faults = attributes(other), Faults()
    for owner, name in PLACES[place]:
        monkeypatch.setattr(owner, name, faults.calls(getattr(owner, name)))
    nnw.load(counted, second)
    assert faults.n or not [*other.parameters(), *other.buffers()]
    for at in spread(faults.n):
        faults.n, faults.at = 0, at
        with pytest.raises((OSError, nnw.NNWidgetsError), match="injected"):
            nnw.load(other, second)
        assert unchanged(other, before)
        assert len(nnw.history(other).changes) == 1
    faults.at = None
    nnw.load(other, second)
    assert same(state(other), state(counted))
    nnw.undo(other)
    assert unchanged(other, before)
    if not any(isinstance(each, torch.nn.parameter.UninitializedTensorMixin) for each in kind.fresh().parameters()):
        nnw.undo(other)
        assert unchanged(other, fresh)


def test_code_that_raises_in_any_module_leaves_the_model_as_it_was(kind, tmp_path):
    other = kind.fresh()
    file = saved(kind, kind.make(), tmp_path / "net.pt")
    other.state_dict()
    modules = [each for each in other.modules() if not isinstance(each, torch.jit.ScriptModule)]

    def fail(*_):
        raise OSError("injected")

    for at in spread(len(modules)):
        hook = modules[at].register_load_state_dict_post_hook(fail)
        before = attributes(other)
        with pytest.raises(nnw.CheckpointMismatchError, match=r"injected|Tensor, which isn't read"):
            nnw.load(other, file)
        assert unchanged(other, before)
        assert nnw.history(other).changes == ()
        hook.remove()


def test_a_quantized_lstm_is_refused_by_what_it_holds(tmp_path):
    net = quantized_recurrent()
    with pytest.raises(nnw.SaveError, match="is a ScriptObject") as raised:
        nnw.save(net, tmp_path / "net.pt")
    assert "packed weights" in raised.value.hint
    torch.save(net.state_dict(), tmp_path / "torchs.pt")
    with pytest.raises(nnw.UnsafeCheckpointError, match=r"torch\.ScriptObject"):
        nnw.load(net, tmp_path / "torchs.pt")
