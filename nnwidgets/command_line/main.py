"""Arguments in, an exit code out. Torch is imported once they are known to be right."""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nnwidgets.command_line import output
from nnwidgets.errors import NNWidgetsError

if TYPE_CHECKING:
    from nnwidgets.command_line.commands import Outcome

_UNREADABLE, _INTERRUPTED = 2, 130

_ABOUT = """Look into checkpoints without a model and without running any code in them: torch's files, safetensors,
sharded and distributed ones, and folders of them."""

_CODES = """exit codes: 0 fine, or the same; 1 something differs, doesn't fit, or is wrong; 2 a file can't be read, or
the command was called wrongly."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Those of the command line; the process's own where None.

    Returns:
        0 where all is fine or the same, 1 where something differs, doesn't fit or is wrong, 2 where a file can't be
        read, 130 where it was interrupted.

    Raises:
        SystemExit: With 2 where the arguments make no sense, with 0 after help.

    Example:
        >>> import tempfile, torch
        >>> file = tempfile.mkdtemp() + "/x.pt"
        >>> torch.save({"w": torch.zeros(2)}, file)
        >>> main(["diff", file, file])
        x.pt = x.pt · equal
        1 tensor, every bit the same.
        0
    """
    given = _parser().parse_args(arguments)
    try:
        return _run(given)
    except NNWidgetsError as error:
        output.complain(str(error))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception:  # noqa: BLE001 - a fault of ours must not read as "it differs", which is what 1 says
        traceback.print_exc()
    return _UNREADABLE


def _run(given: argparse.Namespace) -> int:
    commands: Any = import_module("nnwidgets.command_line.commands")
    outcomes: list[Outcome] = []
    try:
        outcomes += getattr(commands, given.run)(given)
    except NNWidgetsError as error:
        outcomes.append(commands.unreadable(error))
    if given.html and not all(each.error for each in outcomes):
        output.write_html(outcomes, given.html, given.files if "files" in given else [given.a, given.b])
    if given.json:
        output.write_json(outcomes, is_list="files" in given)
    else:
        output.write_text(outcomes)
    for each in outcomes:
        if each.error is not None:
            output.complain(str(each.error))
    return max(each.code for each in outcomes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("nnwidgets", description=_ABOUT, epilog=_CODES, allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", metavar="peek|tree|check|diff|plan", required=True)

    def command(name: str, run: str, about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about, epilog=_CODES, allow_abbrev=False)
        made.set_defaults(run=run)
        made.add_argument("--json", action="store_true", help="write one JSON document and nothing else")
        made.add_argument("--html", metavar="REPORT", help="write a page of HTML there, too: no script, nothing loaded")
        made.add_argument(
            "--filter", metavar="GLOB", action="append", default=[],
            help="only tensors whose names it fits, or that are below those; !GLOB for the others; may be repeated",
        )  # fmt: skip
        made.add_argument(
            "--entry", metavar="NAME", help="which state dict, where a file holds several; peek lists them"
        )
        return made

    peek = command("peek", "peek", "what is in each file, from its header alone")
    tree = command("tree", "show_tree", "the names in each file as a tree; in --html with each tensor's statistics")
    check = command(
        "check", "check", "read each file, compare checksums, look for NaN, infinities, zeros and tensors stored twice"
    )
    for each in (peek, tree, check):
        each.add_argument("files", nargs="+", metavar="FILE", help="a file, an index of shards, or a folder")
    tree.add_argument("--depth", type=_count, help="levels of groups to show")
    diff = command("diff", "diff", "what differs from A to B, and by how much; exit code 1 where something does")
    diff.add_argument("a", metavar="A")
    diff.add_argument("b", metavar="B")
    for name in ("--rtol", "--atol"):
        diff.add_argument(name, type=float, default=0.0, help="let differences pass, as in torch.testing.assert_close")
    plan = command("plan", "plan", "how the tensors of B would go into the names of A; exit code 1 where not all do")
    plan.add_argument("a", metavar="A")
    plan.add_argument("b", metavar="B")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of levels")
    return int(text)
