"""A file that names what runs code is refused by name, whatever scanners know of it, and no hint is to allow it."""

from __future__ import annotations

import pickle
import sys

import pytest
import torch

import nnwidgets as nnw
from tests.support.torch_builder import Call, Global, Raw, opcodes, tensor, torch_legacy, torch_zip

# As the public scanners of pickles have them: picklescan, fickling, modelscan.
NAMES = """
__builtin__.apply __builtin__.compile __builtin__.eval __builtin__.exec __builtin__.execfile __builtin__.getattr
__builtin__.open __builtin__.breakpoint __builtin__.__import__ __builtin__.globals __builtin__.input __builtin__.map
builtins.compile builtins.eval builtins.exec builtins.getattr builtins.setattr builtins.open builtins.breakpoint
builtins.__import__ builtins.vars builtins.print builtins.memoryview builtins.super builtins.help builtins.filter
_io.open io.open io.FileIO _aix_support._read_cmd_output _osx_support._read_output _pyrepl.pager.pipe_pager
asyncio.run asyncio.create_subprocess_shell bdb.Bdb.run bdb.run cgitb.lookup code.InteractiveInterpreter.runcode
code.interact codeop.compile_command codecs.open commands.getoutput cProfile.run cProfile.runctx ctypes.CDLL
ctypes.pythonapi distutils.file_util.write_file doctest.debug_script doctest.testfile ensurepip._run_pip filecmp.cmp
fileinput.input ftplib.FTP functools.partial functools.reduce http.client.HTTPSConnection httplib.HTTPSConnection
idlelib.autocomplete.AutoComplete.get_entity idlelib.calltip.Calltip.fetch_tip idlelib.debugobj.ObjectTreeItem.SetText
idlelib.pyshell.ModifiedInterpreter.runcode idlelib.run.Executive.runcode imaplib.IMAP4_stream imp.load_source
importlib.import_module importlib.util.spec_from_file_location itertools.starmap lib2to3.pgen2.grammar.Grammar.loads
lib2to3.pgen2.pgen.ParserGenerator.make_label linecache.getline logging.config.listen logging.FileHandler
marshal.loads multiprocessing.Process nt.system numpy.f2py.crackfortran.getlincoef numpy.load
numpy.ctypeslib.load_library numpy.testing._private.utils.runstring numpy.fromfile numpy.memmap.tofile
numpy.core.multiarray.fromfile numpy.distutils.exec_command.exec_command operator.attrgetter operator.itemgetter
operator.methodcaller _operator.attrgetter os.execv os.popen os.spawnl os.system os.remove os.environ
pathlib.Path.unlink pdb.Pdb.run pdb.run pickle.load pickle.loads pickle.Unpickler _pickle.loads pip.main
pip._internal.main pkgutil.resolve_name platform.popen popen2.popen3 posix.system profile.Profile.run
profile.Profile.runctx profile.run pty.spawn pydoc.locate pydoc.pipepager pydoc.tempfilepager requests.get
requests.api.get aiohttp.client.ClientSession runpy._run_code runpy.run_module runpy.run_path shelve.open
shutil.rmtree shutil.copyfile signal.signal site.main smtplib.SMTP socket.create_connection socket.socket
sqlite3.connect ssl.get_server_certificate subprocess.Popen subprocess.call subprocess.check_output subprocess.run
sys.exit sys.modules sys.settrace tempfile.mktemp test.support.script_helper.run_python_until_end threading.Thread
timeit.main timeit.timeit torch.load torch.hub.load torch.hub._load_local torch.jit.load
torch.jit.unsupported_tensor_ops.execWrapper torch.package.PackageImporter torch.serialization.load
torch.storage._load_from_bytes torch.fx._symbolic_trace.symbolic_trace torch.fx.graph_module.reduce_graph_module
torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression torch._dynamo.guards.GuardBuilder.get
torch._inductor.codecache.compile_file torch._inductor.codecache.PyCodeCache.load
torch.utils._config_module.ConfigModule.load_config torch.utils._config_module.load_config
torch.utils.bottleneck.__main__.run_cprofile torch.utils.bottleneck.__main__.run_autograd_prof
torch.utils.collect_env.run torch.utils.cpp_extension.load torch.utils.data.datapipes.utils.decoder.basichandlers
torch.utils.model_zoo.load_url torch.distributed.rpc.rpc_sync torch.distributed.checkpoint.load torch.nn.Module.apply
torch.ops.load_library torch.classes.load_library torch.cuda.memory._dump_snapshot torch.onnx.export trace.Trace.run
trace.Trace.runctx types.CodeType types.FunctionType turtledemo.__main__.DemoWindow unittest.mock._importer
urllib.request.urlopen urllib2.urlopen uuid._get_command_stdout venv.create webbrowser.open xmlrpc.client.ServerProxy
zipimport.zipimporter cloudpickle.cloudpickle._make_function dill._dill._create_function dill.loads joblib.load
jsonpickle.decode pandas.read_pickle pandas.eval keras.models.load_model keras.layers.Lambda
tensorflow.load_op_library tensorflow.keras.models.load_model tensorflow.io.read_file hydra.utils.instantiate
IPython.get_ipython setuptools.setup pkg_resources.run_script yaml.unsafe_load paramiko.SSHClient
some.package.os.system some.package.subprocess.Popen some.package.builtins.eval some.package.Class.__globals__
"""


def parts(whole):
    """Module and name, as a pickle has them: of a class's method the class belongs to the name."""
    names = whole.split(".")
    first = next((n for n, each in enumerate(names) if each[:1].isupper() and n), len(names) - 1)
    first = next((n for n, each in enumerate(names) if each in ("os", "subprocess", "builtins") and n), first)
    return ".".join(names[:first]), ".".join(names[first:])


@pytest.mark.parametrize("form", [torch_zip, torch_legacy])
@pytest.mark.parametrize("whole", NAMES.split())
def test_a_name_that_runs_code_refuses_the_file_and_is_not_to_be_allowed(whole, form, tmp_path):
    module, name = parts(whole)
    file = tmp_path / "it.pt"
    file.write_bytes(form({"state_dict": {"w": tensor()}, "x": Call(module, name, "touch it")}))
    with pytest.raises(nnw.UnsafeCheckpointError) as raised:
        nnw.peek(file)
    said = str(raised.value)
    assert name.rsplit(".", 1)[-1] in said
    assert "Nothing was imported or run" in said
    assert "add_safe_globals" not in said
    assert "damaged" not in said


@pytest.mark.parametrize("root", sorted(sys.stdlib_module_names))
def test_a_function_of_each_module_of_the_standard_library_refuses_the_file(root, tmp_path):
    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip({"x": Call(root, "function", 1)}))
    with pytest.raises(nnw.UnsafeCheckpointError, match=r"wants to import .*\.function"):
        nnw.peek(file)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_a_plain_pickle_of_any_protocol_that_runs_code_is_unsafe_and_not_damaged(protocol, tmp_path):
    class Asks:
        def __reduce__(self):
            return torch.hub.load, ("a/b", "c")

    file = tmp_path / "it.pkl"
    file.write_bytes(pickle.dumps({"x": Asks()}, protocol))
    with pytest.raises(nnw.UnsafeCheckpointError, match=r"torch\.hub\.load") as raised:
        nnw.read(file)
    assert "damaged" not in str(raised.value)


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(S'touch it'\ntR.",
        b"(S'touch it'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch it'\no.",
        b"(dp0\nS'x'\np1\ncposix\nsystem\np2\n(S'touch it'\np3\ntp4\nRp5\ns.",
        b"(lp0\nc__builtin__\neval\n(S'1'\ntRa.",
        b"\x80\x02cos\nsystem\nU\x08touch it\x85R.",
    ],
)
def test_instructions_of_the_oldest_protocols_are_unsafe_and_not_damaged(code, tmp_path):
    file = tmp_path / "it.pkl"
    file.write_bytes(code)
    with pytest.raises(nnw.UnsafeCheckpointError, match=r"system|eval") as raised:
        nnw.peek(file)
    assert "damaged" not in str(raised.value)


def test_a_name_that_is_reached_step_by_step_refuses_the_file(tmp_path):
    def attribute(onto, name):
        return Raw(opcodes(Global("builtins", "getattr")) + opcodes((onto, name)) + b"R")

    file = tmp_path / "it.pt"
    for reached in (
        attribute(attribute(Global("some.package", "tools"), "os"), "system"),
        attribute(Global("some.package", "tools"), "__globals__"),
        attribute(Global("torch.nn", "Linear"), "apply"),
        attribute(Call("pathlib", "Path", "x"), "unlink"),
        attribute(tensor(), "numpy"),
    ):
        file.write_bytes(torch_zip({"x": reached, "w": tensor()}))
        with pytest.raises(nnw.UnsafeCheckpointError, match=r"builtins\.getattr"):
            nnw.peek(file)
