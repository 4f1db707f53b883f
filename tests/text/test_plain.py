"""Plain text for a terminal."""

import re

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.formatting import align_columns, fit, pad, width
from nnwidgets.introspect.records import Finding
from nnwidgets.text.document import Curve, Curves, Table
from nnwidgets.text.pages.model import findings_page, tensor_page, ties_page, trace_page, tree_page
from nnwidgets.text.plain import render_text


def small():
    return nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))


def rows(text):
    return [line.split() for line in text.splitlines()]


def test_str_of_a_tree_is_its_plain_text():
    tree = nnw.tree(small())
    assert str(tree) == render_text(tree_page(tree))


def test_columns_line_up():
    lines = render_text(tree_page(nnw.tree(small()))).splitlines()[:-1]
    assert len({line.index("f32") for line in lines if "f32" in line}) == 1
    assert len({line.index("Linear") for line in lines if "Linear" in line}) == 1
    counts = [re.search(r"(\d+\s)?\d+(?=  f32)", line) for line in lines]
    assert len({count.end() for count in counts if count}) == 1


def test_a_name_of_two_cell_characters_is_aligned_by_cells():
    net = nn.Module()
    net.add_module("卷积", nn.ReLU())
    net.add_module("conv", nn.ReLU())
    first, second = render_text(tree_page(nnw.tree(net))).splitlines()[1:3]
    assert width(first[: first.index("ReLU")]) == width(second[: second.index("ReLU")])


def test_like_blocks_are_one_row_with_the_inside_of_one():
    net = nn.Module()
    net.h = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(12))
    text = render_text(tree_page(nnw.tree(net)))
    assert "h.0 … h.11" in text
    assert "12 × Sequential" in text
    assert text.count("ReLU") == 1
    assert rows(text)[1][5:] == ["Sequential", "240"]


def test_blocks_that_differ_are_not_folded():
    net = nn.Sequential(*[nn.Linear(4, 4 + (index == 2)) for index in range(5)])
    assert "×" not in "".join(re.findall(r"\d+ × Linear", render_text(tree_page(nnw.tree(net)))))


def test_marks_say_in_words_what_is_special():
    net = small()
    net[2].weight.requires_grad_(False)
    net.register_buffer("mean", torch.zeros(2), persistent=False)
    net.loose = torch.zeros(2)
    net[0].bias.grad = torch.zeros(256)
    net.add_module("again", net[0])
    text = render_text(tree_page(nnw.tree(net)))
    for mark in ("frozen", "buffer, not saved", "unregistered", "grad", "→ 0", "tied A"):
        assert mark in text


def test_a_tensor_counted_under_another_name_says_where_and_the_total_why():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = nn.Parameter(net[0].weight.detach())
    tree = nnw.tree(net)
    text = render_text(tree_page(tree))
    assert "counted at 0.weight" in text
    assert tree.why
    assert tree.why.split(".")[0] in text


def test_depth_is_counted_in_modules():
    tree = nnw.tree(nn.Sequential(nn.Sequential(nn.Sequential(nn.ReLU()))))
    for depth in range(4):
        assert len(render_text(tree_page(tree, depth=depth)).splitlines()) == depth + 2


def test_a_path_that_is_not_there_raises_with_the_closest():
    with pytest.raises(nnw.PathNotFoundError, match=r"0\.weight"):
        render_text(tree_page(nnw.tree(small()), path="0.wieght"))


def test_statistics_and_a_histogram_of_a_tensor():
    net = small()
    tree = nnw.tree(net)
    text = render_text(tensor_page(tree.find("0.weight"), nnw.stats(net[0].weight)))
    assert text.startswith("0.weight · Parameter")
    assert re.search(r"std\s+0\.1", text)
    assert "█" in text


def test_a_sampled_answer_is_marked():
    from dataclasses import replace

    found = replace(nnw.stats(torch.rand(100)), is_exact=False)
    text = render_text(tensor_page(nnw.tree(nn.Linear(2, 2)).tensors[0], found))
    assert "≈" in text
    assert "sample" in text


def test_nan_and_infinite_elements_are_said():
    found = nnw.stats(torch.tensor([1.0, float("nan"), float("inf"), float("-inf")]))
    text = render_text(tensor_page(nnw.tree(nn.Linear(2, 2)).tensors[0], found))
    assert re.search(r"NaN\s+1", text)
    assert re.search(r"infinite\s+2", text)


def test_a_fix_keeps_its_lines_whole():
    fix = "\n".join(f"x = {'1 + ' * 60}{index}" for index in range(3))
    text = render_text(findings_page([Finding("code", "warning", "0", "Long.", fix)]))
    assert [line.strip() for line in text.splitlines()[2:]] == fix.splitlines()


def test_long_messages_break_at_spaces():
    text = render_text(findings_page([Finding("code", "note", "0", "word " * 100, None)]))
    assert all(width(line) <= 120 for line in text.splitlines())
    assert text.count("word") == 100


def test_ties_name_all_members():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    text = render_text(ties_page(nnw.ties(net)))
    assert "0.weight" in text
    assert "1.weight" in text
    assert "64 B" in text


def test_a_module_called_twice_says_so():
    relu = nn.ReLU()
    text = render_text(trace_page(nnw.trace(nn.Sequential(relu, relu), torch.ones(1, 2))))
    assert "0 (call 2)" in text


def test_no_line_is_wider_than_the_limit():
    net = nn.Module()
    net.add_module("n" * 500, nn.Linear(2, 2))
    assert all(width(line) <= 120 for line in render_text(tree_page(nnw.tree(net))).splitlines())


@pytest.mark.parametrize(("text", "cells"), [("", 0), ("abc", 3), ("卷", 2), ("é", 1), ("e\u0301", 1)])
def test_width_counts_cells(text, cells):
    assert width(text) == cells
    assert width(pad(text, 5)) == 5
    assert width(fit(text * 10, 4)) <= 4


def test_the_first_column_gives_way():
    lines = align_columns([("x" * 300, "right")], most=50)
    assert width(lines[0]) <= 50
    assert lines[0].endswith("right")


def test_a_sentence_at_the_end_of_a_row_goes_on_below_it():
    said = "because " * 30
    table = Table(("name", "why"), (("h.0.weight", said), ("h.1.weight", "short")))
    lines = render_text((table,)).split("\n")
    assert " ".join(line.split("  ")[-1].strip() for line in lines[1:-1]) == said.strip()
    assert lines[2].startswith(" " * 12 + "because")
    assert lines[-1] == "h.1.weight  short"
    assert max(map(len, lines)) <= 120


def test_curves_are_rows_of_blocks_on_one_axis():
    falling, flat = (1.0, 0.1, 0.01, None), (0.01, 0.01, 0.01, 1.0)
    text = render_text((Curves("std", "0", "3", (Curve("falling", *[falling] * 3), Curve("flat", *[flat] * 3))),))
    head, one, other = text.splitlines()
    assert head == "std, 0.01 to 1 on a logarithmic axis, from 0 to 3"
    assert one.split("  ")[-1] == "█▅▁"
    assert other.split() == ["flat", "▁▁▁█"]
