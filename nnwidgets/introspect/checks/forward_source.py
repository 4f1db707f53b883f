"""What a class's ``forward`` reads of ``self`` with and without gradients, from its source text: parsed, never run.

Only functions whose bytecode names ``data``, ``detach`` or ``no_grad`` are looked at, so a model costs next to nothing
where there is nothing to find.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
import textwrap
import types
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from torch import nn

from nnwidgets.introspect.safe_access.objects import class_attribute

_DETACHING = frozenset({"data", "detach", "no_grad", "inference_mode"})
_ABOUT_ONLY = frozenset(
    {"shape", "dtype", "device", "size", "dim", "ndim", "numel", "nelement", "requires_grad", "grad", "is_cuda",
     "element_size", "stride", "layout", "names", "grad_fn", "is_leaf", "type"}
)  # fmt: skip
"""Attributes of a tensor whose reading carries no gradient."""
_MOST_HELPERS = 20

Chain = tuple[str, ...]
"""Attributes from ``self`` on: ``("linear", "weight")``."""


@dataclass(frozen=True, slots=True)
class Detached:
    """A read of something of ``self`` through which no gradient flows.

    Attributes:
        chain: What is read.
        how: ``".data"``, ``".detach()"`` or ``"torch.no_grad()"``.
        line: Line in the file.
        file: The file, or the notebook cell's name.
        fix: The statement rewritten to let gradients through, or None.
    """

    chain: Chain
    how: str
    line: int
    file: str
    fix: str | None


@dataclass(frozen=True, slots=True)
class ForwardReads:
    """What a forward reads of ``self``.

    Attributes:
        detached: Reads that no gradient flows through.
        plain: Everything else it reads.
        is_known: False where part of what it does can't be told, so that nothing may be concluded.
    """

    detached: tuple[Detached, ...] = ()
    plain: frozenset[Chain] = frozenset()
    is_known: bool = True


def names_in_forward(kind: type) -> set[str]:
    """Return the attributes and globals that ``kind``'s forward names."""
    code = _code(class_attribute(kind, "forward"))
    return set() if code is None else _names(code)


def forward_digest(kind: type) -> str:
    """Return a fingerprint of what ``kind``'s forward, and the methods of its own that it calls, do.

    Two processes of one Python say the same of the same code, wherever its file is; comments don't count.

    Example:
        >>> forward_digest(nn.ReLU) == forward_digest(nn.ReLU6)
        False
    """
    made = hashlib.sha256()
    for method, code in _codes(kind).items():
        made.update(f"{method} {_told(code)}\n".encode("utf-8", "surrogatepass"))
    return made.hexdigest()[:32]


def _told(value: object) -> str:
    """Code, or a constant of it, as text without what depends on where it was written or on the process."""
    if type(value) is types.CodeType:
        parts = (value.co_code.hex(), value.co_names, value.co_varnames, value.co_freevars)
        return f"{parts} {[_told(each) for each in value.co_consts if each != value.co_name]}"
    if type(value) in (tuple, frozenset):
        told = [_told(each) for each in cast("Any", value)]
        return str(sorted(told) if type(value) is frozenset else told)
    return repr(value)


def _codes(kind: type) -> dict[str, types.CodeType]:
    """Return the code of ``kind``'s forward and of the methods of its own that it calls, by their names."""
    waiting = ["forward"]
    done: set[str] = set()
    codes: dict[str, types.CodeType] = {}
    while waiting and len(done) < _MOST_HELPERS:
        method = waiting.pop()
        done.add(method)
        code = _code(class_attribute(kind, method))
        if code is None:
            continue
        codes[method] = code
        waiting.extend(
            name for name in sorted(_names(code)) if name not in done and name not in waiting and _is_own(kind, name)
        )
    return codes


def forward_reads(kind: type) -> ForwardReads:
    """Return what ``kind``'s forward, and the methods of its own that it calls, read of ``self``."""
    found = _codes(kind)
    codes = found.values()
    is_switched_off = any(_is_decorated_by_torch(class_attribute(kind, method)) for method in found)
    if not is_switched_off and not any(_names(code) & _DETACHING for code in codes):
        return ForwardReads()
    detached: list[Detached] = []
    plain: set[Chain] = set()
    for code in codes:
        reads = _reads(code)
        if not reads.is_known:
            return ForwardReads(is_known=False)
        detached.extend(reads.detached)
        plain |= reads.plain
    return ForwardReads(tuple(detached), frozenset(plain))


def _is_own(kind: type, name: str) -> bool:
    """Say whether a class has a method of this name that `nn.Module` doesn't give to all."""
    method = class_attribute(kind, name)
    return _code(method) is not None and method is not class_attribute(nn.Module, name)


def _code(function: Any) -> types.CodeType | None:
    """Return the code of a plain function, that under decorators which say what they wrap included."""
    for _ in range(_MOST_HELPERS):
        if type(function) is not types.FunctionType:
            return None
        wrapped = function.__dict__.get("__wrapped__")
        if wrapped is None:
            return function.__code__
        function = wrapped
    return None


def _is_decorated_by_torch(function: Any) -> bool:
    """Say whether a wrapper around this function is one of torch's context managers, as ``@torch.no_grad()`` makes."""
    for _ in range(_MOST_HELPERS):
        if type(function) is not types.FunctionType:
            return False
        if function.__globals__.get("__name__") == "torch.utils._contextlib":
            return True
        function = function.__dict__.get("__wrapped__")
    return False


def _names(code: types.CodeType) -> set[str]:
    """Return every attribute and global that a function and the ones inside it name."""
    names: set[str] = set()
    waiting = [code]
    while waiting:
        current = waiting.pop()
        names.update(current.co_names)
        waiting.extend(constant for constant in current.co_consts if type(constant) is types.CodeType)
    return names


@lru_cache(maxsize=1024)
def _reads(code: types.CodeType) -> ForwardReads:
    function = _parse(code)
    if function is None or not code.co_argcount:
        return ForwardReads(is_known=False)
    reader = _Reader(code.co_varnames[0], code.co_filename, code.co_firstlineno - _first_line(function))
    reader.read(function)
    return ForwardReads(tuple(reader.detached), frozenset(reader.plain), reader.is_known)


def _parse(code: types.CodeType) -> ast.FunctionDef | None:
    """Return the syntax tree of the function whose code this is, or None where its source isn't there."""
    lines = linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :]
    try:
        tree = ast.parse(textwrap.dedent("".join(inspect.getblock(lines))))
    except (SyntaxError, ValueError, RecursionError, MemoryError, IndexError):
        return None
    first = tree.body[0] if tree.body else None
    return first if isinstance(first, ast.FunctionDef) and first.name == code.co_name else None


def _first_line(function: ast.FunctionDef) -> int:
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])


class _Reader:
    """Sorts what a function reads of ``self`` into detached and plain."""

    def __init__(self, self_name: str, file: str, line_offset: int) -> None:
        self.detached: list[Detached] = []
        self.plain: set[Chain] = set()
        self.is_known = True
        self._self = self_name
        self._file = file
        self._offset = line_offset
        self._locals: dict[str, Chain] = {}
        self._statement: ast.stmt | None = None

    def read(self, function: ast.FunctionDef) -> None:
        self._locals = _aliases(function, self._self)
        off = any(_turns_gradients_off(decorator) for decorator in function.decorator_list)
        for statement in function.body:
            self._visit(statement, off=off)

    def _visit(self, node: ast.AST, *, off: bool) -> None:
        if isinstance(node, ast.stmt):
            self._statement = node
        if isinstance(node, ast.With):
            self._visit_with(node, off=off)
        elif isinstance(node, ast.Assign):
            self._visit_assignment(node, off=off)
        elif isinstance(node, ast.Expr) and self._is_for_effect(node.value):
            call = cast("ast.Call", node.value)
            for argument in [*call.args, *call.keywords]:
                self._visit(argument, off=off)
        else:
            chain = self._chain(node) if isinstance(node, (ast.Attribute, ast.Name)) else None
            if chain is not None:
                self._take(chain, off=off)
                return
            for child in ast.iter_child_nodes(node):
                self._visit(child, off=off)

    def _visit_with(self, node: ast.With, *, off: bool) -> None:
        inside_off = off or any(_turns_gradients_off(item.context_expr) for item in node.items)
        for item in node.items:
            self._visit(item, off=off)
        for statement in node.body:
            self._visit(statement, off=inside_off)

    def _visit_assignment(self, node: ast.Assign, *, off: bool) -> None:
        if not self._is_alias(node):
            self._visit(node.value, off=off)
        self._statement = node
        for target in node.targets:
            self._visit_target(target, off=off)

    def _is_for_effect(self, value: ast.expr) -> bool:
        """Say whether a call is made for what it does, as ``self.weight.data.clamp_(0, 1)``: nothing flows on."""
        if not isinstance(value, ast.Call):
            return False
        chain = self._chain(value.func)
        return chain is not None and len(chain) > 1 and bool(set(chain) & {"data", "detach"})

    def _is_alias(self, node: ast.Assign) -> bool:
        return isinstance(node.targets[0], ast.Name) and node.targets[0].id in self._locals

    def _visit_target(self, target: ast.expr, *, off: bool) -> None:
        """What is only assigned to is not read, but the indices inside are."""
        if isinstance(target, ast.Subscript):
            self._visit(target.slice, off=off)
        elif not isinstance(target, (ast.Name, ast.Attribute)):
            for child in ast.iter_child_nodes(target):
                self._visit(child, off=off)

    def _chain(self, node: ast.expr) -> Chain | None:
        """Return the attributes from ``self`` on, through locals that only rename them; None for anything else."""
        steps: list[str] = []
        while isinstance(node, ast.Attribute):
            steps.append(node.attr)
            node = node.value
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "detach":
                node = node.func
        steps.reverse()
        if not isinstance(node, ast.Name):
            return None
        if node.id == self._self:
            return tuple(steps)
        if node.id in self._locals:
            return (*self._locals[node.id], *steps)
        return None

    def _take(self, chain: Chain, *, off: bool) -> None:
        if not chain:
            # self itself is handed on: whoever gets it may read anything of it.
            self.is_known = False
            return
        for index, step in enumerate(chain):
            if index and step in {"data", "detach"}:
                rest = chain[index + 1 :]
                if not rest or rest[0] not in _ABOUT_ONLY:
                    self._add(chain[:index], ".data" if step == "data" else ".detach()")
                return
        if chain[-1] in _ABOUT_ONLY and len(chain) > 1:
            return
        if off:
            self._add(chain, "torch.no_grad()")
        else:
            self.plain.add(chain)

    def _add(self, chain: Chain, how: str) -> None:
        statement = self._statement
        line = (statement.lineno if statement is not None else 1) + self._offset
        fix = _rewrite(statement) if how != "torch.no_grad()" else None
        self.detached.append(Detached(chain, how, line, self._file, fix))


def _aliases(function: ast.FunctionDef, self_name: str) -> dict[str, Chain]:
    """Return locals that are bound once, to something of ``self``: ``w = self.weight``."""
    bound: dict[str, int] = {}
    chains: dict[str, Chain] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            bound[node.id] = bound.get(node.id, 0) + 1
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            steps: list[str] = []
            value: ast.expr = node.value
            while isinstance(value, ast.Attribute):
                steps.append(value.attr)
                value = value.value
            is_tensor_read = steps and not set(steps) & (_ABOUT_ONLY | {"data", "detach"})
            if is_tensor_read and isinstance(value, ast.Name) and value.id == self_name:
                chains[node.targets[0].id] = tuple(reversed(steps))
    arguments = {argument.arg for argument in ast.walk(function) if isinstance(argument, ast.arg)}
    return {name: chain for name, chain in chains.items() if bound[name] == 1 and name not in arguments}


def _turns_gradients_off(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else node
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return name in {"no_grad", "inference_mode"}


class _Undetach(ast.NodeTransformer):
    """Takes ``.data`` and ``.detach()`` off."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        return node.value if node.attr == "data" else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called = node.func
        is_detach = isinstance(called, ast.Attribute) and called.attr == "detach" and not node.args
        return called.value if is_detach and isinstance(called, ast.Attribute) else node


def _rewrite(statement: ast.stmt | None) -> str | None:
    """Return a simple statement with gradients let through."""
    if not isinstance(statement, (ast.Assign, ast.Return, ast.AugAssign, ast.AnnAssign)):
        return None
    copy = ast.parse(ast.unparse(statement))
    return ast.unparse(_Undetach().visit(copy))
