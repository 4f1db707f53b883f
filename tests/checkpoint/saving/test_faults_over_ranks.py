"""Saves and loads over four processes in odd situations, all in one set of processes: slow, stopped, full, outside."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint.saving.over_ranks import distributed_folder, save_folder, save_slices, save_together
from nnwidgets.checkpoint.saving.over_ranks.turn import Turn
from nnwidgets.checkpoint.writing.atomic_file import TargetDirectory
from tests.support.gloo import on_ranks
from tests.support.spread_models import mlp, small
from tests.support.stacks import needs_torch

pytestmark = needs_torch("distributed.fsdp.fully_shard")

ROOT = "NNW_FAULTS_OVER_RANKS"
PATIENCE = 1.0


@contextmanager
def replaced(place, name, value, *, on=True):
    real = getattr(place, name)
    if on:
        setattr(place, name, value(real))
    try:
        yield
    finally:
        setattr(place, name, real)


def slow_once(seconds=2.5 * PATIENCE):
    """The first call takes long."""
    left = [seconds]

    def made(real):
        def call(*args):
            if left:
                time.sleep(left.pop())
            return real(*args)

        return call

    return made


@contextmanager
def few_files(most):
    """No more than so many may be opened beside those that are."""
    taken = {int(each.name) for each in Path("/proc/self/fd").iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    last = [number for number in range(len(taken) + most + 1) if number not in taken][most]
    resource.setrlimit(resource.RLIMIT_NOFILE, (last, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def told(call):
    """What a call on each rank says, when all are done."""
    dist.barrier()
    try:
        call()
        said = ""
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
    dist.barrier()
    return said


def faults(rank, world_size):
    from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor, Replicate, Shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    warnings.simplefilter("ignore")
    save_together.PATIENCE = PATIENCE
    root, found = os.environ[ROOT], {}
    net, ddp = fully_shard(mlp()), nn.parallel.DistributedDataParallel(mlp())
    flat, square = init_device_mesh("cpu", (4,)), init_device_mesh("cpu", (2, 2))
    cut = parallelize_module(small(16, 30, 5), flat, {"0": ColwiseParallel(), "1": RowwiseParallel()})

    def case(name, call):
        found[name] = told(call)

    def raising(error):
        def progress(done, total):
            if rank == 0:
                raise error

        return progress

    with replaced(os, "write", slow_once(), on=rank == 2):
        case("slow folder", lambda: nnw.save(net, f"{root}/slow/"))
    with replaced(os, "pwrite", slow_once(), on=rank == 2):
        case("slow slices", lambda: nnw.save(cut, f"{root}/slow.safetensors"))
    with replaced(os, "write", slow_once(), on=rank == 0):
        case("slow DDP", lambda: nnw.save(ddp, f"{root}/slow.pt"))

    def spoiling(real):
        def sync(fd):
            time.sleep(PATIENCE / 2)  # when the others have read theirs back, were that before all wrote
            os.pwrite(fd, b"\xff", os.fstat(fd).st_size - 1)
            real(fd)

        return sync

    with replaced(save_slices, "sync", spoiling, on=rank == 1):
        case("neighbour", lambda: nnw.save(fully_shard(small(16, 8)[0]), f"{root}/spoiled.safetensors"))

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000 if rank == 2 else soft, hard))
    case("too large", lambda: nnw.save(net, f"{root}/large/"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    many = fully_shard(small(*[8] * 13))
    with few_files(24 + 10):  # the first rank has them all; the folder, what it reads and where it writes beside
        case("many shards", lambda: nnw.save(many, f"{root}/many/", shard_size=1))
    case("no folder", lambda: nnw.save(net, f"{root}/there is/none/"))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with replaced(Turn, "open", slow_once(PATIENCE / 2), on=rank == 1):
        case("full", lambda: nnw.save(net, f"{root}/full/", progress=raising(full)))
    case("hangs", lambda: nnw.save(net, f"{root}/hangs/", progress=lambda *_: time.sleep(1.5 * (rank == 3))))

    def interrupted(real):
        def commit(*args, **options):
            real(*args, **options)
            raise KeyboardInterrupt

        return commit

    with replaced(save_folder, "commit", interrupted, on=rank == 0):
        case("interrupted", lambda: nnw.save(net, f"{root}/interrupted/"))

    if rank == 0:
        Path(f"{root}/torchs").mkdir()
        for name in ("__0_0.distcp", "__1_0.distcp"):  # of a save by torch that isn't done, or died
            Path(f"{root}/torchs/{name}").write_bytes(b"torch's")
    case("beside torch's", lambda: nnw.save(net, f"{root}/torchs/"))

    part = DTensor.from_local(
        torch.full((1 if rank < 3 else 0, 2), float(rank)), DeviceMesh("cpu", [0, 1, 2]), [Shard(0)], run_check=False,
        shape=(3, 2), stride=(2, 1),
    )  # fmt: skip
    case("outside", lambda: nnw.save({"w": part, "none": {}, "a": {"b": {}}}, f"{root}/outside/"))
    try:
        from torch.distributed.tensor.placement_types import _StridedShard
    except ImportError:
        found["strided"] = "SaveError: of which this rank has several runs"
    else:
        runs = DTensor.from_local(
            torch.zeros(6, 2), square, [_StridedShard(0, split_factor=3), Replicate()], run_check=False
        )
        case("strided", lambda: nnw.save({"w": runs}, f"{root}/strided/"))

    live = net[0].weight.detach().to_local()

    def changing(real):
        def crc32(data, so_far):
            made = real(data, so_far)
            live.add_(1)
            return made

        return crc32

    with replaced(distributed_folder, "crc32", changing, on=rank == 1):
        case("live", lambda: nnw.save(net, f"{root}/live/"))
    before = live.clone()
    if rank % 2 == 0:
        Path(f"{root}/side {rank}").mkdir()
        save_file({name: torch.full_like(each, rank) for name, each in mlp().state_dict().items()},
                  f"{root}/side {rank}/net.safetensors")  # fmt: skip
    dist.barrier()
    os.chdir(f"{root}/side {rank // 2 * 2}")  # as folders of one name on two machines
    case("other files", lambda: nnw.load(net, "net.safetensors"))
    os.chdir(root)
    found["unchanged"] = torch.equal(live, before)
    found["by two"] = read_by_two(rank, f"{root}/slow")
    return found


def read_by_two(rank, folder):
    """Whether plain torch reads in two processes what four have saved."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import distribute_tensor

    group, mesh = dist.new_group([0, 1]), DeviceMesh("cpu", [0, 1])
    if rank > 1:
        return True
    wanted = mlp().state_dict()
    held = {name: distribute_tensor(torch.zeros_like(each), mesh) for name, each in wanted.items()}
    dcp.load(held, checkpoint_id=folder, process_group=group)
    return all(torch.equal(each.full_tensor(), wanted[name]) for name, each in held.items())


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    root = tmp_path_factory.mktemp("faults")
    os.environ[ROOT] = str(root)
    return root, on_ranks(faults, seconds=300)


def texts(ranks, case):
    return [each[case] for each in ranks[1]]


def test_a_rank_whose_disk_is_slow_is_waited_for(ranks):
    for case in ("slow folder", "slow slices", "slow DDP"):
        assert texts(ranks, case) == [""] * 4, case
    assert torch.equal(nnw.read(ranks[0] / "slow.safetensors")["1.weight"], small(16, 30, 5)[1].weight)
    assert nnw.load(nn.ModuleDict({"module": mlp()}), ranks[0] / "slow.pt").verified


def test_plain_torch_reads_in_two_processes_what_four_saved(ranks):
    assert texts(ranks, "by two") == [True] * 4


def test_what_another_rank_writes_over_a_slice_is_found(ranks):
    *others, last = texts(ranks, "neighbour")
    assert last.startswith("SaveError: spoiled.safetensors was read back with other bytes than were written.")
    assert all("Rank 3 can't do it: spoiled.safetensors was read back" in each for each in others)
    assert not (ranks[0] / "spoiled.safetensors").exists()


def test_a_save_into_many_shards_holds_few_files_open(ranks):
    assert texts(ranks, "many shards") == [""] * 4
    assert len(list((ranks[0] / "many").glob("*.safetensors"))) == 24
    assert nnw.load(small(*[8] * 13), ranks[0] / "many").verified


WHY = {
    "too large": (2, "large couldn't be saved in {root!r}: file too large. The system allows no file that large;"),
    "no folder": (0, "folder couldn't be saved in '{root}/there is/none': no such file or directory. Make the folder"),
    "full": (0, "full couldn't be saved in {root!r}: no space left on device. Make room, or choose another disk;"),
}


@pytest.mark.parametrize("case", WHY)
def test_what_the_system_refuses_one_rank_all_are_told_with_what_to_do(case, ranks):
    on, why = WHY[case]
    why = why.format(root=str(ranks[0])).replace("folder couldn't", "none couldn't").replace("/none'", "'")
    for rank, said in enumerate(texts(ranks, case)):
        if rank == on:
            assert said.startswith(f"SaveError: {why}"), said
            assert said.endswith("Nothing was changed.")
        else:
            assert said.startswith(f"RankMissingError: Rank {on} can't do it: {why}"), said
            assert said.endswith("Nothing was saved, and what was there is as it was.")
    assert not list(ranks[0].rglob(".nnw-*"))


def test_a_rank_that_hangs_and_one_that_was_stopped_are_told_as_what_they_are(ranks):
    *others, last = texts(ranks, "hangs")
    assert "This one, rank 3, said nothing for 1." in last
    assert all("and rank 3 said nothing for 1." in each for each in others)
    first, *others = texts(ranks, "interrupted")
    assert first.startswith("KeyboardInterrupt")
    assert all("Rank 0 was stopped" in each and "was there before, or what was to be saved" in each for each in others)
    assert nnw.load(mlp(), ranks[0] / "interrupted").verified


def test_data_files_of_another_saver_stay_where_nothing_may_be_replaced(ranks):
    assert texts(ranks, "beside torch's") == [""] * 4
    assert [(ranks[0] / "torchs" / f"__{each}_0.distcp").read_bytes() for each in (0, 1)] == [b"torch's"] * 2
    assert nnw.load(mlp(), ranks[0] / "torchs").verified


def test_a_rank_outside_the_mesh_is_told_so_and_empty_dicts_are_kept(ranks):
    *inside, outside = texts(ranks, "outside")
    assert inside == [""] * 3
    assert "This rank, 3, has no part of what is to be saved: ranks 0–2 have all of it" in outside
    held = nnw.read(ranks[0] / "outside")
    assert held.pop("w").tolist() == [[0.0] * 2, [1.0] * 2, [2.0] * 2]
    assert held == {"none": {}, "a": {"b": {}}}


def test_a_tensor_of_which_a_rank_has_several_runs_is_refused(ranks):
    assert all(each.startswith("SaveError") and "several runs" in each for each in texts(ranks, "strided"))


def test_checksums_are_of_what_was_written_where_a_thread_writes_the_model_meanwhile(ranks):
    assert texts(ranks, "live") == [""] * 4
    assert nnw.load(mlp(), ranks[0] / "live").verified


def test_ranks_that_read_different_files_without_checksums_load_nothing(ranks):
    assert all(each.startswith("RanksDisagreeError") for each in texts(ranks, "other files"))
    assert texts(ranks, "unchanged") == [True] * 4


def test_whoever_dies_while_files_of_another_format_go_leaves_one_whole_checkpoint(ranks, tmp_path):
    """The first rank's steps are those of a process alone; one is forked off for each point at which it ends."""
    seen = set()
    folders = {number: tmp_path / str(number) for number in range(1, 9)}
    for folder in folders.values():
        shutil.copytree(ranks[0] / "slow", folder)
    subprocess.run([sys.executable, "-m", __name__, tmp_path, *map(str, folders)], check=True)
    for number, folder in folders.items():
        held = nnw.read(folder)
        values = {float(each) for tensor in held.values() for each in tensor.flatten()[:1]}
        seen.add(values == {7.0})
        assert values == {7.0} or same_as_saved(held), number
        nnw.save({"w": torch.ones(2)}, f"{folder}/", overwrite=True)
        assert len(list(folder.iterdir())) == 2, number
    assert True in seen


def same_as_saved(held):
    return all(torch.equal(each, held[name]) for name, each in mlp().state_dict().items())


def _end_at(number, folder):
    """Save over a folder, and end when so many of its files are to go."""
    left = [number]

    def ending(real):
        def remove(self, name):
            left[0] -= 1
            if not left[0]:
                os._exit(9)
            return real(self, name)

        return remove

    try:
        with replaced(TargetDirectory, "remove", ending):
            nnw.save({name: torch.full_like(each, 7.0) for name, each in mlp().state_dict().items()},
                     folder, overwrite=True, shard_size=2_000)  # fmt: skip
    finally:
        os._exit(0)


def _die(folder, numbers):
    """From a process with one thread: of another, a child may wait for a thread that it hasn't."""
    for number in numbers:
        pid = os.fork()
        if not pid:
            _end_at(int(number), folder / number)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    _die(Path(sys.argv[1]), sys.argv[2:])
