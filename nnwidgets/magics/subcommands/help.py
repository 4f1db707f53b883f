"""What ``%nn init?`` says, for each subcommand."""

from __future__ import annotations

import re

from nnwidgets.edit import Initializer, initializers
from nnwidgets.magics.line.grammar import CELL, USAGE, called
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
    "save": "Save a model, or a tensor, a list or a dict of tensors. The old file is there until the new one is whole, "
    "and what was written is read back and compared.",
    "load": "Load a file into a model in place: planned first, checked whole, all or nothing, undoable. Where the "
    "variable holds no model, it is given what is in the file.",
    "diff": "Compare two state dicts, each in a model or a file: what was added, removed, changed, and by how much.",
    "ls": "The checkpoints of a folder; of a file, its tensors, read from its header alone.",
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
    "save": (
        ("file", ".safetensors gives that format, a folder or --shards gives shards with an index, all else torch's"),
        ("--overwrite", "write over a file that is there"),
        ("--optimizer adam", "save this optimizer's state beside the model"),
        ("--shards 2GB", "cut it into files of at most that size"),
        ("--no-verify", "don't read it back"),
    ),
    "load": (
        ("--dry-run", "show the plan, and load nothing"),
        (
            "--rename out=output",
            r"what is out in the file is output in the model; parts of names will do, and re:^h(\d+)=layers.\1",
        ),
        ("--partial", "load what fits, where not all does"),
        ("--optimizer adam", "give this optimizer the state that is in the file"),
    ),
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
    "save": "%nn save net mlp.params\n%nn save net mlp.safetensors --overwrite\n%nn save tensors x.pt",
    "load": "%nn load net mlp.params --dry-run\n%nn load net mlp.params --rename out=output\n%nn load x x.pt",
    "diff": "%nn diff net mlp.params\n%nn diff before.pt after.pt",
    "ls": "%nn ls\n%nn ls mlp.params",
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
