"""The SHA-256 that lies beside a file, or that a hub's cache names it by, is compared before anything is loaded."""

from __future__ import annotations

import subprocess

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint.folder import folder
from nnwidgets.formatting import inert
from tests.support.saved_files import names, same, sha256_of

OTHER = "0" * 64


def net():
    return nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))


def side_of(file):
    return file.with_name(f"{file.name}.sha256")


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "net.safetensors"
    save_file(net().state_dict(), made)
    return made


def refused(path):
    """What a load says that refuses a file and leaves the model as it was; `read` says the same."""
    model = net()
    old = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(nnw.CorruptCheckpointError) as caught:
        nnw.load(model, path)
    assert same(dict(model.state_dict()), old)
    with pytest.raises(nnw.CorruptCheckpointError) as read:
        nnw.read(path)
    assert str(read.value) == str(caught.value)
    return str(caught.value)


def loads(path):
    return nnw.load(net(), path).verified and len(nnw.read(path)) == 4


def flip_last_bit(file):
    held = bytearray(file.read_bytes())
    held[-1] ^= 1
    file.write_bytes(held)


def sha256sum(folder, *files, flags=()):
    done = subprocess.run(["sha256sum", *flags, *files], cwd=folder, capture_output=True, check=True)
    return done.stdout


@pytest.mark.parametrize("flags", [(), ("--binary",)])
@pytest.mark.parametrize("name", ["net.safetensors", "a net's.bin", "back\\slash.pt", "new\nline.pt"])
def test_what_sha256sum_writes_of_any_name_is_understood(file, name, flags):
    file = file.rename(file.with_name(name))
    side_of(file).write_bytes(sha256sum(file.parent, name, flags=flags))
    assert loads(file)
    assert nnw.peek(file).departures == ()
    flip_last_bit(file)
    assert "says" in refused(file)


def test_the_message_says_which_file_what_was_found_what_is_said_and_what_to_do(file):
    side_of(file).write_text(f"{OTHER}  {file.name}\n")
    said = refused(file)
    for part in (f"{file.name} isn't what it was", sha256_of(file), f"{side_of(file).name} beside it says {OTHER}"):
        assert part in said
    assert "Get it again" in said
    assert f"remove {side_of(file).name}" in said


LISTS = {
    "digits alone": "{right}",
    "digits alone, upper case": "{RIGHT}\r\n",
    "several files": "{wrong}  a.bin\n{right}  net.safetensors\n{wrong} *b.bin\n",
    "a path": "{right}  models/net.safetensors\n",
    "a path beside the name": "{wrong}  old/net.safetensors\n{right}  net.safetensors\n",
    "empty lines": "\n\n{right}  net.safetensors\n\n",
    "a heading": "# checksums\n{right}  net.safetensors\n",
}


@pytest.mark.parametrize("form", LISTS)
def test_the_line_about_the_file_is_taken(file, form):
    def write(right, wrong):
        side_of(file).write_text(LISTS[form].format(right=right, RIGHT=right.upper(), wrong=wrong))

    write(sha256_of(file), OTHER)
    assert loads(file)
    assert nnw.peek(file).departures == ()
    write(OTHER, sha256_of(file))
    assert OTHER in refused(file)


UNKNOWN = {
    "another file": (f"{OTHER}  other.bin\n", "is about other files"),
    "nothing": ("", "has no SHA-256"),
    "another algorithm": ("0" * 32 + "  net.safetensors\n", "has no SHA-256"),
    "no digits": ("g" * 64 + "  net.safetensors\n", "has no SHA-256"),
    "text": ("see the web page\n", "has no SHA-256"),
    "two digests": (f"{OTHER}  net.safetensors\n{'1' * 64}  net.safetensors\n", "several checksums"),
    "two paths": (f"{OTHER}  a/net.safetensors\n{'1' * 64}  b/net.safetensors\n", "several checksums"),
    "digits alone, twice": (f"{OTHER}\n{'1' * 64}\n", "is about other files"),
}


@pytest.mark.parametrize("form", UNKNOWN)
def test_a_side_file_that_is_not_understood_is_told_and_otherwise_ignored(file, form):
    text, says = UNKNOWN[form]
    side_of(file).write_text(text)
    assert loads(file)
    (warning,) = nnw.load(net(), file).warnings
    assert warning.startswith(side_of(file).name)
    assert says in warning


def test_a_name_without_room_for_the_ending_has_no_side_file(file):
    file = file.rename(file.with_name("n" * 250))
    assert loads(file)
    assert nnw.peek(file).departures == ()


def test_headers_are_shown_without_reading_the_rest(file):
    side_of(file).write_text(f"{OTHER}  {file.name}\n")
    assert len(nnw.peek(file).tensors) == 4
    assert nnw.plan(net(), file).is_exact
    assert nnw.peek(file).departures == ()


def test_a_damaged_file_that_does_not_fit_is_said_to_be_damaged(file):
    side_of(file).write_bytes(sha256sum(file.parent, file.name))
    file.write_bytes(file.read_bytes().replace(b"0.weight", b"0.wdight"))
    with pytest.raises(nnw.CorruptCheckpointError, match=r"isn't what it was"):
        nnw.load(net(), file)


def test_a_sound_file_that_does_not_fit_is_still_said_not_to_fit(file):
    side_of(file).write_bytes(sha256sum(file.parent, file.name))
    with pytest.raises(nnw.CheckpointMismatchError):
        nnw.load(nn.Linear(2, 2), file)


def test_side_files_are_listed_as_no_checkpoints(file):
    side_of(file).write_bytes(sha256sum(file.parent, file.name))
    assert [(each.name, each.kind) for each in folder(file.parent).entries] == [
        ("net.safetensors", "checkpoint"),
        ("net.safetensors.sha256", "other"),
    ]


@pytest.fixture
def cached(tmp_path):
    """A file in a hub's cache, and the link to it in a snapshot."""
    hub = tmp_path / "models--a--b"
    (hub / "blobs").mkdir(parents=True)
    (hub / "snapshots" / "main").mkdir(parents=True)
    save_file(net().state_dict(), hub / "blobs" / "new")
    blob = (hub / "blobs" / "new").rename(hub / "blobs" / sha256_of(hub / "blobs" / "new"))
    link = hub / "snapshots" / "main" / "model.safetensors"
    link.symlink_to(f"../../blobs/{blob.name}")
    return link, blob


def test_a_hubs_cache_names_its_files_by_their_checksum(cached):
    link, blob = cached
    assert loads(link)
    assert loads(link.parent)
    assert loads(blob)
    flip_last_bit(blob)
    for path in (link, link.parent, blob):
        said = refused(path)
        assert f"its name in the hub's cache says {blob.name}" in said
        assert "download it again" in said


def test_a_blob_that_is_named_by_something_else_is_not_compared(cached):
    link, blob = cached
    link.unlink()
    flip_last_bit(blob)
    link.symlink_to(f"../../blobs/{blob.rename(blob.with_name(blob.name[:40])).name}")
    assert loads(link)


def test_nothing_is_saved_into_a_hubs_cache(cached):
    link, blob = cached
    with pytest.raises(nnw.SaveError, match="hub's cache"):
        nnw.save(net(), link, overwrite=True)
    assert sha256_of(blob) == blob.name


@pytest.mark.parametrize("place", ["link", "target"])
def test_beside_a_link_and_beside_its_target_it_is_looked_for(file, place):
    link = file.with_name("latest.safetensors")
    link.symlink_to(file.name)
    beside = link if place == "link" else file
    side_of(beside).write_text(f"{OTHER}  {beside.name}\n")
    refused(link)
    renew(nnw.save(net(), link, overwrite=True))
    assert loads(link)
    assert side_of(beside).read_text() == f"{sha256_of(file)}  {beside.name}\n"


class StopError(Exception):
    pass


@pytest.mark.parametrize("path", ["net.safetensors", "shards/"])
def test_a_load_tells_how_far_the_hashing_is_and_can_be_cancelled_in_it(tmp_path, path):
    model, other = (nn.Sequential(nn.Linear(1_000, 5_000), nn.Linear(5_000, 10)) for _ in range(2))
    report = nnw.save(other, tmp_path / path, shard_size=10**6 if path.endswith("/") else None)
    for each in report.paths:
        side_of(tmp_path / each).write_text(f"{sha256_of(tmp_path / each)}\n")
    old = {name: value.clone() for name, value in model.state_dict().items()}
    told = []
    nnw.load(model, tmp_path / path, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert len({total for _, total in told}) == 1
    assert told[-1][0] == told[-1][1]
    n_hashed = sum((tmp_path / each).stat().st_size for each in report.paths)
    # Hashed, compared with the checksums within, read, and compared.
    assert told[-1][1] == n_hashed + 3 * sum(value.nbytes for value in old.values())
    nnw.undo(model)
    moments = [number for number, (done, _) in enumerate(told) if done <= n_hashed]
    assert len(moments) > 1
    for moment in moments:
        seen = iter(range(moment))

        def stop(_done, _total, seen=seen):
            if next(seen, None) is None:
                raise StopError

        with pytest.raises(StopError):
            nnw.load(model, tmp_path / path, progress=stop)
        assert same(dict(model.state_dict()), old)


def command_in(report):
    """The command of a report's only warning, which says that a sum is stale."""
    (warning,) = report.warnings
    return warning.partition(": ")[2]


def renew(report):
    done = subprocess.run(command_in(report), shell=True, capture_output=True, text=True, check=True)  # noqa: S602 - as a user would
    return done.stdout


@pytest.mark.parametrize("advice", ["renew", "remove"])
@pytest.mark.parametrize("name", ["net.safetensors", "net.pt", "a net's.pt", "new\nline.pt"])
def test_a_sum_beside_a_file_that_is_replaced_is_told_to_be_stale_and_refuses_it_until_the_advice_is_taken(
    tmp_path, name, advice
):
    file = tmp_path / name
    nnw.save(net(), file)
    side_of(file).write_bytes(sha256sum(tmp_path, name))
    before = side_of(file).read_bytes()
    report = nnw.save(net(), file, overwrite=True)
    (warning,) = report.warnings
    assert warning.startswith(f"{name}.sha256 has the SHA-256 of what {name} was before")
    assert "Remove it, or renew it" in warning
    assert side_of(file).read_bytes() == before
    assert f"remove {inert(name)}.sha256" in refused(file)
    if advice == "renew":
        assert renew(report) == ""
        assert side_of(file).read_bytes() == sha256sum(tmp_path, name)
    else:
        side_of(file).unlink()
    assert loads(file)
    assert nnw.load(net(), file).warnings == ()
    assert names(tmp_path) == sorted([name, f"{name}.sha256"] if advice == "renew" else [name])


@pytest.mark.parametrize(
    "before",
    [
        f"# all\n{OTHER}  a.bin\nLINE\n{OTHER} *b.bin\n",
        f"{OTHER}  a.bin\nLINE\n",
    ],
)
@pytest.mark.parametrize("advice", ["renew", "remove"])
def test_of_a_list_of_sums_only_the_line_about_the_file_is_told_to_be_stale(file, before, advice):
    side_of(file).write_text(before.replace("LINE", f"{OTHER}  {file.name}"))
    report = nnw.save(net(), file, overwrite=True)
    assert "Remove that line, or let it be what this prints" in report.warnings[0]
    refused(file)
    line = renew(report).strip() if advice == "renew" else ""
    side_of(file).write_text(before.replace("LINE", line))
    assert loads(file)


@pytest.mark.parametrize("text", [f"{OTHER}  other.bin\n", "notes\n", ""])
def test_a_side_file_that_says_nothing_of_the_file_is_not_told_to_be_stale(file, text):
    side_of(file).write_text(text)
    assert nnw.save(net(), file, overwrite=True).warnings == ()
    assert side_of(file).read_text() == text
    assert loads(file)


def test_a_sum_left_of_a_file_that_is_gone_is_stale_too(file):
    side_of(file).write_text(f"{OTHER}\n")
    file.unlink()
    report = nnw.save(net(), file)
    refused(file)
    renew(report)
    assert loads(file)


def test_a_sum_of_an_index_that_is_replaced_is_stale_too(tmp_path):
    report = nnw.save(net(), tmp_path / "it", shard_size=10_000)
    index = tmp_path / report.paths[-1]
    side_of(index).write_bytes(sha256sum(index.parent, index.name))
    report = nnw.save(net(), tmp_path / "it", shard_size=10_000, overwrite=True)
    refused(tmp_path / "it")
    renew(report)
    assert loads(tmp_path / "it")


def test_no_side_file_is_made_where_none_was(tmp_path):
    nnw.save(net(), tmp_path / "net.pt")
    nnw.save(net(), tmp_path / "net.pt", overwrite=True)
    assert names(tmp_path) == ["net.pt"]


def test_a_save_that_fails_leaves_the_side_file_as_it_was(file):
    side_of(file).write_bytes(sha256sum(file.parent, file.name))
    before = side_of(file).read_bytes()
    with pytest.raises(nnw.SaveError, match="is there already"):
        nnw.save(net(), file)
    with pytest.raises(nnw.NNWidgetsError):
        nnw.save({"x": object()}, file, overwrite=True)
    assert side_of(file).read_bytes() == before
    assert loads(file)


def test_tensors_on_their_own_are_compared_too(tmp_path):
    torch.save({"x": torch.arange(9.0)}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    side_of(tmp_path / "x.pt").write_bytes(sha256sum(tmp_path, "x.pt"))
    assert torch.equal(nnw.read(tmp_path / "x.pt")["x"], torch.arange(9.0))
