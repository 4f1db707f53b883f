"""What a test learns from a notebook's kernel, past every output."""

from __future__ import annotations

import ast
import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def plain(traceback: Sequence[str]) -> str:
    """Return a traceback without its colours."""
    return ANSI.sub("", "\n".join(traceback))


class AsksKernel(ABC):
    """A notebook whose kernel can be asked."""

    def execute(self, code: str) -> None:
        """Run code in the kernel, in no cell."""
        self._ask(code, {})

    def kernel(self, expression: str) -> Any:
        """Return a JSON-safe expression's value in the kernel."""
        wrapped = {"value": f"__import__('json').dumps({expression})"}
        answer = self._ask("", wrapped)["user_expressions"]["value"]
        if answer["status"] != "ok":
            raise AssertionError(f"{expression}: {answer['ename']}: {answer['evalue']}")
        return json.loads(ast.literal_eval(answer["data"]["text/plain"]))

    def wait_for(self, expression: str, value: Any, *, within: float = 20.0) -> None:
        """Ask the kernel again and again until an expression has a value; a page's message is on its way to it."""
        give_up = time.monotonic() + within
        while (found := self.kernel(expression)) != value:
            if time.monotonic() > give_up:
                raise AssertionError(f"{expression} is {found!r}, expected {value!r}")

    def _ask(self, code: str, expressions: dict[str, str]) -> dict[str, Any]:
        content = self._asked(code, expressions)
        if content["status"] != "ok":
            raise AssertionError(plain(content.get("traceback", [str(content)])))
        return content

    @abstractmethod
    def _asked(self, code: str, expressions: dict[str, str]) -> dict[str, Any]:
        """Return the content of the kernel's reply to a request to execute."""
