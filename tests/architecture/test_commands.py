"""`make quick` finds what a change touches; the hooks of pre-commit are what `make lint` runs."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests import quick

ROOT = Path(__file__).parents[2]
TEXTS = {quick.shown(file): file.read_text(encoding="utf-8") for file in quick.TESTS.rglob("test_*.py")}


@pytest.mark.parametrize(
    "folder", ["introspect", "edit", "checkpoint", "text", "wire", "server", "magics", "command_line"]
)
def test_every_module_of_a_package_has_tests_of_its_package_nearest(folder):
    for file in (ROOT / "nnwidgets" / folder).rglob("*.py"):
        taken, _ = quick.choose(quick.tests_of(quick.shown(file), TEXTS))
        assert any(test.startswith(f"tests/{folder}/") for test in taken), file


def test_tests_of_a_modules_name_come_first_then_those_that_import_it_then_its_folders_then_its_packages():
    texts = {
        "tests/edit/test_history.py": "",
        "tests/magics/test_edit.py": "from nnwidgets.edit.history import undo",
        "tests/magics/test_cell.py": "from nnwidgets.edit import history\n",
        "tests/edit/undo_copy/test_undo.py": "",
        "tests/wire/test_codec.py": "from nnwidgets.wire.codec import encode",
    }
    near = quick.tests_of("nnwidgets/edit/history.py", texts)
    assert [near.get(name) for name in texts] == [0, 1, 1, 3, None]
    near = quick.tests_of("nnwidgets/edit/undo_copy/swap.py", texts)
    assert (near["tests/edit/undo_copy/test_undo.py"], near["tests/edit/test_history.py"]) == (2, 3)


def test_a_changed_test_is_run_and_a_changed_support_file_runs_its_users():
    texts = {"tests/edit/test_history.py": "", "tests/wire/test_cases.py": "from tests.support.documents import DOCS"}
    assert quick.tests_of("tests/edit/test_history.py", texts) == {"tests/edit/test_history.py": 0}
    assert quick.tests_of("tests/support/documents.py", texts) == {"tests/wire/test_cases.py": 0}
    assert quick.tests_of("tests/edit/conftest.py", texts) == {"tests/edit/test_history.py": 1}


def test_what_takes_too_long_is_left_out_and_told(monkeypatch):
    monkeypatch.setattr(quick, "ROOM_SECONDS", 10)
    monkeypatch.setattr(quick, "LONG", {"tests/a/test_long.py": 9.5})
    near = {
        "tests/a/test_long.py": 1,
        "tests/a/test_near.py": 0,
        "tests/a/test_far.py": 3,
        "tests/browser/test_x.py": 0,
    }
    assert quick.choose(near) == (["tests/a/test_near.py", "tests/a/test_far.py"], ["browser", "a/test_long.py"])


def test_what_quick_names_is_there():
    hostile = {f"tests/hostile/test_{case}.py" for cases in quick.HOSTILE.values() for case in cases}
    for name in (*quick.LONG, *quick.NEVER, *quick.ALWAYS, *quick.HOSTILE, *hostile, quick.DOCTESTS.partition("::")[0]):
        assert (ROOT / name).exists(), name


def test_the_hooks_of_pre_commit_are_what_lint_runs_and_fetch_nothing():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE).group(1)
    lint = lint.replace("npm run --silent lint", yaml.safe_load((ROOT / "package.json").read_text())["scripts"]["lint"])
    expected = [" ".join(shlex.split(line)[:-1]) for line in lint.splitlines()]
    run = [re.sub(r"\S+/(\w+)", r"\1", hook["entry"]) for hook in hooks]
    assert [re.sub(r"^node | --(force-exclude|no-errors-on-unmatched)", "", each) for each in run] == expected
