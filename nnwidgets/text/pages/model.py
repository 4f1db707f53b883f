"""What there is to say of a tree, a tensor, a module, ties, findings and a trace: one document each."""

from __future__ import annotations

from collections.abc import Sequence

from nnwidgets.formatting import (
    counted,
    dtype_short,
    exact_count,
    inert,
    rank_names,
    shape_text,
    short_bytes,
    short_count,
)
from nnwidgets.introspect.data_flow.flow_graph import FlowEdge, FlowGraph
from nnwidgets.introspect.data_flow.written import node_title
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.module_tree.text import count_text, lines, totals_text
from nnwidgets.introspect.records import Finding, TensorEntry, TensorStats, TieGroup, TraceCall
from nnwidgets.introspect.tracing.trace_record import RankTrace, Trace
from nnwidgets.sentences import told
from nnwidgets.text.document import Bars, Block, Code, Document, Facts, Flow, Note, Outline, Table, Title
from nnwidgets.text.flow_layout import MOST_DRAWN

MOST_ROWS = 500
"""Rows of a tree or table; what is left out is counted."""

_MOST_MEMBERS = 50
_MOST_SHAPES = 4
_MOST_TAKEN = 6
_MOST_UNUSED = 20


def tree_page(
    tree: ModuleTree, *, path: str = "", name: str | None = None, depth: int | None = None, most: int = MOST_ROWS
) -> Document:
    """The tree, or what is below ``path``, ``depth`` levels of it."""
    shown, n_more = lines(tree, path=path, name=path or name, depth=depth, most=most)
    outline = Outline(shown, n_more)
    return (outline,) if path else (outline, Note(totals_text(tree)))


def tensor_page(
    entry: TensorEntry,
    stats: TensorStats | None = None,
    *,
    unread: str | None = None,
    gradient: TensorStats | None = None,
) -> Document:
    """One tensor: what is known without its data and, where it was read, its statistics.

    Args:
        entry: The tensor.
        stats: Its statistics.
        unread: Why there are none.
        gradient: Those of its gradient.
    """
    facts = [(name, _of_gradient(gradient) if name == "gradient" and gradient else said)
             for name, said in _tensor_facts(entry)]  # fmt: skip
    blocks: list[Block] = [Title(entry.path, entry.class_name), Facts(tuple(facts))]
    if entry.problem:
        blocks.append(Note(entry.problem, "warning"))
    if stats is not None:
        blocks += _statistics(stats)
    elif unread and unread != entry.problem:
        blocks.append(Note(f"No statistics: {unread}", "note"))
    return tuple(blocks)


def table_of(heads: Sequence[str], rows: Sequence[tuple[str, ...]], *, right: tuple[int, ...] = ()) -> Table:
    """A table of the first rows, and how many more there are."""
    return Table(tuple(heads), tuple(rows[:MOST_ROWS]), right, max(0, len(rows) - MOST_ROWS))


def gradient_page(of: TensorEntry, found: TensorStats | str) -> Document:
    """The gradient of a tensor, with its statistics or why there are none."""
    facts = tuple(fact for fact in _tensor_facts(of) if fact[0] in {"shape", "device", "elements"})
    about = [Note(f"No statistics: {found}", "note")] if isinstance(found, str) else _statistics(found)
    return (Title(f"{of.path}.grad", "gradient"), Facts(facts), *about)


def stats_page(stats: TensorStats) -> Document:
    """Statistics of one tensor."""
    said = "" if stats.of == "all" else stats.of
    title = Title(counted(stats.n, "element", exact_count), said)
    return (title, *_statistics(stats), *_shares(stats))


def _shares(stats: TensorStats) -> list[Block]:
    """What each rank holds of a tensor over ranks."""
    rows = [
        (
            str(each.rank),
            ", ".join(map(str, each.part)) or "all",
            exact_count(each.n),
            *(number(value) for value in (each.min, each.mean, each.max, each.norm)),
            exact_count(each.n_nan + each.n_inf),
        )
        for each in stats.by_rank[:MOST_ROWS]
    ]
    blocks: list[Block] = [Table(_SHARE_HEADS, tuple(rows))] if rows else []
    if stats.missing:
        blocks.append(Note(f"The part of {rank_names(stats.missing)} is missing: no answer came.", "warning"))
    return blocks


_SHARE_HEADS = ("rank", "part", "elements", "min", "mean", "max", "norm", "NaN or inf")


def module_page(
    tree: ModuleTree, path: str, *, name: str | None = None, findings: Sequence[Finding] = (), most: int = MOST_ROWS
) -> Document:
    """One module: its counts, and its tensors and children one level deep."""
    node = tree.find(path) if path else tree.root
    if not isinstance(node, ModuleNode):
        raise TypeError(f"{path} is a tensor")
    pairs = [("path", node.path or "the model itself"), ("parameters", count_text(node.n_params))]
    if node.summary:
        pairs.insert(1, ("shape", node.summary))
    if node.training is not None:
        pairs.append(("mode", "train" if node.training else "eval"))
    if node.alias_of is not None:
        pairs.append(("same module as", node.alias_of or "the model itself"))
    blocks: list[Block] = [Title(path or name or node.path or node.class_name, node.class_name), Facts(tuple(pairs))]
    if node.problem:
        blocks.append(Note(node.problem, "warning"))
    shown, n_more = lines(tree, path=path, name=path or name or node.path, depth=1, most=most)
    if len(shown) > 1:
        blocks.append(Outline(shown, n_more))
    here = [finding for finding in findings if _is_within(finding.path, path)]
    if here:
        blocks += findings_page(here)
    return tuple(blocks)


def node_page(node: ModuleNode) -> Document:
    """One module, without the tree that it is in."""
    nodes = tuple(node.walk())
    tensors = tuple(entry for each in nodes for entry in each.tensors)
    return module_page(ModuleTree(node, nodes, tensors, (), node.n_params, node.n_params, 0), "")


def tie_page(group: TieGroup) -> Document:
    """One group of names."""
    return ties_page((group,))


def ties_page(ties: Sequence[TieGroup]) -> Document:
    """Groups of names that reach the same bytes."""
    if not ties:
        return (Note("No tensors are tied."),)
    rows = []
    for group in ties[:MOST_ROWS]:
        members = list(group.members[:_MOST_MEMBERS])
        if len(group.members) > _MOST_MEMBERS:
            members.append(f"… {exact_count(len(group.members) - _MOST_MEMBERS)} more")
        rows.append((group.id, _TIE_KINDS[group.kind], short_bytes(group.shared_bytes), members[0]))
        rows += [("", "", "", member) for member in members[1:]]
    table = Table(("tie", "what", "shared", "names"), tuple(rows), right=(2,), n_more=max(0, len(ties) - MOST_ROWS))
    return (table,)


_TIE_KINDS = {
    "object": "one tensor, several names",
    "storage": "same bytes, same shape",
    "view": "same bytes, seen otherwise",
    "overlap": "some bytes in common",
}


def findings_page(findings: Sequence[Finding]) -> Document:
    """Findings, each with where it is and the code that mends it."""
    if not findings:
        return (Note("Nothing found."),)
    blocks: list[Block] = []
    mended: dict[str, str] = {}
    for finding in findings[:MOST_ROWS]:
        where = finding.path or "the model"
        if finding.ranks:
            where += f" on {rank_names(finding.ranks)}"
        blocks.append(Note(f"{told(finding.message)} [{finding.code}]", finding.severity, where=where))
        if finding.fix:
            first = mended.setdefault(finding.fix, where)
            # The same lines may mend several, as new weights for all layers do.
            is_said = first != where
            blocks.append(Note(f"The lines for {first} mend it too.") if is_said else Code(finding.fix))
    if len(findings) > MOST_ROWS:
        blocks.append(Note(f"… {counted(len(findings) - MOST_ROWS, 'more finding', exact_count)}"))
    return tuple(blocks)


def finding_page(finding: Finding) -> Document:
    """One finding."""
    return findings_page((finding,))


def trace_page(trace: Trace, *, name: str | None = None) -> Document:
    """A forward pass, call by call, and where it raised."""
    blocks: list[Block] = [_calls(trace.calls, name)]
    if trace.error is not None:
        where = trace.failed_at
        at = "the forward" if where is None else where or name or "the model itself"
        got = next((call for call in reversed(trace.calls) if call.path == where), None)
        given = f" on {shapes_text(got.input_shapes, got.input_dtypes)}" if got is not None else ""
        blocks.append(Note(f"raised{given}: {trace.error}", "error", where=at))
    else:
        said = [counted(len(trace.calls), "call", exact_count), _seconds(trace.seconds), *work_text(trace.flops)]
        if trace.local_flops is not None and trace.local_flops != trace.flops:
            said.append(f"{short_count(trace.local_flops)} done {'on all ranks' if trace.by_rank else 'here'}")
        if trace.saved_bytes is not None:
            said.append(f"autograd keeps {short_bytes(trace.saved_bytes)} for a backward")
        blocks.append(Note(" · ".join(said)))
    if trace.by_rank:
        blocks.append(_ranks_of_trace(trace.by_rank))
    if trace.unused:
        more = len(trace.unused) - _MOST_UNUSED
        names = ", ".join(trace.unused[:_MOST_UNUSED]) + (f" and {exact_count(more)} more" if more > 0 else "")
        blocks.append(Note(f"never called: {names}", "note"))
    return tuple(blocks)


def flow_page(graph: FlowGraph) -> Document:
    """Every node in the order they began, what is in a box below it, and from which others each takes its tensors."""
    into: dict[int, list[FlowEdge]] = {}
    for edge in graph.edges:
        into.setdefault(edge.target, []).append(edge)
    levels: list[int] = []
    for node in graph.nodes:
        levels.append(0 if node.parent is None else levels[node.parent] + 1)
    rows = [
        (str(node.id), "  " * min(level, 12) + node_title(node, graph), node.class_name, _taken(into.get(node.id, [])))
        for node, level in zip(graph.nodes[:MOST_ROWS], levels, strict=False)
    ]
    heads = ("#", "node", "class", "takes from #")
    is_drawn = len(graph.nodes) <= MOST_DRAWN
    n_more, behind = max(0, len(graph.nodes) - MOST_ROWS), "The same as a table" if is_drawn else ""
    blocks: list[Block] = [Flow(graph)] if is_drawn else []
    blocks.append(Table(heads, tuple(rows), right=(0,), n_more=n_more, behind=behind))
    closed = sum(node.n_calls for node in graph.nodes if not node.is_open)
    said = [counted(len(graph.nodes), "node", exact_count), counted(len(graph.edges), "edge", exact_count)]
    if closed:
        said.append(f"{counted(closed, 'call', exact_count)} in closed boxes, which a greater depth opens")
    if any(edge.is_to_next for edge in graph.edges):
        said.append("↻ from the one before in the row")
    blocks.append(Note(" · ".join(said)))
    return tuple(blocks)


def _taken(edges: list[FlowEdge]) -> str:
    told = [
        f"{'↻' if edge.is_to_next else ''}{edge.source} {shape_text(edge.shape)}"
        + (f" + {edge.n_tensors - 1:,}" if edge.n_tensors > 1 else "")
        for edge in edges[:_MOST_TAKEN]
    ]
    more = len(edges) - _MOST_TAKEN
    return ", ".join(told) + (f" and {more:,} more" if more > 0 else "")


def call_page(call: TraceCall) -> Document:
    """One call."""
    return (_calls((call,), None),)


def _calls(calls: Sequence[TraceCall], name: str | None) -> Table:
    heads: tuple[str, ...] = ("call", "input", "output", "time", "flops", "mult-adds", "kept for backward")
    if all(call.saved_bytes is None for call in calls):
        heads = heads[:-1]
    rows = tuple(_call_row(call, name)[: len(heads)] for call in calls[:MOST_ROWS])
    return Table(heads, rows, right=(3, 4, 5, 6), n_more=max(0, len(calls) - MOST_ROWS))


def _ranks_of_trace(by_rank: Sequence[RankTrace]) -> Table:
    rows = [
        (
            str(each.rank),
            _seconds(each.seconds),
            "" if each.flops is None else short_count(each.flops),
            "" if each.saved_bytes is None else short_bytes(each.saved_bytes),
            "" if each.error is None else f"{each.failed_at or 'the model itself'}: {each.error}",
        )
        for each in by_rank
    ]
    heads = ("rank", "time", "flops done", "kept for backward", "raised")
    n_heads = len(heads) if any(each.error for each in by_rank) else len(heads) - 1
    return table_of(heads[:n_heads], [row[:n_heads] for row in rows], right=(1, 2, 3))


def _tensor_facts(entry: TensorEntry) -> list[tuple[str, str]]:
    facts = [
        ("role", entry.role),
        ("shape", shape_text(entry.shape) if entry.shape is not None else "not known yet"),
        ("dtype", entry.dtype),
        ("device", entry.device),
        ("elements", exact_count(entry.n_elements)),
        ("size", short_bytes(entry.size_bytes)),
    ]
    if entry.held is not None:
        facts.append(("held", entry.held.how))
        facts.append(("here", f"{shape_text(entry.local_shape)} · {short_bytes(entry.local_bytes)}"))
    if entry.layout != "strided":
        facts.append(("layout", entry.layout))
    if entry.role == "parameter":
        facts.append(("trainable", "yes" if entry.requires_grad else "no, frozen"))
        facts.append(("gradient", "yes" if entry.has_grad else "none"))
    if entry.role == "buffer":
        facts.append(("saved", "yes" if entry.persistent else "no, not persistent"))
    if entry.tie is not None:
        facts.append(("tie group", entry.tie))
    return facts


def _of_gradient(stats: TensorStats) -> str:
    """The gradient in a few words: its spread, and what of it is not finite."""
    odd = [f"{exact_count(count)} {what}" for count, what in ((stats.n_nan, "NaN"), (stats.n_inf, "inf")) if count]
    return " · ".join([f"std {number(stats.std)}", *odd])


def _statistics(stats: TensorStats) -> list[Block]:
    about = "" if stats.is_exact else "≈ "
    pairs = [(name, about + number(getattr(stats, name))) for name in ("mean", "std", "min", "max", "norm")]
    pairs.append(("zeros", about + exact_count(stats.n_zero)))
    odd = [(name, exact_count(n)) for name, n in (("NaN", stats.n_nan), ("infinite", stats.n_inf)) if n]
    if odd:
        n_finite = stats.n - stats.n_nan - stats.n_inf
        pairs += [*odd, ("of", f"the {counted(n_finite, 'finite element', exact_count)}")]
    if stats.of != "all":
        pairs.append(("of", stats.of))
    elif not stats.is_exact:
        pairs.append(("from", f"a sample of {counted(stats.n, 'element', short_count)}"))
    blocks: list[Block] = [Facts(tuple(pairs))]
    if any(stats.hist_counts):
        blocks.append(Bars(stats.hist_counts, number(stats.hist_edges[0]), number(stats.hist_edges[-1])))
    return blocks


def number(value: float) -> str:
    """A statistic in six significant digits.

    Example:
        >>> number(0.25), number(float("nan")), number(1234567.0)
        ('0.25', 'NaN', '1.23457e+06')
    """
    return "NaN" if value != value else f"{value:.6g}"  # noqa: PLR0124 - NaN differs from itself


def _call_row(call: TraceCall, name: str | None) -> tuple[str, ...]:
    called = call.path or name or "the model itself"
    again = f" (call {call.call_index + 1})" if call.call_index else ""
    failed = call.seconds is None
    return (
        "  " * min(call.depth, 12) + called + again,
        shapes_text(call.input_shapes, call.input_dtypes),
        "raised" if failed else shapes_text(call.output_shapes, call.output_dtypes),
        "" if call.seconds is None else _seconds(call.seconds),
        "" if call.flops is None else short_count(call.flops),
        "" if call.mult_adds is None else short_count(call.mult_adds),
        "" if call.saved_bytes is None else short_bytes(call.saved_bytes),
    )


def shapes_text(shapes: Sequence[tuple[int, ...]], dtypes: Sequence[str]) -> str:
    """Shapes with their dtypes, the first few.

    Example:
        >>> shapes_text([(2, 20)], ["float32"])
        '2 × 20 f32'
    """
    pairs = list(zip(shapes, dtypes, strict=False))[:_MOST_SHAPES]
    shown = ", ".join(f"{shape_text(shape)} {dtype_short(dtype)}" for shape, dtype in pairs)
    more = len(shapes) - _MOST_SHAPES
    return f"{shown}, … {more} more" if more > 0 else shown or "–"


def work_text(flops: int | None) -> list[str]:
    """Floating-point operations as they are told in a line; nothing where they aren't known.

    Example:
        >>> work_text(30_720)
        ['30.72 K flops (15.36 K mult-adds)']
    """
    if flops is None:
        return []
    return [f"{counted(flops, 'flop', short_count)} ({counted(flops // 2, 'mult-add', short_count)})"]


def _seconds(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"  # noqa: PLR2004 - a millisecond


def inert_code(source: str) -> str:
    r"""Code whose every line is inert and whole; tabs stay, since they may be its indentation.

    Example:
        >>> inert_code("if x:\n\ty = '\u202e'")
        "if x:\n\ty = '\\u202e'"
    """
    return "\n".join("\t".join(inert(part, len(part)) for part in line.split("\t")) for line in source.split("\n"))


def _is_within(path: str, above: str) -> bool:
    return not above or path == above or path.startswith((f"{above}.", f"{above}["))
