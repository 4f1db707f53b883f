"""`stats(net)`: a row for each tensor, to sort, filter, copy and hand on."""

import copy
import csv
import io
import json
import math
import pickle
import sys

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.errors import InvalidTargetError, PathNotFoundError
from nnwidgets.introspect.statistics.exact_stats import CancelledError, exact_stats
from nnwidgets.introspect.stats_table import COLUMNS, stats_table

MEASURED = ("mean", "std", "min", "max", "norm", "n_zero", "n_nan", "n_inf")


def net_of(*tensors, **named):
    """A module that holds tensors as buffers ``t0``, ``t1`` …."""
    net = nn.Module()
    for name, tensor in {**{f"t{index}": tensor for index, tensor in enumerate(tensors)}, **named}.items():
        net.register_buffer(name, tensor)
    return net


def row_of(tensor):
    (row,) = nnw.stats(net_of(tensor))
    return row


@pytest.fixture
def net():
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 4))
    made(torch.randn(2, 4)).sum().backward()
    return made


def numbers():
    """Tensors small and large, of every kind, several of one shape among them."""
    seeded = torch.Generator().manual_seed(0)
    base = torch.randn(3, 700, generator=seeded)
    wide = torch.randn(5_000, generator=seeded)
    odd = base.clone()
    odd[1, 5], odd[2, 6], odd[0, 7] = math.nan, math.inf, -math.inf
    return [
        *base.unbind(), base, base.t(), base[:, ::2], odd, torch.full((9,), math.nan), base.bfloat16(), base.half(),
        base.double(), base.mul(100).to(torch.int16), base.mul(100).char(), base > 0, base.add(1e6), wide,
        wide.bfloat16(), torch.tensor(3.0), torch.tensor([0.1]), torch.ones(7), torch.zeros(7), torch.empty(0, 3),
        torch.full((3,), 0.1), base.to(torch.float8_e4m3fn), torch.arange(2**40, 2**40 + 5),
        torch.full((4,), 1e300, dtype=torch.float64),
    ]  # fmt: skip


def test_each_row_has_what_stats_of_its_tensor_has():
    tensors = numbers()
    table = nnw.stats(net_of(*tensors))
    assert [row.path for row in table] == [f"t{index}" for index in range(len(tensors))]
    for row, tensor in zip(table, tensors, strict=True):
        found = nnw.stats(tensor)
        assert row.shape == tuple(tensor.shape)
        for name in ("min", "max", "n_zero", "n_nan", "n_inf"):
            assert getattr(row, name) == pytest.approx(getattr(found, name), nan_ok=True, rel=0, abs=0), (row, name)
        for name in ("mean", "std", "norm"):
            assert getattr(row, name) == pytest.approx(getattr(found, name), nan_ok=True, rel=1e-12), (row, name)


def test_a_row_is_what_torch_computes_in_float64():
    tensor = torch.randn(40, 30, generator=torch.Generator().manual_seed(1))
    row, wide = row_of(tensor), tensor.double()
    expected = (wide.mean(), wide.std(), wide.min(), wide.max(), wide.norm())
    assert [row.mean, row.std, row.min, row.max, row.norm] == pytest.approx([each.item() for each in expected])


def test_rows_name_role_dtype_and_elements(net):
    net.register_buffer("steps", torch.tensor(3))
    net.loose = torch.ones(2)
    table = nnw.stats(net)
    assert [(row.path, row.role, row.dtype, row.n_elements) for row in table][:3] == [
        ("steps", "buffer", "int64", 1),
        ("loose", "unregistered", "float32", 2),
        ("0.weight", "parameter", "float32", 12),
    ]


def test_gradients_have_a_norm_and_a_count_of_what_is_not_finite(net):
    net[0].weight.grad[0, 0] = math.nan
    net[2].bias.grad = None
    rows = {row.path: row for row in nnw.stats(net)}
    finite = net[0].weight.grad.double().nan_to_num(0.0)
    assert rows["0.weight"].grad_norm == pytest.approx(finite.norm().item())
    assert (rows["0.weight"].n_grad_bad, rows["0.bias"].n_grad_bad) == (1, 0)
    assert (rows["2.bias"].grad_norm, rows["2.bias"].n_grad_bad) == (None, None)


def test_tied_tensors_are_measured_once_and_say_whose_numbers_they_have(monkeypatch):
    weight = nn.Parameter(torch.randn(6, 5))
    net = net_of(turned=weight.data.t(), part=weight.data[:2], whole=weight.data)
    net.weight = net.again = weight
    read = []
    monkeypatch.setattr(
        "nnwidgets.introspect.stats_table.each_stats",
        lambda tensors, **_: read.extend(tensors) or [exact_stats(tensor, bins=0) for tensor in tensors],
    )
    rows = {row.path: row for row in nnw.stats(net)}
    assert len(read) == 2
    assert {path: row.tied_to for path, row in rows.items()} == {
        "weight": "", "again": "weight", "turned": "weight", "part": "", "whole": "weight",
    }  # fmt: skip
    assert rows["turned"].norm == rows["weight"].norm != rows["part"].norm


def test_expanded_and_half_covered_memory_is_not_taken_for_the_whole():
    base = torch.arange(4.0)
    rows = {row.path: row for row in nnw.stats(net_of(base, base.expand(3, 4), base.view(torch.int32)))}
    assert [row.tied_to for row in rows.values()] == ["", "", ""]
    assert [row.n_zero for row in rows.values()] == [1, 3, 1]


def test_tensors_that_are_not_plain_say_what_they_are():
    lazy = nn.LazyLinear(3)
    dense = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    net = net_of(
        meta=torch.empty(2, 3, device="meta"), sparse=dense.to_sparse(), complexes=torch.tensor([3 + 4j]),
        codes=torch.quantize_per_tensor(torch.tensor([0.5, -0.25]), 0.25, 0, torch.qint8),
    )  # fmt: skip
    net.lazy = lazy
    rows = {row.path: row for row in nnw.stats(net)}
    assert rows["meta"].note == "no data: on the meta device"
    assert (rows["meta"].mean, rows["meta"].n_elements) == (None, 6)
    assert "lazy parameter" in rows["lazy.weight"].note
    assert rows["lazy.weight"].shape is None
    assert (rows["sparse"].note, rows["sparse"].n_zero, rows["sparse"].max) == ("sparse_coo", 3, 2.0)
    assert (rows["complexes"].note, rows["complexes"].norm) == ("numbers of magnitudes", 5.0)
    assert (rows["codes"].dtype, rows["codes"].min) == ("qint8", -0.25)


def test_a_freed_storage_is_not_read():
    net = nn.Linear(3, 2)
    net.weight.data.untyped_storage().resize_(0)
    rows = nnw.stats(net)
    assert rows[0].note.startswith("its storage was freed")
    assert (rows[0].mean, rows[1].mean is None) == (None, False)


def test_no_code_of_a_tensors_class_runs():
    class Loud(torch.Tensor):
        @classmethod
        def __torch_function__(cls, *_args, **_kwargs):
            raise AssertionError("it was asked")

    row = row_of(torch.ones(3).as_subclass(Loud))
    assert (row.mean, row.n_elements) == (1.0, 3)


@pytest.mark.parametrize(
    ("target", "paths"),
    [
        ("Linear.weight", ["0.weight", "2.weight"]),
        ("0", ["0.weight", "0.bias"]),
        ("Linear", ["0.weight", "0.bias", "2.weight", "2.bias"]),
        ("**.bias", ["0.bias", "2.bias"]),
        ("", ["0.weight", "0.bias", "2.weight", "2.bias"]),
        (["2.bias", "0"], ["0.weight", "0.bias", "2.bias"]),
    ],
)
def test_a_target_names_the_rows_and_a_filter_does_likewise(net, target, paths):
    assert [row.path for row in nnw.stats(net, target)] == paths
    assert [row.path for row in nnw.stats(net).filter(target)] == paths


def test_a_target_may_be_a_module_or_tensor_of_the_model_and_may_go_through_an_alias(net):
    net.again = net[0]
    assert [row.path for row in nnw.stats(net, net[2])] == ["2.weight", "2.bias"]
    assert [row.path for row in nnw.stats(net, net[2].bias)] == ["2.bias"]
    assert [row.path for row in nnw.stats(net, "again")] == ["0.weight", "0.bias"]
    assert [row.path for row in nnw.stats(net, "again.bias")] == ["0.bias"]


def test_a_target_that_is_none_is_refused_with_what_is_near(net):
    with pytest.raises(PathNotFoundError, match=r"0\.weight"):
        nnw.stats(net, "0.wieght")
    with pytest.raises(InvalidTargetError, match="no part of the model"):
        nnw.stats(net, nn.Linear(2, 2))
    with pytest.raises(InvalidTargetError, match="of a module"):
        nnw.stats(torch.ones(2), "0.weight")
    with pytest.raises(InvalidTargetError, match="of a module"):
        nnw.stats(torch.ones(2), since=object())


def test_sorting_puts_the_greatest_number_first_and_what_has_none_last():
    table = nnw.stats(
        net_of(torch.ones(2), torch.full((3,), math.nan), torch.empty(1, device="meta"), torch.ones(9) * 5)
    )
    assert [row.path for row in table.sort("max")] == ["t1", "t3", "t0", "t2"]
    assert [row.path for row in table.sort("max", descending=False)] == ["t0", "t3", "t1", "t2"]
    assert [row.path for row in table.sort("path", descending=True)] == ["t3", "t2", "t1", "t0"]
    assert [row.path for row in table.sort("shape")] == ["t2", "t0", "t1", "t3"]
    with pytest.raises(InvalidTargetError, match="Did you mean std"):
        table.sort("sdt")


def test_it_is_a_tuple_that_prints_as_a_table_and_survives_copies(net):
    table = nnw.stats(net)
    assert isinstance(table, tuple)
    lines = str(table).splitlines()
    assert lines[0].split() == ["tensor", "shape", "dtype", *["mean", "std", "min", "max", "norm"], "grad", "norm"]
    assert lines[1].startswith("0.weight")
    assert lines[-1] == "4 tensors · 31 elements"
    assert repr(table) == str(table)
    for again in (copy.copy(table), copy.deepcopy(table), pickle.loads(pickle.dumps(table))):  # noqa: S301 - just made
        assert again == table
        assert again.filter("0") == table.filter("0")
    assert str(nnw.stats(nn.ReLU())) == "No tensors."


def test_what_is_not_finite_is_told_below_the_table(net):
    net[0].weight.data[0, 0] = math.nan
    net[2].bias.grad[0] = math.inf
    assert "NaN or infinite elements in 0.weight and 1 other." in str(nnw.stats(net))


def test_it_holds_no_tensor_of_the_model(net):
    import gc
    import weakref

    table = nnw.stats(net)
    gone = weakref.ref(net[0].weight)
    del net[0]
    gc.collect()
    assert gone() is None
    assert table[0].path == "0.weight"


def test_to_dict_is_json_and_csv_has_every_number_in_full(net):
    net[0].weight.data[0, 0] = math.nan
    table = nnw.stats(net)
    assert json.loads(json.dumps(table.to_dict(), allow_nan=False))["rows"][0]["n_nan"] == 1
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert list(rows[0]) == list(COLUMNS)
    assert [float(row["norm"]) for row in rows] == [row.norm for row in table]
    assert [row["shape"] for row in rows] == ["3 × 4", "3", "4 × 3", "4"]


def test_a_name_is_neither_markup_nor_a_formula_nor_a_new_cell_in_what_is_copied():
    net = nn.Module()
    names = ["=1+cmd|x", "a|b", "<img src=x>", "a,b", 'q"q', "$x$", "new\nline"]
    for name in names:
        net._parameters[name] = nn.Parameter(torch.ones(1))
    table = nnw.stats(net)
    lines = table.to_markdown().splitlines()
    assert len(lines) == 2 + len(names)
    cells = [line.replace("\\|", "").count("|") for line in lines]
    assert len(set(cells)) == 1
    assert not any(bad in table.to_markdown() for bad in ("\n| <img", "| $x", " | =1+cmd|x"))
    read = [row["path"] for row in csv.DictReader(io.StringIO(table.to_csv()))]
    assert read[1:] == [row.path for row in table][1:]
    assert read[0] == table[0].path if not table[0].path.startswith("=") else read[0] == f"'{table[0].path}"


def test_markdown_has_the_columns_in_which_something_stands(net):
    heads = nnw.stats(net).to_markdown().splitlines()[0]
    assert "grad_norm" in heads
    assert "tied_to" not in heads
    net[2].bias = net[2].bias
    net.tied = net[0].weight
    assert "tied_to" in nnw.stats(net).to_markdown().splitlines()[0]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_data_frame_is_of_the_library_that_is_there(net, library):
    pytest.importorskip(library)
    frame = nnw.stats(net).to_dataframe(library)
    assert type(frame).__module__.split(".")[0] == library
    assert list(frame.columns) == list(COLUMNS)
    assert list(frame["norm"]) == [row.norm for row in nnw.stats(net)]


def test_without_either_library_the_error_says_what_to_do(net, monkeypatch):
    for library in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, library, None)
    table = nnw.stats(net)
    with pytest.raises(ImportError, match="pandas and polars are not installed: pip install pandas"):
        table.to_dataframe()
    with pytest.raises(ImportError, match="polars is not installed: pip install polars"):
        table.to_dataframe("polars")
    with pytest.raises(InvalidTargetError, match="'pandas' or 'polars'"):
        table.to_dataframe("numpy")


def test_progress_counts_all_elements_and_a_cancelled_one_stops():
    net = net_of(*(torch.randn(700_000) for _ in range(3)), *(torch.ones(4) for _ in range(5)))
    told = []
    stats_table(net, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (2_100_020, 2_100_020)
    assert told == sorted(told)
    with pytest.raises(CancelledError):
        stats_table(net, cancelled=lambda: True)
