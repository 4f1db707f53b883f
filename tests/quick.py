"""Checks what a change touches, in under a minute: ``make quick``, or ``make quick BASE=main`` for a branch's changes.

A change is what git says: all that differs from HEAD, or from BASE, and what git has not been told of. Of each changed
module the tests of its name run, then those that import it, those of its folder, and the rest of its package's, as far
as the time goes. What ran and what was left out is told: only ``make test`` runs everything.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
BIN = Path(sys.executable).parent
BIOME = ["node_modules/@biomejs/biome/bin/biome", "check", "--no-errors-on-unmatched", "--files-ignore-unknown=true"]

WORKERS = min(os.cpu_count() or 2, 4)
ROOM_SECONDS = 28 * WORKERS
"""Of one core, that the Python tests may take: half a minute by the clock, which leaves as much for all else."""

# What takes long, in seconds of one core; any other file takes about one.
LONG = {
    "tests/architecture/test_documentation.py": 14.0,
    "tests/architecture/test_public_names.py": 6.0,
    "tests/checkpoint/formats/test_distributed.py": 7.0,
    "tests/checkpoint/loading/test_copy_tensors.py": 4.0,
    "tests/checkpoint/saving/test_save.py": 6.0,
    "tests/checkpoint/saving/test_save_meanwhile.py": 4.0,
    "tests/checkpoint/test_architectures.py": 45.0,
    "tests/checkpoint/test_diff.py": 5.0,
    "tests/edit/test_failures.py": 31.0,
    "tests/edit/test_history.py": 6.0,
    "tests/edit/test_threads.py": 5.0,
    "tests/hostile/test_edit_bad_input.py": 13.0,
    "tests/hostile/test_generated_objects.py": 6.0,
    "tests/hostile/test_headers_that_take_memory.py": 8.0,
    "tests/hostile/test_pickles_that_multiply.py": 8.0,
    "tests/hostile/test_stats_unreadable.py": 3.0,
    "tests/hostile/test_torch_pickles.py": 6.0,
    "tests/introspect/checks/test_check.py": 4.0,
    "tests/introspect/statistics/test_reading.py": 4.0,
    "tests/introspect/statistics/test_stats.py": 36.0,
    "tests/introspect/test_architectures.py": 36.0,
    "tests/introspect/test_tree.py": 5.0,
    "tests/introspect/test_window.py": 4.0,
    "tests/magics/test_display.py": 4.0,
    "tests/server/test_rows.py": 15.0,
    "tests/server/test_variables.py": 4.0,
}

# Real kernels, browsers and savers that are killed: minutes, whatever has changed.
NEVER = ("tests/browser", "tests/notebook", "tests/hostile/test_saving_dies.py")

# Whose hostile cases a folder has to stand.
HOSTILE = {
    "nnwidgets/checkpoint/formats": (
        "headers_that_take_memory", "pickles_that_multiply", "safetensors_files", "sharded_files", "torch_files",
        "torch_pickles", "torch_zip_files",
    ),
    "nnwidgets/checkpoint/saving": ("saving_bad_input",),
    "nnwidgets/edit": ("edit_bad_input",),
    "nnwidgets/introspect": ("reading_kinds", "reading_runs_nothing"),
    "nnwidgets/introspect/statistics": ("stats_unreadable",),
    "nnwidgets/text": ("markup_in_names",),
}  # fmt: skip

ALWAYS = ("tests/architecture/test_structure.py", "tests/architecture/test_imports.py")
DOCTESTS = "tests/architecture/test_public_names.py::test_examples_in_docstrings_run"


def git(*arguments: str) -> list[str]:
    """Lines of git's answer."""
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def changed_files(base: str) -> list[str]:
    """Paths of all that is otherwise than in ``base``, what is gone included."""
    return sorted({*git("diff", "--name-only", base), *git("ls-files", "--others", "--exclude-standard")})


def module_name(path: str) -> str:
    """Of a file of the package."""
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def shown(file: Path) -> str:
    """A file's path as git has it."""
    return str(file.relative_to(ROOT))


def tests_of(path: str, texts: dict[str, str]) -> dict[str, int]:
    """Test files that a changed file is tested by, with how near to it they are: 0 for those of its name.

    Args:
        path: Of the changed file.
        texts: Of every test file.
    """
    file = Path(path)
    if path in texts:
        return {path: 0}
    if file.parts[0] == "tests":
        name = module_name(path) if file.suffix == ".py" else file.name
        users = {test: 0 for test, text in texts.items() if name in text or f"import {file.stem}\n" in text}
        return users or {test: 1 for test in texts if Path(test).is_relative_to(file.parent)}
    if path.startswith("docs/"):
        return {"tests/architecture/test_documentation.py": 0}
    if file.parts[0] != "nnwidgets":
        return {}
    name = module_name(path)
    # What is on the ground floor is used everywhere: its importers, then the whole package's rules.
    topic = file.parts[1] if len(file.parts) > 2 else "architecture"
    mirrored = Path("tests", topic, *file.parts[2:-1])
    near = {
        f"tests/hostile/test_{case}.py": 2
        for folder, cases in HOSTILE.items()
        if file.is_relative_to(folder)
        for case in cases
    }
    for test, text in texts.items():
        where = Path(test)
        if where.is_relative_to(mirrored) and where.name == f"test_{file.name}":
            near[test] = 0
        elif f"from {name} import" in text or f"from {name.rpartition('.')[0]} import {file.stem}\n" in text:
            near[test] = 1
        elif where.is_relative_to(mirrored):
            near[test] = 2 if len(mirrored.parts) > 2 else 3
        elif where.is_relative_to(Path("tests", topic)):
            near[test] = 3
    return near


def choose(nearness: dict[str, int]) -> tuple[list[str], list[str]]:
    """Test files to run, nearest and quickest first as far as the time goes; and those that are left out."""
    taken, left, spent = [], [], 0.0
    for test in sorted(nearness, key=lambda test: (nearness[test], LONG.get(test, 1.0), test)):
        cost = LONG.get(test, 1.0)
        fits = spent + cost <= ROOM_SECONDS and not test.startswith(NEVER)
        (taken if fits else left).append(test)
        spent += cost if fits else 0.0
    told = (next((folder for folder in NEVER if test.startswith(folder)), test) for test in left)
    return taken, [name.removeprefix("tests/") for name in dict.fromkeys(told)]


def commands(changed: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """What to run, by what it is called, and the test files that are left out."""
    there = [path for path in changed if (ROOT / path).is_file()]
    python = [path for path in there if path.endswith(".py")]
    page = [path for path in there if path.startswith("js/")]
    texts = {shown(file): file.read_text(encoding="utf-8") for file in sorted(TESTS.rglob("test_*.py"))}
    nearness: dict[str, int] = defaultdict(lambda: 9)
    for path in changed:
        for test, near in tests_of(path, texts).items():
            nearness[test] = min(nearness[test], near)
    taken, left = choose(nearness)
    examples = [f"{DOCTESTS}[{module_name(path)}]" for path in python if path.startswith("nnwidgets/")]
    steps = {}
    if python:
        steps["ruff check"] = [str(BIN / "ruff"), "check", "--force-exclude", *python]
        steps["ruff format"] = [str(BIN / "ruff"), "format", "--check", "--force-exclude", *python]
    if any(path.startswith("nnwidgets/") for path in changed):
        steps["lint-imports"] = [str(BIN / "lint-imports"), "--no-cache"]
    if page:
        steps["biome"] = ["node", *BIOME, *page]
        steps["tsc"] = ["npm", "run", "--silent", "types"]
    if page or any(path.startswith("tests/wire/") for path in there):
        related = [str(ROOT / path) for path in there if path.endswith((".ts", ".tsx", ".json"))]
        steps["vitest"] = ["npx", "vitest", "related", "--run", "--root", "js", "--testTimeout", "30000", *related]
    if taken or examples:
        tests = sorted({*ALWAYS, *taken})
        workers = ["-n", str(WORKERS), "--dist", "worksteal"]
        steps["pytest"] = [sys.executable, "-m", "pytest", "-q", "-m", "not browser", *workers, *tests, *examples]
    return steps, left


def main(base: str = "HEAD") -> int:
    """Run it all, and tell what was run and what was not; 1 where something failed."""
    changed = changed_files(base)
    if not changed:
        print("Nothing has changed.")
        return 0
    steps, left = commands(changed)
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    results = []
    for name, command in steps.items():
        start = time.monotonic()
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        results.append((name, code, time.monotonic() - start))
    print(f"\n{len(changed)} changed files")
    for name, code, seconds in results:
        tests = [part.removeprefix("tests/") for part in steps[name] if part.startswith("tests/")]
        print(f"  {'failed' if code else 'passed'}  {name} ({seconds:.1f} s)", *tests)
    print("  left out, for make test:", *left, "mypy docs browsers")
    return int(any(code for _, code, _ in results))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
