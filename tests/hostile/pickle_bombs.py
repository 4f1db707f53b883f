"""Small pickles that ask for much: the same values copied, named, merged or looked at again and again.

Each function gives the opcodes of one value; ``n`` says how much is asked for.
"""

from __future__ import annotations

import struct

from tests.support.torch_builder import Call, Global, Storage, opcodes, tensor

ARGUMENTS = ("torch._utils", "_rebuild_tensor_v2"), (Storage(), 0, (4,), (1,), False, None)


def put(number):
    """Keep what is on top of the stack."""
    return b"r" + struct.pack("<I", number)


def get(number):
    return b"j" + struct.pack("<I", number)


def aside(code, number):
    """A value that is kept and taken off the stack again."""
    return code + put(number) + b"0"


def several(items):
    return b"](" + b"".join(items) + b"e"


def named(name):
    return opcodes(Global(*name.rsplit(".", 1)))


def big_text(n):
    return b"X" + struct.pack("<I", n) + b"x" * n


def calls(function, arguments, n):
    """The same call, of the same arguments, many times."""
    return aside(arguments, 1) + aside(named(function), 2) + several([get(2) + get(1) + b"R"] * n)


def copies(function, item):
    return lambda n: calls(function, item(n) + b"\x85", n)


def keys(n):
    return b"}(" + b"".join(opcodes(f"k{i}") + b"N" for i in range(n)) + b"u"


def whole_numbers(n):
    return several(b"J" + struct.pack("<i", i) for i in range(n))


def array_of(held):
    dtype = opcodes(Call("numpy", "dtype", "u1", False, True))
    return lambda n: calls(
        "numpy.core.numeric._frombuffer",
        b"(" + held(n * 50) + dtype + opcodes((n * 50,)) + opcodes("C") + b"t",
        n,
    )


def objects_with(state):
    """Objects that share one state."""
    return lambda n: aside(state(n), 1) + aside(named("here.C"), 3) + several([get(3) + b")\x81" + get(1) + b"b"] * n)


def filled_later(n):
    """The state is empty until all objects have it."""
    pairs = b"(" + b"".join(opcodes(f"k{i}") + b"N" for i in range(n)) + b"u"
    state = b"}" + put(7) + b"}" + opcodes("a") + b"Ns\x86"
    return several([objects_with(lambda _: state)(n), get(7) + pairs])


def meeting(n):
    """Tuples of one hash, by the inverse of how Python hashes them."""
    one, two, five, mask = 11400714785074694791, 14029467366897019727, 2870177450012600261, 2**64 - 1
    inverse, found = pow(two, -1, 2**64), []
    for first in range(1, 9 * n):
        lane = (five + first * two) & mask
        lane = ((lane << 31) | (lane >> 33)) * one & mask
        second = (12_345 - lane) * inverse & mask
        second -= 2**64 if second >= 2**63 else 0
        if abs(second) < 2**61 - 1:
            found.append((first, second))
    return found[:n]


def complex_meeting(n):
    return [Call("builtins", "complex", float(2**40 - 1000003 * k), float(k)) for k in range(n)]


def as_keys(made):
    return lambda n: b"}(" + b"".join(opcodes(each) + b"N" for each in made(n)) + b"u"


def tensors_below(begin, end):
    """Very many tensors, each told by a name that is as long as what they are in is deep."""
    return lambda n: begin * 150 + several([opcodes(tensor()) + put(1), *[get(1)] * n]) + end * 150


def module(tensors=b"", children=b""):
    code = named("here.Net") + b")\x81}(" + opcodes("_parameters") + b"}(" + tensors + b"u" + opcodes("_buffers") + b"}"
    return code + opcodes("_modules") + b"}(" + children + b"uub"


def deep_module(n):
    made = module(opcodes("w") + opcodes(tensor()) + put(1) + b"".join(opcodes(f"w{i}") + get(1) for i in range(n)))
    for _ in range(150):
        made = module(children=opcodes("k" * 200) + made)
    return made


def nested_key(_n):
    made = aside(b"(" + b"N" * 100 + b"t", 1)
    for level in range(1, 4):
        made += aside(b"(" + get(level) * 100 + b"t", level + 1)
    return made + b"}" + get(4) + b"Ns"


def frozen_laughs(n):
    """Sets that can be in sets, each in two others."""
    made = aside(named("builtins.frozenset"), 2) + aside(get(2) + b"]K\x01a\x85R", 1)
    last = 1
    for level in range(n):
        two = 100 + 3 * level
        made += aside(get(2) + b"](" + get(last) + b"K\x00e\x85R", two)
        made += aside(get(2) + b"](" + get(last) + b"K\x01e\x85R", two + 1)
        last = two + 2
        made += aside(get(2) + b"](" + get(two) + get(two + 1) + b"e\x85R", last)
    return made + get(last)


def frozen_deep(n):
    return aside(named("builtins.frozenset"), 2) + b")" + (b"\x85" + aside(b"", 3) + get(2) + get(3) + b"\x85R") * n


def rebuilt_within(n):
    """A rebuild function that is asked to rebuild by itself."""
    made = aside(named("torch._tensor._rebuild_from_type_v2"), 1) + aside(named("torch.Tensor"), 2) + b")"
    return (
        made
        + b"".join(aside(b"", 3) + b"(" + get(1) + get(2) + get(3) + b"Nt" for _ in range(n))
        + aside(b"", 4)
        + (get(1) + get(4) + b"R")
    )


def remarks(n):
    """Each tensor is of a class of its own, of which there is something to say."""
    function, arguments = ARGUMENTS
    made = aside(named("torch._tensor._rebuild_from_type_v2"), 1) + aside(opcodes(Global(*function)), 2)
    made += aside(opcodes(arguments), 3)
    return made + several(get(1) + b"(" + get(2) + named(f"here.T{i}") + get(3) + b"NtR" for i in range(n))


def placements_deep(n):
    spec = named("here.Spec") + b")\x81}" + opcodes("placements") + b"]" + b"\x85" * n + b"\x85sb"
    kind = named("torch.distributed.tensor.DTensor")
    made_from = b"(" + kind + named("torch.float32") + opcodes((4,)) + b"NNNNNt"
    state = b"}(" + opcodes("_local_tensor") + opcodes(tensor()) + opcodes("_spec") + spec + b"u"
    by = named("torch._utils._rebuild_wrapper_subclass")
    return named("torch._tensor._rebuild_from_type_v2") + b"(" + by + kind + made_from + state + b"tR"


def shared_bytes(n):
    """A list of lists of lists of the same bytes, few enough to be written out and far too long as text."""
    made = b"B" + struct.pack("<I", n) + b"x" * n + put(1) + b"0" + several([get(1)] * 15)
    for level in range(2, 5):
        made = aside(made, level) + several([get(level)] * 15)
    return made


def channels(n):
    quantizer = (
        b"(" + named("torch.per_channel_affine") + several([opcodes(0.5)] * n) + several([b"K\x00"] * n) + b"K\x00t"
    )
    storage = opcodes(Storage("torch.QInt8Storage", n=16))
    return calls(
        "torch._utils._rebuild_qtensor",
        b"(" + storage + b"K\x00" + opcodes((n,)) + opcodes((0,)) + quantizer + b"\x89Nt",
        n,
    )


BOMBS = {
    "a dict copied": (copies("collections.OrderedDict", keys), 8_000),
    "pairs made a dict": (
        copies("collections.OrderedDict", lambda n: several(opcodes((f"k{i}", i)) for i in range(n))),
        3_000,
    ),
    "a set copied": (copies("__builtin__.set", whole_numbers), 8_000),
    "a frozen set copied": (copies("builtins.frozenset", whole_numbers), 8_000),
    "bytes copied": (copies("builtins.bytearray", lambda n: b"B" + struct.pack("<I", 100 * n) + bytes(100 * n)), 3_000),
    "text encoded": (lambda n: calls("_codecs.encode", big_text(100 * n) + opcodes("latin1") + b"\x86", n), 3_000),
    "arrays of the same text": (array_of(big_text), 3_000),
    "arguments copied": (
        lambda n: (
            aside(b"(" + b"N" * n + b"t", 1)
            + aside(b"}" + opcodes("a") + b"Ns", 2)
            + aside(named("here.C"), 3)
            + several([get(3) + get(1) + get(2) + b"\x92"] * n)
        ),
        8_000,
    ),
    "arguments cut": (lambda n: calls("copyreg.__newobj__", b"(" + named("here.C") + b"N" * n + b"t", n), 10_000),
    "attributes merged": (objects_with(lambda n: b"(" + keys(n) + b"}" + opcodes("a") + b"Nst"), 8_000),
    "attributes merged and filled later": (filled_later, 8_000),
    "names of one long module": (
        lambda n: aside(big_text(100 * n), 1) + several(get(1) + opcodes(f"n{i}") + b"\x93" for i in range(n)),
        3_000,
    ),
    "a name of calls of calls": (lambda n: named("here.C") + b")R\x94" * n, 20_000),
    "a refused name of calls of calls": (lambda n: named("os.system") + b")R\x94" * n, 20_000),
    "calls that are refused, looked at": (
        lambda n: calls("os.system", b"(" + (b"B" + struct.pack("<I", n) + bytes(n)) * 3 + b"t2\x86", n),
        20_000,
    ),
    "a key of a hundred million parts": (nested_key, 1),
    "tuples of one hash as keys": (as_keys(meeting), 12_000),
    "tuples of one hash in a set": (lambda n: opcodes(Call("builtins", "set", meeting(n))), 15_000),
    "complex numbers of one hash": (as_keys(complex_meeting), 12_000),
    "frozen sets that repeat each other": (frozen_laughs, 40),
    "a frozen set that is a key and repeats": (lambda n: b"}" + frozen_laughs(n) + opcodes(tensor()) + b"s", 40),
    "frozen sets in each other": (frozen_deep, 20_000),
    "a rebuild function by itself": (rebuilt_within, 20_000),
    "remarks without end": (remarks, 12_000),
    "placements in each other": (placements_deep, 50_000),
    "bytes as text": (shared_bytes, 20_000),
    "names of tensors below a long key": (
        lambda n: (
            b"}" + big_text(n * 20).replace(b"x", b"k") + several([opcodes(tensor()) + put(1), *[get(1)] * n]) + b"s"
        ),
        20_000,
    ),
    "names of tensors in deep dicts": (tensors_below(b"}" + opcodes("k" * 20), b"s"), 60_000),
    "names of tensors in deep lists": (tensors_below(b"]", b"a"), 300_000),
    "names of tensors in deep objects": (tensors_below(named("here.C") + b")\x81}" + opcodes("k" * 20), b"sb"), 60_000),
    "names of a deep module": (deep_module, 5_000),
    "sizes of many dimensions": (lambda n: calls("torch.Size", opcodes(((1,) * 64,)), n), 80_000),
    "scales of channels": (channels, 6_000),
    "a quantized tensor that repeats a byte": (
        lambda n: opcodes(
            Call(
                "torch._utils",
                "_rebuild_qtensor",
                Storage("torch.QInt8Storage", n=16),
                0,
                (n,),
                (0,),
                (Global("torch", "per_tensor_affine"), 0.5, 0),
                False,
                None,
            )
        ),
        2**29,
    ),
}
"""How each is made, and of how much: what took seconds or gigabytes before it was counted."""
