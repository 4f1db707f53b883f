"""Which names a file may speak of, beyond those that are read: classes that are described, and what refuses the file.

A name is never looked up: what it stands for is told by how it is written. Of the standard library, torch and NumPy
only what is known to be plain data is described. Of other packages everything is, for nothing of it is called, except
what is known to run code for whoever calls it.
Sources: the lists of picklescan (``scanner.py``), fickling (``fickle.py``) and modelscan (``settings.py``).
"""

from __future__ import annotations

import sys

from nnwidgets.checkpoint.description import Opaque
from nnwidgets.checkpoint.formats.pickle.arguments import AllowedName
from nnwidgets.formatting import inert


def is_described(module: str, name: str) -> bool:
    """Whether it is plain data, or of a package of which nothing is known against it.

    Example:
        >>> names = ("argparse.Namespace", "os.system", "mmcv.Config", "torch.load", "mmcv.os.system")
        >>> [is_described(*name.split(".", 1)) for name in names]
        [True, False, True, False, False]
    """
    whole, parts = f"{module}.{name}", name.split(".")
    if whole in DATA:
        return True
    root = module.partition(".")[0]
    if root in _OURS:
        head, _, last = whole.rpartition(".")
        is_class = last.lstrip("_")[:1].isupper() and f"{head}.".startswith(_HOLD_CLASSES)
        return is_class and not head.startswith(_HOLD_PROGRAMS)
    if root in STANDARD or root in _RUN_CODE or f"{whole}.".startswith(_RUNS_CODE):
        return False
    # A module that imports os has it as an attribute.
    is_reached = len(parts) > 1 and not _REACHED.isdisjoint(parts)
    return not is_reached and parts[-1] not in _CALLED and not any(part[:2] == "__" or not part for part in parts)


def is_named_only(whole: str) -> bool:
    """Whether it is a function or a class that values hold by name, and that nothing need call."""
    head, _, last = whole.rpartition(".")
    return (
        whole in _VALUES
        or (head in _OF_FUNCTIONS and last[:1] != "_")
        or (head == "numpy" and last in _NUMPY_TYPES)
        or (head == "numpy.dtypes" and last.endswith("DType"))
        or (last == "forward" and head.startswith("torch.nn."))
    )


def does_harm(whole: str) -> bool:
    """Whether it is of a module that can run programs, open files or import, and that no plain data is from."""
    root, *rest = whole.split(".")
    return root in _HARMFUL or root in _RUN_CODE or not (_REACHED | _CALLED).isdisjoint(rest)


def described(whole: str) -> AllowedName:
    """What stands for a class whose objects are described."""
    shown = inert(whole)
    return AllowedName(shown, lambda args, _: Opaque(shown, args))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _each(module: str, names: str) -> set[str]:
    return {f"{module}.{name}" for name in names.split()}


DATA = frozenset(
    _each("argparse", "Namespace")
    | _each("types", "SimpleNamespace")
    | _each("pathlib", "PurePath PurePosixPath PureWindowsPath Path PosixPath WindowsPath")
    | _each("pathlib._local", "PurePath PurePosixPath PureWindowsPath Path PosixPath WindowsPath")
    | _each("datetime", "date datetime time timedelta timezone")
    | _each("zoneinfo", "ZoneInfo ZoneInfo._unpickle")
    | _each("collections", "deque ChainMap UserDict UserList UserString")
    | _each("decimal", "Decimal")
    | _each("_decimal", "Decimal")
    | _each("fractions", "Fraction")
    | _each("uuid", "UUID SafeUUID")
    | _each("ipaddress", "IPv4Address IPv4Network IPv6Address IPv6Network")
    | _each("array", "array _array_reconstructor")
    | _each("random", "Random")
    | _each("_random", "Random")
    | _each("http", "HTTPStatus")
    | _each("logging", "Logger getLogger")
    | _each("re", "_compile RegexFlag")
    | _each("_io", "BytesIO")
    | _each("builtins", "object slice range frozenset tuple")
    | _each(
        "builtins", "Exception ValueError TypeError KeyError IndexError RuntimeError StopIteration KeyboardInterrupt"
    )
    | _each("torch", "Generator")
    | _each("torch._C", "Generator")
    | _each("numpy.random._pickle", "__randomstate_ctor __generator_ctor __bit_generator_ctor")
    | _each("numpy.random.mtrand", "RandomState")
    | _each("numpy.random._generator", "Generator")
    | _each("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence")
    | _each("numpy.ma", "MaskedArray")
    | _each("numpy.ma.core", "MaskedArray _mareconstruct")
)
"""Of the standard library, torch and NumPy: classes, and functions that make their objects, that are plain data."""

_VALUES = frozenset(
    _each("builtins", "int float str list dict bool set bytes bytearray complex type")
    | _each("typing", "Any Dict List Optional Tuple Union Set Callable Sequence Mapping Iterable Literal")
    | _each("numpy", "ndarray recarray matrix memmap")
    | _each("torch._C", "_VariableFunctionsClass _VariableFunctions")
    | _each("torch._C._VariableFunctionsClass", "relu tanh sigmoid selu celu rrelu hardshrink prelu")
    | _each("torch._C._VariableFunctions", "relu tanh sigmoid selu celu rrelu hardshrink prelu")
)
_OF_FUNCTIONS = ("torch.nn.functional", "torch.nn.init", "torch._C._nn")
_NUMPY_TYPES = _words(
    "bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 float128 longdouble "
    "complex64 complex128 str_ bytes_ object_ void datetime64 timedelta64 generic number integer floating"
)

_OURS = frozenset({"torch", "numpy", "functorch", "torchgen", "caffe2"})
_HOLD_CLASSES = (
    "torch.nn.", "torch.ao.nn.", "torch.ao.quantization.", "torch.quantization.", "torch.optim.",
    "torch.distributions.", "torch.distributed.tensor.", "torch.distributed._tensor.", "torch.distributed._shard.",
    "torch.distributed.device_mesh.", "torch.distributed._mesh_layout.", "torch.distributed.checkpoint.",
    "torch.distributed.fsdp.", "torch.distributed._composable_state.", "torch.amp.", "torch.cuda.amp.",
    "torch.utils.data.", "torch._dynamo.eval_frame.", "numpy.polynomial.", "numpy.random.",
)  # fmt: skip
"""Where torch and NumPy have classes of values: modules, optimizers, placements of shards."""
_HOLD_PROGRAMS = ("torch.utils.data.datapipes", "torch.distributed.checkpoint._experimental")

STANDARD = frozenset(sys.stdlib_module_names) | _words(
    "aifc annotationlib asynchat asyncore audioop binhex cgi cgitb chunk commands compression crypt distutils dl "
    "formatter imghdr imp lib2to3 macpath mailcap msilib msvcrt new nis nntplib nt ossaudiodev os2 parser pipes "
    "popen2 posixfile rexec smtpd sndhdr spwd string sunau symbol telnetlib tomllib user uu winreg xdrlib zoneinfo "
    "_winapi _winreg _pyrepl _colorize __builtin__ cPickle cStringIO copy_reg httplib urllib2 StringIO SocketServer"
)
"""Modules of the standard library, those of older and newer ones too."""

_HARMFUL = _words(
    "os posix nt sys builtins subprocess runpy shutil socket importlib imp ctypes pty code codeop webbrowser pickle "
    "_pickle cPickle marshal shelve dbm operator _operator functools urllib http httplib timeit bdb pdb cProfile "
    "profile trace pydoc doctest ensurepip venv asyncio multiprocessing concurrent threading _thread signal ssl ftplib "
    "smtplib telnetlib imaplib poplib nntplib xmlrpc socketserver tempfile io _io codecs pkgutil zipimport zipapp "
    "inspect types gc atexit sqlite3 distutils lib2to3 idlelib commands popen2 platform pathlib fileinput linecache "
    "glob logging site sysconfig unittest test turtledemo copyreg"
)
_RUN_CODE = _words(
    "aiohttp requests httpx urllib3 pip setuptools pkg_resources wheel virtualenv IPython ipykernel dill cloudpickle "
    "joblib paramiko fabric invoke pexpect ptyprocess sh plumbum cffi numba jsonpickle execnet psutil torchrun"
)
"""Packages of others that run code, open connections or read pickles, whatever of theirs is called."""
_RUNS_CODE = tuple(
    f"{each}."
    for each in sorted(
        _each("pandas", "eval read_pickle core.computation io.pickle compat.pickle_compat io.common io.clipboard")
        | _each("tensorflow", "keras.models load_op_library load_library io py_function numpy_function")
        | _each("keras", "models saving layers.Lambda")
        | _each("sklearn", "externals")
        | _each("scipy", "io")
        | _each("yaml", "load unsafe_load full_load load_all unsafe_load_all")
        | _each("hydra", "utils.instantiate utils.call utils.get_class utils.get_method _internal.instantiate")
        | _each("transformers", "dynamic_module_utils pipeline pipelines")
        | _each("huggingface_hub", "hf_hub_download snapshot_download")
        | _each("torchvision", "datasets.utils")
        | _each("pytorch_lightning", "utilities.migration utilities.cloud_io")
        | _each("test", "support")
    )
)
"""Functions and modules of others that do."""
_CALLED = _words("system popen Popen eval exec execfile check_output run_code runcode run_path spawn")
_REACHED = _CALLED | _words(
    "os posix nt sys subprocess builtins importlib runpy shutil socket ctypes pty pickle marshal operator compile "
    "getattr setattr open"
)
