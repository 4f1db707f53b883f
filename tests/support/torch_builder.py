"""Files of torch's formats, put together from scratch byte by byte, so that any of them can be a lie."""

from __future__ import annotations

import struct
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field

MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True)
class Global:
    module: str
    name: str


class Call:
    """A call of a function by REDUCE."""

    def __init__(self, module, name, *args):
        self.function = Global(module, name)
        self.args = args


class Storage:
    """The persistent id of a storage, as zip files have it; legacy ones add that it is no view."""

    more = ()

    def __init__(self, kind="torch.FloatStorage", key="0", n=4, *more):
        self.id = ("storage", Global(*kind.rsplit(".", 1)), key, "cpu", n, *more)


@dataclass(frozen=True)
class Raw:
    """Opcodes as they are."""

    code: bytes


HOOKS = Call("collections", "OrderedDict")


def tensor(storage=None, first=0, shape=(4,), strides=(1,), *, grad=False, hooks=HOOKS, more=()):
    return Call("torch._utils", "_rebuild_tensor_v2", storage or Storage(), first, shape, strides, grad, hooks, *more)


def opcodes(value):
    """What pushes a value on the stack."""
    return PUSHES[type(value)](value)


def whole_number(value):
    n_bytes = (value.bit_length() + 8) // 8
    return b"\x8a" + bytes([n_bytes]) + value.to_bytes(n_bytes, "little", signed=True)


def together(values):
    return b"".join(map(opcodes, values))


PUSHES = {
    Raw: lambda each: each.code,
    Global: lambda each: f"c{each.module}\n{each.name}\n".encode(),
    Call: lambda each: opcodes(each.function) + opcodes(tuple(each.args)) + b"R",
    Storage: lambda each: opcodes(each.id if len(each.id) > 5 else each.id + Storage.more) + b"Q",
    type(None): lambda _: b"N",
    bool: lambda each: b"\x88" if each else b"\x89",
    int: whole_number,
    float: lambda each: b"G" + struct.pack(">d", each),
    str: lambda each: b"X" + struct.pack("<I", len(each.encode())) + each.encode(),
    tuple: lambda each: b"(" + together(each) + b"t",
    list: lambda each: b"](" + together(each) + b"e",
    dict: lambda each: b"}(" + together(one for pair in each.items() for one in pair) + b"u",
}


def pickled(value):
    return b"\x80\x02" + opcodes(value) + b"."


@dataclass
class Member:
    """A file within a zip file; what is given beside name and bytes stands in its headers instead of the truth."""

    name: str
    held: bytes
    method: int = 0
    flags: int = 0x808
    attributes: int = 0
    crc: int | None = None
    n_bytes: int | None = None
    packed: int | None = None
    offset: int | None = None
    extra: bytes = b""
    local: dict = field(default_factory=dict)

    @property
    def truth(self):
        told = zlib.crc32(self.held) if self.crc is None else self.crc
        n = len(self.held) if self.n_bytes is None else self.n_bytes
        return told, n if self.packed is None else self.packed, n


def zip_file(members, *, before=b"", between=b"", after=b"", end=None, n=None, directory=None):
    """The bytes of a zip file."""
    made, central = before, b""
    for each in members:
        at = len(made)
        name = each.name.encode("utf-8", "surrogateescape")
        local_name = each.local.get("name", name)
        flags, method = each.local.get("flags", each.flags), each.local.get("method", each.method)
        sizes = each.local.get("sizes", (0, 0, 0) if flags & 8 else each.truth)
        pad = -(at + 30 + len(local_name) + 4) % 64
        extra = each.local.get("extra", b"FB" + struct.pack("<H", pad) + b"Z" * pad)
        made += struct.pack("<4s5H3L2H", b"PK\x03\x04", 0, flags, method, 0, 0, *sizes, len(local_name), len(extra))
        made += local_name + extra + each.held
        if flags & 8:
            crc, packed, size = each.truth
            made += each.local.get(
                "after", struct.pack("<4s3L", b"PK\x07\x08", crc, packed & 0xFFFFFFFF, size & 0xFFFFFFFF)
            )
        central += struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", 0, 0, each.flags, each.method, 0, 0, *each.truth, len(name),
            len(each.extra), 0, 0, 0, each.attributes, at if each.offset is None else each.offset,
        )  # fmt: skip
        central += name + each.extra
        made += between
    start = len(made)
    made += central if directory is None else directory
    n = len(members) if n is None else n
    made += (
        struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, n, n, len(central), start, 0)
        if end is None
        else end(start, central)
    )
    return made + after


def torch_members(content, storages=(), **more):
    """The members of a file of torch.save; ``content`` may be a pickle's bytes."""
    data = content if type(content) is bytes else pickled(content)
    kept = dict(storages or {"0": bytes(range(16))})
    made = {"data.pkl": data, "byteorder": b"little", "version": b"3\n"}
    made |= {f"data/{key}": held for key, held in kept.items()}
    return [
        more.get(name.replace("/", "_").replace(".", "_")) or Member(f"it/{name}", held) for name, held in made.items()
    ]


def torch_zip(content, storages=()):
    return zip_file(torch_members(content, storages))


@contextmanager
def in_legacy_files():
    """What is put together meanwhile refers to storages as legacy files do."""
    Storage.more = (None,)
    try:
        yield
    finally:
        Storage.more = ()


def torch_legacy(content, storages=(), *, keys=None):
    """The bytes of a file of torch.save before 1.6; storages are numbers of elements and bytes by key."""
    kept = dict(storages or {"0": (4, bytes(range(16)))})
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    with in_legacy_files():
        data = content if type(content) is bytes else pickled(content)
    made = pickled(MAGIC) + pickled(1001) + pickled(system) + data
    made += pickled(list(kept) if keys is None else keys)
    return made + b"".join(struct.pack("<q", n) + held for n, held in kept.values())
