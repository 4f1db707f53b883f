"""What SECURITY.md promises of the whole source, and that the tests it names are there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NETWORK = {
    "aiohttp", "asyncio", "ftplib", "http", "httpx", "poplib", "requests", "smtplib", "socket", "socketserver", "ssl",
    "telnetlib", "tornado", "urllib", "webbrowser", "websockets", "xmlrpc", "zmq",
}  # fmt: skip
ASKS_ELSEWHERE = re.compile(
    r"(?<![#.\w])fetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts|https?://(?!www\.w3\.org/)"
)
TAKES_TEXT = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|document\.write|srcdoc"
    r"|\beval\(|new Function\b"
)
UNPICKLES = {"load", "loads", "Unpickler"}


def page_sources():
    return sorted(file for end in ("*.ts", "*.tsx", "*.css") for file in (ROOT / "js" / "src").rglob(end))


def lines_with(pattern):
    for file in page_sources():
        for line in file.read_text(encoding="utf-8").splitlines():
            if pattern.search(line):
                yield f"{file.relative_to(ROOT)}: {line.strip()}"


def nodes():
    for file in (ROOT / "nnwidgets").rglob("*.py"):
        yield from ((file.name, node) for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


SIDE_DOOR = {("door.py", "socket"), ("messages.py", "socket"), ("side_door.py", "socket")}


def test_the_package_opens_no_port_and_connects_to_nothing_but_side_doors():
    found = set()
    for file, node in nodes():
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        found |= {(file, name) for name in names if name.partition(".")[0] in NETWORK}
    assert found == SIDE_DOOR


def test_no_reader_of_pickles_but_our_own_is_used():
    """Neither ``torch.load`` nor ``pickle.loads``, nor a name imported out of `pickle`."""
    found = set()
    for file, node in nodes():
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in UNPICKLES:
            found |= {(file, ast.unparse(node))} if node.value.id in {"torch", "pickle", "marshal", "np"} else set()
        if isinstance(node, ast.ImportFrom) and node.module in {"pickle", "_pickle", "marshal", "torch.serialization"}:
            found |= {(file, alias.name) for alias in node.names if alias.name in UNPICKLES}
    assert found == set()


def test_the_page_asks_for_nothing_from_elsewhere():
    assert list(lines_with(ASKS_ELSEWHERE)) == []


def test_the_page_never_takes_text_for_markup_or_code():
    assert list(lines_with(TAKES_TEXT)) == []


def test_the_tests_that_hold_a_promise_are_there():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert {name for name in named if not (ROOT / name).is_file()} == set()
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) > 20
    assert [row for row in rows if "`tests/" not in row and not row.startswith("| promise |")] == []
