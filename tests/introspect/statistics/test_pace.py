"""Blocks are read by all threads or by one, whichever was faster of late, and each element once either way."""

import torch

from nnwidgets.introspect.pace import ALONE, Pace


class Clock:
    """A machine on which a block takes what its number of parts costs."""

    def __init__(self, together, alone):
        self.now, self.together, self.alone = 0.0, together, alone

    def __call__(self):
        return self.now

    def read(self, pace, n=1_000_000):
        sizes = []
        for part in pace.parts(torch.empty(n)):
            sizes.append(part.numel())
            self.now += part.numel() * (self.together if part.numel() > ALONE else self.alone)
        assert sum(sizes) == n
        return len(sizes) == 1


def ways(monkeypatch, together, alone, blocks):
    clock = Clock(together, alone)
    monkeypatch.setattr("time.perf_counter", clock)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    pace = Pace(torch.device("cpu"))
    return [clock.read(pace) for _ in range(blocks)], pace, clock


def test_an_idle_machine_shares_every_block(monkeypatch):
    assert all(ways(monkeypatch, 1e-9, 2e-9, 100)[0])


def test_a_busy_machine_is_left_to_its_work_but_for_a_rare_trial(monkeypatch):
    chosen = ways(monkeypatch, 200e-9, 20e-9, 200)[0]
    assert sum(chosen) <= 5


def test_a_slow_machine_that_shares_better_still_shares(monkeypatch):
    chosen = ways(monkeypatch, 5e-9, 9e-9, 200)[0]
    assert sum(chosen) >= 190


def test_a_machine_that_calms_down_is_shared_again(monkeypatch):
    _, pace, clock = ways(monkeypatch, 200e-9, 20e-9, 10)
    clock.together, clock.alone = 1e-9, 2e-9
    assert all([clock.read(pace) for _ in range(200)][-100:])


def test_one_thread_has_nothing_to_choose(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    block = torch.empty(1_000_000)
    assert [part.numel() for part in Pace(torch.device("cpu")).parts(block)] == [1_000_000]
