"""The code that docs/extensions.md gives to authors of extensions works, against a real kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.documents import DOCS, code_in

ROOT = Path(__file__).parents[2]
HOST = Path(__file__).with_name("extension_host.mjs")
MIMES = {"stdout": "application/vnd.code.notebook.stdout", "stderr": "application/vnd.code.notebook.stderr"}
NAMES = "print(sorted(name for name in globals() if not name.startswith('_')))"


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The document's TypeScript, checked as strictly as the page's, and as a module that Node.js runs."""
    if shutil.which("npx") is None:
        pytest.skip("there is no Node.js on the path")
    shown = code_in(DOCS / "extensions.md", "typescript")
    source = tmp_path_factory.mktemp("extension") / "ask.ts"
    source.write_text("\n".join(shown), encoding="utf-8")
    lib = ["--lib", "es2022,dom", "--target", "es2022", "--types", ""]
    command = ["npx", "tsc", "--strict", "--noUncheckedIndexedAccess", "--noEmit", *lib, source]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    made = source.with_suffix(".mjs")
    subprocess.run(["npx", "esbuild", source, f"--outfile={made}", "--log-level=error"], cwd=ROOT, check=True)
    return made


def asked(example, notebook, *requests):
    """What the example gives for requests, its code run in the notebook's kernel."""
    command = ["node", HOST, example, json.dumps(requests)]
    found = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as host:
        for line in host.stdout:
            said = json.loads(line)
            if "execute" in said:
                host.stdin.write(json.dumps(outputs(notebook, said["execute"])) + "\n")
                host.stdin.flush()
            else:
                found.append(said)
    assert host.returncode == 0
    return found


def outputs(notebook, code):
    """What VS Code would give for the outputs of code."""
    run = notebook.start(code)
    notebook.wait(lambda m: m["msg_type"] == "status" and m["content"]["execution_state"] == "idle", run)
    made = []
    for message in notebook.heard:
        content = message["content"]
        if message["parent_header"].get("msg_id") != run:
            continue
        if message["msg_type"] == "stream":
            made.append({"mime": MIMES[content["name"]], "text": content["text"]})
        elif message["msg_type"] == "error":
            error = {"name": content["ename"], "message": content["evalue"], "stack": ""}
            made.append({"mime": "application/vnd.code.notebook.error", "text": json.dumps(error)})
    return made


@pytest.fixture(scope="module")
def notebook(kernel):
    kernel.run("net = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))")
    return kernel


def test_requests_are_answered_and_leave_no_name_behind(example, notebook):
    before = notebook.run(NAMES)
    listed, stats = asked(example, notebook, ["variables", {}], ["stats", {"model": "net", "path": "0.weight"}])
    assert [each["name"] for each in listed["reply"]["body"]["modules"]] == ["net"]
    mean = float(notebook.run("print(net[0].weight.double().mean().item())"))
    assert stats["reply"]["body"]["mean"] == pytest.approx(mean, rel=1e-9)
    assert notebook.run(NAMES) == before


def test_any_text_reaches_the_kernel_as_it_is(example, notebook):
    path = "größe\"'\\n\n\u2028{x}\U0001f600"
    (missing,) = asked(example, notebook, ["stats", {"model": "net", "path": path}])
    assert missing["reply"]["ok"] is False
    assert missing["reply"]["error"]["code"] in {"path-not-found", "bad-target", "invalid-target"}
    assert missing["reply"]["error"]["hint"] is not None


def test_a_kernel_without_nnwidgets_is_an_error_that_says_so(example, notebook):
    notebook.run("import sys; _kept = sys.modules['nnwidgets']; sys.modules['nnwidgets'] = None")
    (thrown,) = asked(example, notebook, ["variables", {}])
    notebook.run("sys.modules['nnwidgets'] = _kept")
    assert "could not ask nnwidgets" in thrown["thrown"]
    assert "nnwidgets" in thrown["thrown"].removeprefix("The kernel could not ask nnwidgets: ")
