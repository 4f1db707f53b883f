"""A real IPython shell in this process, with what a cell shows and prints caught."""

from __future__ import annotations

import atexit
import contextlib
import sys
from dataclasses import dataclass

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output


@dataclass
class Ran:
    """What a cell left."""

    text: str
    html: list[str]
    printed: str
    error: BaseException | None
    outputs: list


class Shell:
    """Runs cells."""

    def __init__(self, ip):
        self.ip = ip
        self.variables = ip.user_ns

    def run(self, code):
        with capture_output() as captured:
            result = self.ip.run_cell(code)
        data = [output.data for output in captured.outputs]
        return Ran(
            text="\n".join(each["text/plain"] for each in data if "text/plain" in each),
            html=[each["text/html"] for each in data if "text/html" in each],
            printed=captured.stdout + captured.stderr,
            error=result.error_in_exec or result.error_before_exec,
            outputs=captured.outputs,
        )

    def nn(self, line):
        """Run a line of %nn that must succeed, and return its text."""
        ran = self.run(f"%nn {line}")
        assert ran.error is None, ran.printed
        return ran.text

    def refused(self, line):
        """Run a line of %nn that must be refused in one line, and return that line."""
        ran = self.run(f"%nn {line}")
        assert not ran.outputs
        assert type(ran.error).__name__ == "UsageError", ran.printed
        assert "Traceback" not in ran.printed
        assert len(ran.printed.strip().splitlines()) == 1
        return ran.printed.strip()

    def completions(self, line):
        """What Tab makes of the last word of a line; some shells replace its end only."""
        from IPython.core.completer import provisionalcompleter

        word = line.rfind(" ") + 1
        with provisionalcompleter():
            offered = list(self.ip.Completer.completions(line, len(line)))
        return [(line[: each.start] + each.text)[word:] for each in offered]


@contextlib.contextmanager
def shell():
    """Start a shell with the extension loaded; end it afterwards, and what it put in place of Python's own."""
    main, hook = sys.modules["__main__"], sys.displayhook
    InteractiveShell.clear_instance()
    ip = InteractiveShell.instance()
    try:
        ip.run_line_magic("load_ext", "nnwidgets")
        yield Shell(ip)
    finally:
        ip.run_line_magic("unload_ext", "nnwidgets")
        InteractiveShell.clear_instance()
        atexit.unregister(ip.atexit_operations)
        ip.atexit_operations()
        sys.modules["__main__"], sys.displayhook = main, hook
