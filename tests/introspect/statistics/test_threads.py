"""Quick answers leave the other cores to whoever has them."""

from __future__ import annotations

import sys
import threading

import pytest
import torch

from nnwidgets.introspect.statistics.threads import alone

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or torch.get_num_threads() == 1, reason="needs torch's OpenMP and two cores"
)


def test_only_this_thread_works_alone_and_only_meanwhile():
    n_threads = torch.get_num_threads()
    elsewhere = []
    with alone():
        assert torch.get_num_threads() == 1
        other = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
        other.start()
        other.join()
    assert torch.get_num_threads() == n_threads
    assert elsewhere == [n_threads]


def test_an_error_ends_it():
    n_threads = torch.get_num_threads()
    with pytest.raises(ValueError, match="stop"), alone():
        raise ValueError("stop")
    assert torch.get_num_threads() == n_threads


def test_another_thread_comes_back_to_its_own_number():
    found = []

    def work():
        with alone():
            torch.ones(200_000).sum()
        found.append(torch.get_num_threads())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [torch.get_num_threads()]
