"""Quick answers leave the other cores to whoever has them."""

from __future__ import annotations

import sys
import threading

import pytest
import torch

from nnwidgets.introspect.statistics.exact_stats import exact_stats
from nnwidgets.introspect.statistics.threads import single_thread

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or torch.get_num_threads() == 1, reason="needs torch's OpenMP and two cores"
)


def test_only_this_thread_works_by_itself_and_only_meanwhile():
    n_threads = torch.get_num_threads()
    elsewhere = []
    with single_thread():
        assert torch.get_num_threads() == 1
        other = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
        other.start()
        other.join()
    assert torch.get_num_threads() == n_threads
    assert elsewhere == [n_threads]


def test_an_error_ends_it():
    n_threads = torch.get_num_threads()
    with pytest.raises(ValueError, match="stop"), single_thread():
        raise ValueError("stop")
    assert torch.get_num_threads() == n_threads


def test_another_thread_comes_back_to_its_own_number():
    found = []

    def work():
        with single_thread():
            torch.ones(200_000).sum()
        found.append(torch.get_num_threads())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [torch.get_num_threads()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int8])
def test_each_element_is_read_once_by_one_thread_while_a_cell_runs_and_by_all_otherwise(dtype):
    tensor = torch.arange(3_000_000).remainder(100).to(dtype)
    n_threads, used, reported = torch.get_num_threads(), [], []

    def take(times):
        answers = iter(times)
        return lambda: next(answers, False)

    def note(*_):
        used.append(torch.get_num_threads())
        return False

    for busy in ([], [True] * 1000, [True, False] * 500):
        found = exact_stats(tensor, progress=lambda *told: reported.append(told), cancelled=note, is_busy=take(busy))
        assert found == exact_stats(tensor)
        assert reported[-1] == (3_000_000, 3_000_000)
        is_asked, used_now = iter(busy), used.copy()
        assert all(n == (1 if next(is_asked, False) else n_threads) for n in used_now)
        assert torch.get_num_threads() == n_threads
        used.clear()
