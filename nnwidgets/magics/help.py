"""What ``%nn init?`` says, for each subcommand."""

from __future__ import annotations

import re

from nnwidgets.edit import Initializer, initializers
from nnwidgets.magics.grammar import CELL, USAGE, called
from nnwidgets.text.document import Block, Code, Document, Note, Table, Title

_ABOUT = {
    "tree": "Every module and tensor as text, or what is below a path; --depth says how many levels.",
    "show": "One tensor, with statistics, or one module.",
    "summary": "torchinfo's table. --input is the shape of one input, batch included; without it no forward is run.",
    "tied": "Tensors that share bytes.",
    "check": "What looks wrong, each with code that mends it.",
    "trace": "One forward pass, call by call. X and M are variables, or plain constants.",
    "auto": "Whether a bare `net` at the end of a cell explores.",
    "init": "Fill tensors anew, in place and undoable. A seed is drawn and shown where none is given; torch's global "
    "random state stays as it was.",
    "set": "Set a tensor, or the part of it an index chooses, to a number, a nested list, or a variable that holds a "
    "tensor or array of that shape.",
    "freeze": "Stop parameters from asking for gradients; several targets may follow each other.",
    "unfreeze": "Let parameters ask for gradients again; several targets may follow each other.",
    "undo": "Take back the last change: values, flags, and optimizer state that was cleared with it.",
    "redo": "Make the change again that was undone last, bit for bit.",
    "log": "What was done to the model since it was first changed, with times and seeds.",
    "code": "The changes as Python that uses torch alone and gives equal bits; with a number, one of them.",
    CELL: "Run the cell as the body of fn(m) on each module that matches, as one undoable change. Where it raises, the "
    "model is left bit for bit as it was.",
}

_TARGETS = (
    "a path (0.weight), a glob (block*.0.weight, **.bias), a class (Linear), a tensor of a class (Linear.weight); "
    "a module means all parameters at and below it"
)
_SEED = ("--seed 7", "what random numbers come from")
_PREVIEW = ("--preview", "write nothing, and show the very numbers that the same seed gives")
_CLEAR = ("--clear-state", "clear what optimizers among your variables remember of the tensors; undo brings it back")
_FORCE = ("--force", "do it even where other code has written over what the change left")

_FACTS: dict[str, tuple[tuple[str, str], ...]] = {
    "init": (("target", _TARGETS), ("gain=2", "a parameter, as a plain value"), _SEED, _PREVIEW, _CLEAR),
    "set": (("index", "integers, slices and ... as Python has them: [0, 0], [:, 1:3], [..., -1]"),),
    "freeze": (("target", _TARGETS),),
    "unfreeze": (("target", _TARGETS),),
    "undo": (_FORCE,),
    "redo": (_FORCE,),
    CELL: (
        ("target", "modules: a path, a glob, a class (Linear)"),
        ("m", "the module; change its tensors in place: m.weight.uniform_(-1, 1)"),
        _SEED, _PREVIEW, _CLEAR,
    ),
}  # fmt: skip

_EXAMPLES = {
    "init": "%nn init net 0.weight xavier_uniform_ gain=2 --seed 7\n"
    "%nn init net Linear.weight normal_ std=0.01\n"
    "%nn init net 0 reset",
    "set": "%nn set net 0.weight[0,0] = 42\n%nn set net 0.bias = some_tensor",
    "freeze": "%nn freeze net 0.*",
    "unfreeze": "%nn unfreeze net 0.*",
    "code": "%nn code net\n%nn code net 2",
    CELL: "%%nn_init net Linear\nnn.init.uniform_(m.weight, -10, 10)\nm.weight *= m.weight.abs() >= 5",
}


def help_page(name: str) -> Document:
    """The documentation of a subcommand, or of the cell magic."""
    blocks: list[Block] = [Title(called(name), ""), Note(_ABOUT[name]), Code(USAGE[name])]
    blocks += [Note(f"{word}: {said}.") for word, said in _FACTS.get(name, ())]
    if name in _EXAMPLES:
        blocks += [Note("For example"), Code(_EXAMPLES[name])]
    if name == "init":
        blocks.append(_initializers())
    return tuple(blocks)


def _initializers() -> Table:
    return Table(
        ("initializer", "what it does"), tuple((each.signature, _doc(each)) for each in initializers().values())
    )


def _doc(initializer: Initializer) -> str:
    sentence = _MATH.sub(r"`\1`", initializer.doc.split(". ")[0].rstrip("."))
    return _FILLS.sub("", sentence) or "yours"


_MATH = re.compile(r":math:`\\text\{(\w+)\}`")
_FILLS = re.compile(r"^Fill the (?:input )?`?Tensor`? with (?:values (?:using|drawn from) )?")
