"""What the tree says of real architectures, against a count made here from torch's own names and addresses."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import itertools
import re

import pytest
import torch

import nnwidgets.introspect as nnw
from tests.support.architectures import MODELS, build

pytest.importorskip("transformers", minversion="5")


@pytest.fixture(params=sorted(MODELS))
def model(request):
    return build(request.param)


def element_addresses(tensor):
    """Return [start, stop) of each run of bytes that belongs to an element, as a set of addresses or one range."""
    size = tensor.element_size()
    if tensor.is_contiguous():
        return range(tensor.data_ptr(), tensor.data_ptr() + tensor.numel() * size)
    steps = [
        range(0, n * stride * size, stride * size) for n, stride in zip(tensor.shape, tensor.stride(), strict=True)
    ]
    starts = (tensor.data_ptr() + sum(offsets) for offsets in itertools.product(*steps))
    return {start + byte for start in starts for byte in range(size)}


def overlap(one, other):
    if isinstance(one, range) and isinstance(other, range):
        return max(one.start, other.start) < min(one.stop, other.stop)
    return not set(one).isdisjoint(other)


def count_once(tensors):
    """Count elements, each address once."""
    seen, runs, total = set(), [], 0
    for tensor in tensors:
        addresses = element_addresses(tensor)
        if (isinstance(addresses, range) and addresses in runs) or not addresses:
            continue
        if any(overlap(addresses, run) for run in runs) or not seen.isdisjoint(addresses):
            fresh = set(addresses) - seen - set().union(*runs)
            seen |= fresh
            total += len(fresh) // tensor.element_size()
        elif isinstance(addresses, range):
            runs.append(addresses)
            total += tensor.numel()
        else:
            seen |= addresses
            total += tensor.numel()
    return total


def test_a_hundred_architectures_and_more_are_built():
    assert len(MODELS) >= 100
    assert len(set(MODELS.values())) >= 100


def test_counts_and_names_agree_with_torch_and_nothing_is_an_error(model):
    tree = nnw.tree(model)

    assert [node.path for node in tree.nodes if node.kind == "module"] == [name for name, _ in model.named_modules()]
    own_names = {
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        for name, tensor in itertools.chain(module._parameters.items(), module._buffers.items())
        if tensor is not None
    }
    assert {entry.path for entry in tree.tensors if entry.role != "unregistered"} == own_names

    parameters = list(model.parameters())
    assert tree.n_params == count_once(parameters)
    assert tree.n_params_trainable == count_once([p for p in parameters if p.requires_grad])
    assert tree.root.n_params == tree.n_params
    for name, child in model.named_children():
        assert tree.find(name).n_params == count_once(list(child.parameters()))

    saved = set(model.state_dict())
    for entry in tree.tensors:
        if entry.role == "unregistered":
            continue
        tensor = model.get_parameter(entry.path) if entry.role == "parameter" else model.get_buffer(entry.path)
        assert entry.shape == tuple(tensor.shape)
        assert entry.dtype == str(tensor.dtype).removeprefix("torch.")
        assert entry.requires_grad == tensor.requires_grad
        assert entry.n_elements == tensor.numel()
        assert entry.persistent == (entry.path in saved)

    expected = tie_sets(model)
    registered = set().union(own_names, *expected)
    groups = {frozenset(m for m in group.members if m in registered): group.kind for group in nnw.ties(model)}
    assert {members for members in groups if len(members) > 1} == set(expected)
    for members, same_object in expected.items():
        assert (groups[members] == "object") == same_object

    for finding in nnw.check(model):
        assert finding.severity == "note", finding
        assert IS_TRUE[finding.code](model, finding), finding


def owner_of(model, path):
    above, _, name = path.rpartition(".")
    return model.get_submodule(above), name


def is_left_out_by_state_dicts(model, finding):
    owner, name = owner_of(model, finding.path)
    if finding.message.startswith("And "):
        return True
    more = re.search(r"The same at (\d+) more places: .* … (.*)\.$", finding.message)
    last, last_name = owner_of(model, more[2]) if more else (owner, name)
    there = [each for each in model.modules() if name in each._non_persistent_buffers_set]
    return (
        last_name == name
        and {owner, last} <= set(there)
        and len(there) >= (int(more[1]) if more else 0) + 1
        and finding.path not in model.state_dict()
    )


def is_frozen(model, finding):
    named = dict(model.named_parameters(remove_duplicate=False))
    below = [each for name, each in named.items() if f"{name}.".startswith(f"{finding.path}.")]
    told = re.match(r"Its (\d+) parameters", finding.message)
    return not any(each.requires_grad for each in below) and len(set(below)) == (int(told[1]) if told else 1)


def holds_nothing_to_save(model, finding):
    name = finding.message.partition(" ")[0]
    held = getattr(owner_of(model, f"{finding.path}.{name}".lstrip("."))[0], name)
    return not any(each.state_dict() or [*each.parameters()] for each in held.values())


def is_plain_attribute(model, finding):
    owner, name = owner_of(model, finding.path)
    return isinstance(vars(owner)[name], torch.Tensor) and finding.path not in model.state_dict()


IS_TRUE = {
    "non-persistent-buffer": is_left_out_by_state_dicts,
    "frozen": is_frozen,
    "unregistered-module": holds_nothing_to_save,
    "unregistered-tensor": is_plain_attribute,
    "constant-weight": lambda model, finding: not model.get_parameter(finding.path).any(),
}
"""By the code of a finding: whether what it says is so, asked of torch."""


def tie_sets(model):
    """Return the sets of names whose bytes meet, each with whether all of it is one object."""
    named = [
        (name, tensor)
        for name, tensor in itertools.chain(
            model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)
        )
        if tensor.numel()
    ]
    named.sort(key=lambda item: item[1].data_ptr())
    sets, stop, current = [], -1, []
    for name, tensor in named:
        if tensor.data_ptr() >= stop:
            sets.append(current)
            current = []
        current.append((name, tensor))
        stop = max(stop, max_address(tensor))
    sets.append(current)
    result = {}
    for candidates in sets:
        for group in connected(candidates):
            if len(group) > 1:
                result[frozenset(name for name, _ in group)] = len({id(tensor) for _, tensor in group}) == 1
    return result


def max_address(tensor):
    reach = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr() + (reach + 1) * tensor.element_size()


def connected(candidates):
    """Split tensors whose spans meet into groups that share a byte."""
    groups = []
    for name, tensor in candidates:
        addresses = element_addresses(tensor)
        touching = [g for g in groups if any(overlap(addresses, other) for _, _, other in g)]
        groups = [g for g in groups if g not in touching]
        groups.append([*itertools.chain(*touching), (name, tensor, addresses)])
    return [[(name, tensor) for name, tensor, _ in group] for group in groups]


def test_the_count_of_this_file_sees_ties_and_views():
    base = torch.nn.Parameter(torch.zeros(3, 4))
    assert count_once([base, torch.nn.Parameter(torch.zeros(2))]) == 14
    assert count_once([base, base]) == 12
    assert count_once([base, base.T]) == 12
    assert count_once([base[:, :2], base[1:]]) == 10
