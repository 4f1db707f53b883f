"""Reading a tensor for statistics: progress, cancelling, samples, and everything left as it was."""

import math

import pytest
import torch

from nnwidgets.introspect.heatmap.window import window
from nnwidgets.introspect.statistics.exact_stats import CancelledError, exact_stats, version
from nnwidgets.introspect.statistics.sampling import sampled_stats
from nnwidgets.introspect.statistics.stats import stats


def test_progress_ends_at_all_elements_and_never_goes_back():
    calls = []
    exact_stats(torch.randn(3_000_000), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (3_000_000, 3_000_000)
    assert calls == sorted(calls)


def test_progress_counts_every_element_of_every_layout():
    for tensor in (
        torch.ones(5).expand(7, 5),
        torch.eye(9).to_sparse(),
        torch.randn(8, 9).t()[::2],
        torch.ones(3, 3).half(),
    ):
        calls = []
        exact_stats(tensor, progress=lambda done, total, calls=calls: calls.append((done, total)))
        assert calls == [(tensor.numel(), tensor.numel())]


def test_cancelling_stops_after_the_block_in_hand():
    asked = []

    def enough():
        asked.append(True)
        return len(asked) == 2

    with pytest.raises(CancelledError, match=r"Stopped after \d+ of 9000000 elements") as caught:
        exact_stats(torch.randn(9_000_000), cancelled=enough)
    assert caught.value.code == "cancelled"
    assert len(asked) == 2


def test_a_sample_is_the_same_each_time_and_says_it_is_one():
    tensor = torch.randn(1_000_000)
    first, second = sampled_stats(tensor), stats(tensor, exact=False)
    assert first == second
    assert first.n == 65_536
    assert not first.is_exact
    assert first.min >= stats(tensor).min


def test_a_sample_of_a_small_tensor_is_all_of_it():
    for tensor in (torch.randn(65_536), torch.randn(40, 30).t(), torch.ones(3).expand(5, 3), torch.eye(20).to_sparse()):
        sampled, whole = sampled_stats(tensor), stats(tensor)
        assert sampled.is_exact
        assert (sampled.n, sampled.hist_counts, sampled.n_zero) == (whole.n, whole.hist_counts, whole.n_zero)
        assert sampled.std == pytest.approx(whole.std, rel=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: x.t(),
        lambda x: x[:, ::3],
        lambda x: x.bfloat16(),
        lambda x: x.double(),
        lambda x: x.to(torch.complex64).imag + x,
        lambda x: torch._make_per_channel_quantized_tensor(
            (x * 30).to(torch.int8), torch.full((2000,), 1 / 30), torch.zeros(2000, dtype=torch.int64), 1
        ),
        lambda x: x.to(torch.float8_e4m3fn),
    ],
)
def test_a_sample_is_near_the_whole(make):
    torch.manual_seed(0)
    tensor = make(torch.randn(2000, 2000) * 0.5 + 1)
    sampled, exact = sampled_stats(tensor), stats(tensor)
    assert sampled.n == 65_536
    assert sampled.mean == pytest.approx(exact.mean, abs=0.02)
    assert sampled.std == pytest.approx(exact.std, rel=0.03)


def test_a_sample_meets_every_row_and_column_stripe():
    tensor = torch.zeros(4096, 4096)
    tensor[:, ::2] = 1
    assert sampled_stats(tensor).mean == pytest.approx(0.5, abs=0.02)
    tensor = torch.zeros(4096, 4096)
    tensor[::2] = 1
    assert sampled_stats(tensor).mean == pytest.approx(0.5, abs=0.06)


def test_a_sparse_sample_keeps_the_share_of_zeros():
    indices = torch.randint(0, 10_000, (2, 300_000))
    sparse = torch.sparse_coo_tensor(indices, torch.ones(300_000), (10_000, 10_000)).coalesce()
    found = sampled_stats(sparse)
    assert found.n == 65_536
    assert found.n_zero / found.n == pytest.approx(1 - sparse.values().numel() / 1e8, abs=1e-4)
    assert found.max >= 1.0


def test_reading_draws_no_random_number_bumps_no_version_and_tracks_nothing():
    state = torch.get_rng_state()
    parameter = torch.nn.Parameter(torch.randn(300, 300, generator=torch.Generator().manual_seed(1)))
    before = parameter._version, parameter.clone()
    for read in (stats, sampled_stats, window):
        read(parameter)
    assert torch.equal(torch.get_rng_state(), state)
    assert parameter._version == before[0]
    assert torch.equal(parameter, before[1])
    assert parameter.grad is None


def test_a_tensor_that_is_changed_has_another_version():
    tensor = torch.zeros(3)
    before = version(tensor)
    tensor.add_(1)
    assert version(tensor) != before
    with torch.inference_mode():
        assert version(torch.zeros(3)) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_surroundings_change_nothing(dtype):
    tensor = (torch.arange(600_000) % 1000 - 300).to(dtype)
    expected = stats(tensor)
    with torch.autocast("cpu"), torch.device("meta"), torch.inference_mode():
        assert stats(tensor) == expected
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert stats(tensor) == expected
    finally:
        torch.set_default_dtype(default)


def test_statistics_of_a_tensor_being_written_still_add_up():
    import threading

    tensor = torch.randn(2_000_000)
    stop = threading.Event()

    def train():
        scale = 1.0
        while not stop.is_set():
            scale = 1e6 / scale
            tensor.mul_(scale)
            tensor[::1000] = math.nan
            tensor.nan_to_num_()

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(10):
            found = stats(tensor)
            assert found.n == 2_000_000
            assert sum(found.hist_counts) + found.n_nan + found.n_inf == 2_000_000
            assert min(found.hist_counts, default=0) >= 0  # none where all is infinite at that moment
            assert len(found.hist_counts) <= 64
    finally:
        stop.set()
        thread.join()
