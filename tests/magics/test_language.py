"""What the kernel says in Chinese, once `language("zh")` was called: findings, warnings, errors, and tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets import sentences
from nnwidgets.server.handle import handle
from tests.support.ipython_shell import shell

I18N = Path(__file__).parents[2] / "js" / "src" / "i18n"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENGLISH = re.compile(r"(?<![\w.%'\"(-])[a-z]{2,} [a-z]{2,}(?: [a-z]+)*")
"""Two English words that follow each other, which names don't."""


def english_in(told):
    """What is left of it, lines of %nn, code and what others' errors say aside."""
    spoken = re.sub(
        r"%nn[ \w.]+|state dict|(?m:^    .*$)|用法：.*|异常：[^。]*|适合[^。]*out of bounds[^。]*", " ", told
    )
    return ENGLISH.findall(re.sub("<pre.*?</pre>|<[^>]*>", " ", spoken, flags=re.DOTALL))


@pytest.fixture(scope="module")
def ip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language")
    parts = [json.loads((I18N / f"{name}.json").read_text(encoding="utf-8")) for name in ("zh-sentences", "zh-tables")]
    (folder / "zh.json").write_text(json.dumps(parts[0] | parts[1]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, shell() as ip:
        patch.setattr(sentences, "_CATALOGUE", folder / "zh.json")
        patch.chdir(folder)
        torch.manual_seed(0)
        deep = nn.Sequential(*(each for _ in range(20) for each in (nn.Linear(32, 32), nn.Tanh())), nn.Linear(32, 4))
        nnw.init(deep, "Linear.bias", "zeros")
        ip.variables.update(net=deep, X=torch.randn(64, 32), y=torch.randint(4, (64,)), nn=nn, torch=torch)
        torch.save({"weight": torch.zeros(2), "extra": Payload()}, "unsafe.pt")
        nnw.save(deep, "net.params")
        nnw.save(nn.Linear(3, 3), "other.params")
        yield ip


class Payload:
    def __reduce__(self):
        return print, ("run",)


@pytest.fixture
def chinese(ip):
    assert nnw.language("zh") == nnw.language() == "zh"
    yield ip
    nnw.language("en")


MISTAKES = {
    "a name that isn't there": "tree nett",
    "no model": "tree X",
    "a path that isn't there": "init net 9.weight zeros_",
    "an initializer that isn't there": "init net 0.weight xaver_uniform_",
    "an index beyond the shape": "set net 0.weight[0, 99] = 1",
    "a value of another shape": "set net 0.weight = X",
    "a file that isn't there": "load net nothere.pt",
    "a file that would run code": "load net unsafe.pt",
    "a file that doesn't fit": "load net other.params",
    "a file that is there already": "save net net.params",
    "a loss that isn't there": "activations net X --loss q",
    "no subcommand": "trce net X",
    "an option that isn't there": "tree net --deep 2",
    "too many words": "undo net again",
    "nothing named": "init net",
    "nothing to undo": "redo net",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_common_mistake_on_a_line_is_told_in_chinese(chinese, mistake):
    told = chinese.refused(MISTAKES[mistake]).removeprefix("UsageError: ")
    assert CHINESE.search(told)
    assert english_in(told) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda net: nnw.tree(3),
        lambda net: nnw.activations(net, torch.ones(2, 32), loss="mse"),
        lambda net: nnw.activations(net, torch.ones(2, 32), loss=("l2_loss", torch.ones(2, 4))),
        lambda net: nnw.init(net, "0.bias", "xavier_uniform_"),
        lambda net: nnw.load(net, "unsafe.pt"),
        lambda net: nnw.trace(nn.LazyLinear(3), torch.ones(2, 2)),
        lambda net: nnw.language("xx"),
    ],
)
def test_an_error_reads_in_chinese_and_is_english_for_programs(chinese, call):
    with pytest.raises(nnw.NNWidgetsError) as raised:
        call(chinese.variables["net"])
    assert CHINESE.search(str(raised.value))
    assert not CHINESE.search(raised.value.message + raised.value.hint)


@pytest.mark.parametrize(
    ("std", "codes"),
    [("0.01", ("vanishing-signal", "vanishing-gradient")), ("1", ("saturated",))],
)
def test_a_run_through_the_layers_is_told_in_chinese(chinese, std, codes):
    chinese.nn(f"init net Linear.weight normal_ std={std} --seed 1")
    text = chinese.nn("activations net X --loss y")
    assert "输出" in text
    assert "梯度标准差" in text
    assert all(f"[{code}]" in text for code in codes)
    assert "42 次调用 · 损失" in text
    assert english_in(text) == []


def test_findings_and_warnings_of_changes_are_told_in_chinese_in_text_and_html(chinese):
    ran = chinese.run("%nn init net Linear.weight constant_ val=0.5")
    for told in (ran.text, ran.html[0], chinese.nn("check net"), str(nnw.check(chinese.variables["net"]))):
        assert "警告" in told
        assert CHINESE.search(told)
        assert english_in(told) == []
    chinese.nn("undo net")


def test_the_page_is_told_in_english_which_it_has_its_own_words_for(chinese):
    opened = handle({"v": 1, "id": "1", "kind": "open", "body": {"model": "nett"}})
    assert not CHINESE.search(json.dumps(opened, ensure_ascii=False))


def test_a_long_chinese_sentence_is_broken_between_its_characters_and_nothing_is_lost(chinese):
    finding = nnw.Finding(
        "symmetric-units", "warning", "0", SYMMETRIC + f" The same at 12 more places: {'x.' * 40} … y."
    )
    first, *lines = str(finding).split("\n")
    assert first == "▲ 警告 0"
    assert len(lines) > 1
    assert "训练会使它们一直相同。另有 12 处相同：" in "".join(line.strip() for line in lines)


SYMMETRIC = "All of its units have the same weights and get the same gradient: training keeps them alike."


def test_english_is_as_it_stands_before_and_afterwards(ip):
    nnw.language("zh")
    assert nnw.language("en") == "en"
    assert ip.refused("tree nett").endswith("No variable 'nett'; did you mean net?")
    assert nnw.Finding("symmetric-units", "warning", "0", SYMMETRIC).message == SYMMETRIC


def test_without_the_words_of_the_built_page_it_stays_english_and_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(sentences, "_CATALOGUE", tmp_path / "zh.json")
    with pytest.raises(nnw.NNWidgetsError, match="make build"):
        nnw.language("zh")
    assert nnw.language() == "en"
