"""Who may import whom, and what an import of the package costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nnwidgets"

ONLY_IN = {
    "anywidget": {"widgets"},
    "ipywidgets": {"widgets"},
    "traitlets": {"widgets"},
    "IPython": {"magics"},
    "torchinfo": {"magics"},
}
TORCH_ONLY = {"introspect", "edit", "checkpoint", "text", "errors.py", "formatting.py", "keywords.py"}


def imports_of(file):
    """Each top-level package that ``file`` imports at run time, wherever in it."""
    nodes = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(nodes):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(nodes):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            yield (node.module or "").partition(".")[0]


AT_MEMORY_SPEED = {"checkpoint": {"safetensors", "xxhash", "isal"}, "edit": {"xxhash"}}  # formats, digests, checksums


def files():
    return sorted(PACKAGE.rglob("*.py"))


def part_of(file):
    return file.relative_to(PACKAGE).parts[0]


def test_arrows_of_the_design_are_the_only_ones():
    command = [Path(sys.executable).with_name("lint-imports"), "--config", "pyproject.toml"]
    if not command[0].exists():
        pytest.skip(f"{command[0]} is missing: import-linter isn't in this environment")
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Arrows of the design KEPT" in ran.stdout


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_front_end_library_is_imported_by_its_own_part_only(library):
    importers = {part_of(file) for file in files() if library in set(imports_of(file))}
    assert importers <= ONLY_IN[library]


def test_the_wire_is_standard_library_only():
    allowed = sys.stdlib_module_names | {"nnwidgets"}
    foreign = {(file.name, name) for file in files() if part_of(file) == "wire" for name in imports_of(file)}
    assert {pair for pair in foreign if pair[1] not in allowed} == set()


@pytest.mark.parametrize("part", sorted(TORCH_ONLY))
def test_what_reads_and_writes_imports_torch_and_no_front_end(part):
    allowed = sys.stdlib_module_names | {"nnwidgets", "torch"} | AT_MEMORY_SPEED.get(part, set())
    foreign = {(file.name, name) for file in files() if part_of(file) == part for name in imports_of(file)}
    assert {pair for pair in foreign if pair[1] not in allowed} == set()


def test_importing_the_package_loads_no_front_end_and_no_torch():
    code = "import sys, nnwidgets; print(*sorted(name for name in sys.modules if '.' not in name))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert "nnwidgets" in loaded
    assert loaded & {"torch", "IPython", "anywidget", "ipywidgets", "traitlets", "torchinfo", "numpy"} == set()


def test_reading_a_model_loads_no_front_end_and_names_first_used_by_two_threads_are_there():
    code = (
        "import sys, threading, torch, nnwidgets as nnw\n"
        "sys.setswitchinterval(1e-5)\n"
        "users = [threading.Thread(target=getattr, args=(nnw, name)) for name in ('tree', 'handle')]\n"
        "[each.start() for each in users], [each.join() for each in users]\n"
        "net = torch.nn.Linear(2, 2)\n"
        "str(nnw.tree(net)), nnw.ties(net), nnw.stats(net.weight), nnw.check(net), nnw.trace(net, torch.ones(1, 2))\n"
        "print(*sorted(name for name in sys.modules if '.' not in name))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    assert set(ran.stdout.split()) & {"IPython", "anywidget", "ipywidgets", "torchinfo"} == set()


def test_html_is_built_in_one_file_only():
    markup = ("<div", "<span", "<table", "<details", "</", "<p>")
    builders = set()
    for file in files():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        documented = {id(node.body[0].value) for node in ast.walk(tree) if _has_docstring(node)}
        for node in ast.walk(tree):
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented
            if is_text and any(part in node.value for part in markup):
                builders.add(str(file.relative_to(PACKAGE)))
    assert builders == {"text/html.py"}


def _has_docstring(node):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, kinds) and ast.get_docstring(node) is not None


def test_nothing_evaluates_text():
    called = set()
    for file in files():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                called.add(node.func.id)
    assert called.isdisjoint({"eval", "exec", "compile", "__import__"})
