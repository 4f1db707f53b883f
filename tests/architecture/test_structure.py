"""Where things are: what a folder may hold, what a file is called, what a map names, and which way imports point."""

import ast
import inspect
import re
import tomllib
from collections import Counter, defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import nnwidgets

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nnwidgets"

MOST_MODULES = 10
MOST_IN_THE_PAGE = 15  # a component is a file there
MOST_LINES = 500

# Where a public function is that has no file of its name, and why.
LIVES_ELSEWHERE = {
    "explore": "explorer",  # with the Explorer that it makes
    "unfreeze": "freeze",  # one change, two ways
    "undo": "history",  # both are steps in the history
    "redo": "history",
    "language": "spoken_language",  # a module of that name would stand before the function in the package
    "initializer": "initializers",  # adds one to those offered
    "load_ipython_extension": "nnwidgets",  # IPython looks for them in the package itself
    "unload_ipython_extension": "nnwidgets",
}

# The only circle: a tree's `str` is its text, and the text is written from a tree. Imported when it is asked for.
LATE_ON_PURPOSE = ("nnwidgets.introspect.module_tree.nodes", "nnwidgets.introspect.module_tree.text")

GENERATED = {"messages.ts"}

MAP_LINE = re.compile(r"^    ([\w.]+(?:\.\w+|/)) +\S", re.MULTILINE)


def packages():
    """Each folder of the package that holds modules."""
    return sorted(init.parent for init in PACKAGE.rglob("__init__.py"))


def topics():
    """The packages directly in it: introspect, edit, …"""
    return [folder for folder in packages() if folder.parent == PACKAGE]


def modules_in(folder):
    return sorted(file for file in folder.glob("*.py") if file.name != "__init__.py")


def shown(path):
    return str(path.relative_to(ROOT))


def scripts(*suffixes):
    return sorted(file for folder in ("js/src", "js/test") for end in suffixes for file in (ROOT / folder).rglob(end))


# ---- folders and files ----


def test_a_folder_holds_ten_modules_at_most():
    n_modules = {shown(folder): len(modules_in(folder)) for folder in packages()}
    assert {folder: n for folder, n in n_modules.items() if n > MOST_MODULES} == {}


def test_a_folder_of_the_page_holds_fifteen_files_at_most():
    n_files = Counter(shown(file.parent) for file in scripts("*.ts", "*.tsx"))
    assert {folder: n for folder, n in n_files.items() if n > MOST_IN_THE_PAGE} == {}


def test_every_folder_with_modules_is_a_package():
    assert {shown(file.parent) for file in PACKAGE.rglob("*.py")} == {shown(folder) for folder in packages()}


def test_no_file_is_over_five_hundred_lines():
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "benchmarks").glob("*.py"), *scripts("*.ts", "*.tsx")]
    n_lines = {shown(file): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    too_long = {file: n for file, n in n_lines.items() if n > MOST_LINES and Path(file).name not in GENERATED}
    assert too_long == {}


# ---- names ----


def public_functions():
    return sorted(name for name in nnwidgets.__all__ if inspect.isfunction(getattr(nnwidgets, name)))


@pytest.mark.parametrize("name", public_functions())
def test_a_public_function_is_in_a_file_of_its_name(name):
    module = inspect.unwrap(getattr(nnwidgets, name)).__module__
    assert module.rpartition(".")[2] == LIVES_ELSEWHERE.get(name, name)


def test_the_table_of_what_lives_elsewhere_names_public_functions_only():
    assert LIVES_ELSEWHERE.keys() <= set(public_functions())


def test_no_package_has_the_name_of_a_public_function():
    assert {folder.name for folder in packages()} & set(public_functions()) == set()


@pytest.mark.parametrize("topic", topics(), ids=lambda folder: folder.name)
def test_no_file_name_is_there_twice_in_a_package(topic):
    files = defaultdict(list)
    for file in topic.rglob("*.py"):
        if file.name != "__init__.py":
            files[file.name].append(shown(file))
    assert [sorted(same) for same in files.values() if len(same) > 1] == []


# ---- maps ----


def map_of(folder):
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    return MAP_LINE.findall(text)


def contents_of(folder):
    inner = {f"{each.parent.name}/" for each in folder.glob("*/__init__.py")}
    return inner | {file.name for file in folder.iterdir() if file.is_file() and file.name != "__init__.py"}


@pytest.mark.parametrize("folder", packages()[1:], ids=shown)
def test_the_docstring_of_a_package_is_the_map_of_its_folder(folder):
    named = map_of(folder)
    assert sorted(named) == sorted(contents_of(folder))


def test_the_table_of_folders_in_contributing_names_each_package_and_no_other():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| \[?`nnwidgets/(\w+)`", text, re.MULTILINE)
    assert sorted(named) == [folder.name for folder in topics()]


# ---- imports ----


def module_name(file):
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports():
    """Per module, the modules of the package that it imports, at the top or in a function, and whether that is late."""
    names = {module_name(file): file for file in PACKAGE.rglob("*.py")}
    return {name: dict(_imports_of(file, names)) for name, file in names.items()}


def _imports_of(file, names):
    def visit(node, late):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                found = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                whole = [f"{child.module}.{alias.name}" for alias in child.names]
                found = [each if each in names else child.module for each in whole]
            else:
                found = []
            yield from ((each, late) for each in found if each in names and each != module_name(file))
            yield from visit(child, late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    # An import at the top counts before a late one of the same module.
    return sorted(visit(ast.parse(file.read_text(encoding="utf-8")), late=False), key=lambda pair: not pair[1])


def assert_no_circle(arrows):
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(reversed(error.args[1]))}")


def test_imports_run_in_no_circle_but_the_one_late_import_of_a_trees_text():
    arrows = {name: set(found) for name, found in imports().items()}
    source, target = LATE_ON_PURPOSE
    assert imports()[source].get(target) is True
    arrows[source].discard(target)
    assert_no_circle(arrows)


@pytest.mark.parametrize("parent", packages(), ids=shown)
def test_between_the_folders_of_a_package_imports_point_one_way(parent):
    inner = {module_name(folder / "__init__.py"): set() for folder in packages() if folder.parent == parent}
    for name, found in imports().items():
        source = next((folder for folder in inner if f"{name}.".startswith(f"{folder}.")), None)
        targets = {folder for folder in inner for other in found if f"{other}.".startswith(f"{folder}.")}
        if source:
            inner[source] |= targets - {source}
    assert_no_circle(inner)


def test_the_import_contract_names_each_package_and_puts_the_server_between_wire_and_widgets():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = settings["tool"]["importlinter"]["contracts"]
    layers = [{part.strip().removeprefix("nnwidgets.") for part in layer.split(":")} for layer in contract["layers"]]
    there = {folder.name for folder in topics()} | {file.stem for file in modules_in(PACKAGE)}
    assert set().union(*layers) == there
    order = {part: rank for rank, parts in enumerate(layers) for part in parts}
    assert order["magics"] < order["widgets"] < order["server"] < order["wire"] < order["edit"] < order["introspect"]
