"""Documents as HTML, without script: for exports, nbviewer, untrusted notebooks. No other file builds HTML.

The structure carries the meaning (headings, tables, lists, ``<details>``), so that it survives a sanitizer that takes
every ``style`` away. Colours are the page's own, dimmed by opacity, so that light and dark both work.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence

from nnwidgets.formatting import counted, exact_count, inert
from nnwidgets.introspect.module_tree.text import TextRow
from nnwidgets.sentences import head, told, told_where_it_speaks
from nnwidgets.text.document import (
    Bars,
    Block,
    Code,
    Curves,
    Document,
    Facts,
    Flow,
    Note,
    Outline,
    Preformatted,
    Table,
    Title,
)
from nnwidgets.text.flow_layout import Box, Line, lay_out_flow
from nnwidgets.text.pages.model import inert_code

_MOST_NAME = 120
_MOST_WORDS = 2_000
_MOST_CODE = 20_000
_MOST_WRITTEN = 200_000
_MOST_LEVELS = 100
_OPEN_LEVELS = 2
_N_BARS = 32
_SHORT = 24
"""Most signs of a cell that isn't broken into lines where a host has little room for tables."""

_FONT = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.5"
_DIM = "opacity:.75"
_NUMBER = "text-align:right;font-variant-numeric:tabular-nums"
_LIST = "list-style:none;margin:0;padding-left:1.4em"
_LEAF = "padding-left:1.1em"
_CODE = "margin:2px 0 12px 1.4em;padding-left:8px;border-left:2px solid;opacity:.85"
_TABLE = '<table cellpadding="4">'
"""Keeps columns apart where nothing else does: any style that a host has for tables goes before it."""

DOCTYPE = "<!doctype html>"
"""How a page begins."""

_STYLE = (
    ":root{color-scheme:light dark}body{margin:1.5em auto;padding:0 1em;max-width:90em}"
    "table{border-collapse:collapse;margin:2px 0 8px}th,td{padding:1px 14px 1px 0;white-space:nowrap}"
    "thead th{font-weight:500;opacity:.75}tbody tr:hover{background:#8882}summary{cursor:pointer}"
    "li{overflow-x:auto}"
)


def render_html(document: Document) -> str:
    """A document as one ``<div>``.

    Example:
        >>> render_html((Title("<b>", "Linear"),)).endswith("<p><b>&lt;b&gt;</b> · Linear</p></div>")
        True
    """
    return f'<div style="{_FONT}">{"".join(part for block in document for part in _parts(block))}</div>'


def render_page(document: Document, title: str) -> str:
    """A document as a page by itself: no script, nothing from elsewhere, and a policy that lets neither in.

    Example:
        >>> page = render_page((Title("<b>", "Linear"),), "<b>")
        >>> page[:15], "<title>&lt;b&gt;</title>" in page, "<script" in page
        ('<!doctype html>', True, False)
    """
    return (
        f'{DOCTYPE}\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{_safe(title)}</title><style>{_STYLE}</style></head><body>{render_html(document)}</body></html>\n"
    )


def _parts(block: Block) -> Iterator[str]:  # noqa: C901 - one way per kind of block
    match block:
        case Title():
            detail = f" · {_safe(block.detail)}" if block.detail else ""
            yield f"<p><b>{_safe(block.text)}</b>{detail}</p>"
        case Facts():
            yield from _facts(block)
        case Table():
            yield from _table(block)
        case Outline():
            yield from _outline(block)
        case Note():
            sign = f"<b>{block.sign}</b> " if block.severity else ""
            where = f"<code>{_safe(told_where_it_speaks(block.where))}</code>: " if block.where else ""
            yield f"<p>{sign}{where}{_safe(block.line, _MOST_WORDS)}</p>"
        case Code():
            whole = html.escape(inert_code(block.source)) if block.is_whole else ""
            yield f'<pre style="{_CODE}"><code>{whole or _safe_lines(block.source, _MOST_CODE)}</code></pre>'
        case Bars():
            yield from _bars(block)
        case Curves():
            yield from _curves(block)
        case Flow():
            yield from _flow(block)
        case Preformatted():
            yield f"<pre>{_safe_lines(block.text, _MOST_WRITTEN)}</pre>"


def _safe(text: str, most: int = _MOST_NAME) -> str:
    return html.escape(inert(text, most))


def _safe_lines(text: str, most: int) -> str:
    return "\n".join(_safe(line, most) for line in text[:most].split("\n"))


def _facts(block: Facts) -> Iterator[str]:
    yield f"{_TABLE}<tbody>"
    for name, value in block.pairs:
        yield f'<tr><th scope="row" style="text-align:left;{_DIM}">{_safe(head(name))}</th>'
        yield f'<td style="text-align:left">{_safe(told_where_it_speaks(value))}</td></tr>'
    yield "</tbody></table>"


def _table(block: Table) -> Iterator[str]:
    if block.behind:
        yield f"<details><summary>{_safe(told(block.behind))}</summary>"
    yield f"{_TABLE}<thead><tr>"
    yield from (
        f'<th scope="col"{_alignment(column, block.right, said, breaks=not said.isascii())}>{said}</th>'
        for column, said in enumerate(_safe(head(each)) for each in block.heads)
    )
    yield "</tr></thead><tbody>"
    for row in block.rows:
        yield "<tr>"
        for column, cell in enumerate(row):
            indent = len(cell) - len(cell.lstrip(" "))
            said = _safe(told_where_it_speaks(cell.lstrip(" ")))
            breaks = not said.isascii() or " " in said or "-" in said[1:]  # as Chinese, and 1e-08
            yield f"<td{_alignment(column, block.right, said, breaks=breaks)}>{'&nbsp;' * min(indent, 40)}{said}</td>"
        yield "</tr>"
    yield "</tbody></table>"
    if block.n_more:
        yield f"<p>… {exact_count(block.n_more)} more</p>"
    if block.behind:
        yield "</details>"


def _alignment(column: int, right: Sequence[int], said: str, *, breaks: bool) -> str:
    on_one_line = ";white-space:nowrap" if breaks and len(said) <= _SHORT else ""
    return f' style="{_NUMBER if column in right else "text-align:left"}{on_one_line}"'


def _outline(block: Outline) -> Iterator[str]:
    """Nest the rows by their level; beyond a hundred levels they stay side by side, with the level said."""
    lines = block.lines
    levels = [min(line.level, _MOST_LEVELS) for line in lines]
    n_open = at = 0
    yield f'<ul style="{_LIST}">'
    while at < len(lines):
        line, end = lines[at], _end_of_tensors(block, at)
        below = levels[end] if end < len(lines) else 0
        if below > levels[at]:
            is_open = " open" if line.level < _OPEN_LEVELS and line.kind != "fold" else ""
            yield f'<li><details{is_open}><summary>{_line(line)}</summary><ul style="{_LIST}">'
            n_open += 1
        else:
            told = _line(line) if line.path not in block.numbers else "".join(_numbers(block, lines[at:end]))
            yield f'<li style="{_LEAF}">{told}</li>'
            for _ in range(levels[at] - below if end < len(lines) else n_open):
                yield "</ul></details></li>"
                n_open -= 1
        at = end
    yield "</ul>"
    if block.n_more:
        yield f"<p>… {counted(block.n_more, 'more row', exact_count)}</p>"


def _end_of_tensors(block: Outline, at: int) -> int:
    """Where the tensors beside each other end that have numbers, which make a table; of any other row, the next."""
    first, end = block.lines[at], at + 1
    while first.path in block.numbers and end < len(block.lines) and _is_beside(block, first, block.lines[end]):
        end += 1
    return end


def _is_beside(block: Outline, first: TextRow, other: TextRow) -> bool:
    return other.level == first.level and other.kind == first.kind == "tensor" and other.path in block.numbers


def _numbers(block: Outline, rows: Sequence[TextRow]) -> Iterator[str]:
    """Tensors as a table, without the columns in which none of them has anything."""
    heads = ("tensor", "shape", "dtype", *block.heads, "")
    cells = [(row.name, row.shape, row.dtype, *block.numbers[row.path], " · ".join(row.marks)) for row in rows]
    kept = [at for at in range(len(heads)) if any(row[at] for row in cells)]
    right = tuple(place for place, at in enumerate(kept) if 3 <= at < len(heads) - 1)  # noqa: PLR2004 - the numbers
    yield from _table(
        Table(tuple(heads[at] for at in kept), tuple(tuple(row[at] for at in kept) for row in cells), right)
    )


def _line(line: TextRow) -> str:
    name = f"<code>{_safe(line.name)}</code>" if line.kind == "tensor" else f"<b>{_safe(line.name)}</b>"
    said = [_safe(line.class_name)] if line.class_name and line.class_name != line.name else []
    said += [_safe(text) for text in (line.shape, line.dtype) if text]
    if line.n_params is not None:
        title = "" if line.kind == "tensor" else " parameters"
        said.append(f"{exact_count(line.n_params)}{title}")
    if line.level > _MOST_LEVELS:
        said.append(f"level {line.level}")
    said += [f"<b>{_safe(mark)}</b>" for mark in line.marks]
    return f'{name} <span style="{_DIM}">{" · ".join(said)}</span>' if said else name


def _bars(block: Bars) -> Iterator[str]:
    """Draw a histogram as nested boxes, under a sentence that says the same."""
    step = -(-len(block.counts) // _N_BARS)
    counts = [sum(block.counts[start : start + step]) for start in range(0, len(block.counts), step)]
    top = max(counts)
    low, high = _safe(block.low, 40), _safe(block.high, 40)
    yield f"<p>Histogram from {low} to {high}; the highest bar holds {exact_count(top)}.</p>"
    yield '<div aria-hidden="true" style="display:flex;align-items:flex-end;height:60px;max-width:420px">'
    for count in counts:
        percent = 100 * count / top
        yield f'<div style="flex:1;height:{percent:.1f}%;background:currentColor;opacity:.55;margin-right:1px"></div>'
    yield "</div>"


_RED = "hsl(0,65%,55%)"


def _flow(block: Flow) -> Iterator[str]:
    """Draw a graph, for eyes alone: a table tells the same."""
    found = lay_out_flow(block.graph)
    size = f"{found.width:.0f} {found.height:.0f}"
    yield (
        f'<svg aria-hidden="true" viewBox="0 0 {size}" width="{found.width:.0f}" height="{found.height:.0f}"'
        ' style="max-width:100%;height:auto" font-family="ui-monospace,monospace" font-size="11" fill="currentColor">'
    )
    for box in found.boxes:
        yield _ground(box)
    yield '<g stroke="currentColor" fill="none" opacity=".6">'
    yield from (_way(line) for line in found.lines)
    yield "</g>"
    for line in found.lines:
        if line.through:
            (x, y), (_, end) = line.corners[0], line.corners[-1]
            words = f'<tspan font-style="italic" fill-opacity=".65">{_safe(line.through)}</tspan>'
            yield f'\n<text x="{x + 9:.0f}" y="{(y + end) / 2 + 2:.0f}" font-size="10">{words}</text>'
    for box in found.boxes:
        yield _words(box)
    yield "</svg>"


def _ground(box: Box) -> str:
    x, width, height = box.left, box.right - box.left, box.bottom - box.top
    stroke = f'stroke="{_RED}"' if box.node.failed else 'stroke="currentColor" stroke-opacity=".35"'
    place = f'width="{width:.0f}" height="{height:.0f}"'
    if box.is_around:
        dashes = ' stroke-dasharray="4 3"' if box.node.kind == "row" else ""
        return f'<rect x="{x:.0f}" y="{box.top:.0f}" {place} rx="5" fill-opacity=".025" {stroke}{dashes}/>'
    dashes = ' stroke-dasharray="2 2"' if box.node.kind in {"input", "output"} else ""
    rx, fill = (4, ".06") if box.node.kind == "module" else (12, ".03")
    corner = f"M{box.right:.0f} {box.top + 5:.0f}h3V{box.bottom + 3:.0f}H{x + 5:.0f}v-3"
    behind = f'<path d="{corner}" fill="none" {stroke}/>'
    own = f'<rect x="{x:.0f}" y="{box.top:.0f}" {place} rx="{rx}" fill-opacity="{fill}" {stroke}{dashes}/>'
    return (behind if box.node.n_repeats > 1 else "") + own


def _way(line: Line) -> str:
    """A line with rounded corners and a head."""
    (x, y), *_, (end_x, end_y) = line.corners
    dashes = ' stroke-dasharray="4 3"' if line.is_to_next else ""
    head = '<path stroke="none" fill="currentColor" d="M{:.1f} {:.1f}{}"/>'
    if len(line.corners) == 2:  # noqa: PLR2004 - straight down
        return f'<path d="M{x:.1f} {y:.1f}V{end_y - 5:.1f}"{dashes}/>' + head.format(end_x, end_y, "l-3.5 -7h7z")
    lane = line.corners[1][0]
    out, down = (5 if lane > x else -5), (5 if end_y > y else -5)
    way = (
        f"M{x:.1f} {y:.1f}H{lane - out:.1f}q{out} 0 {out} {down}V{end_y - down:.1f}q0 {down} {-out} {down}"
        f"H{end_x + out:.1f}"
    )
    wings = "l7 -3.5v7z" if lane > x else "l-7 -3.5v7z"
    return f'<path d="{way}"{dashes}/>' + head.format(end_x, end_y, wings)


def _words(box: Box) -> str:
    y = box.top + 15.5
    x = (box.axis if box.is_around else box.left) + 9
    shade = ' fill-opacity=".7"'
    name = f'<tspan font-weight="600">{_safe(told_where_it_speaks(box.title))}</tspan>'
    kind = f" <tspan{shade}>{_safe(box.class_name)}</tspan>" if box.class_name else ""
    shapes = f' <text x="{box.right - 9:.0f}" y="{y:.1f}" text-anchor="end"{shade}>{_safe(box.shapes)}</text>'
    red = f' fill="{_RED}"' if box.node.failed else ""
    return f'\n<text x="{x:.0f}" y="{y:.1f}"{red}>{name}{kind}</text>' + (shapes if box.shapes else "")


_WIDTH, _HEIGHT = 420.0, 120.0
_MOST_DECADES = 60


def _curves(block: Curves) -> Iterator[str]:
    """Draw curves over each other, each with the band that it had, under a sentence that says what they are of."""
    span = block.decades
    if span is None:
        return
    low, high = span
    axis = f"{10**low:.2g} to {10**high:.2g}"
    where = f"from {inert(block.first, _MOST_NAME)} to {inert(block.last, _MOST_NAME)}"
    yield f"<p>{_safe(told(f'{block.title}, {axis} on a logarithmic axis, {where}'), _MOST_WORDS)}:</p>"
    size = f'width="{_WIDTH:.0f}" height="{_HEIGHT:.0f}"'
    yield f'<svg aria-hidden="true" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" {size}>'
    step = 1 if high - low <= _MOST_DECADES / 4 else 10
    for power in range(math.ceil(low / step) * step, math.floor(high) + 1, step):
        y = _y(10.0**power, low, high)
        yield f'<line x1="0" x2="{_WIDTH:.0f}" y1="{y}" y2="{y}" stroke="currentColor" stroke-opacity=".12"/>'
    for at, curve in enumerate(block.curves):
        colour = _colour(at, len(block.curves))
        n = max(len(curve.values) - 1, 1)
        places = [
            (f"{i * _WIDTH / n:.1f}", value, lowest, highest)
            for i, (value, lowest, highest) in enumerate(zip(curve.values, curve.lows, curve.highs, strict=True))
            if value is not None and value > 0
        ]
        if any(lowest != highest for _, _, lowest, highest in places):
            around = [f"{x},{_y(highest or value, low, high)}" for x, value, _, highest in places]
            around += [f"{x},{_y(lowest or value, low, high)}" for x, value, lowest, _ in reversed(places)]
            yield f'<polygon points="{" ".join(around)}" fill="{colour}" fill-opacity=".2"/>'
        line = " ".join(f"{x},{_y(value, low, high)}" for x, value, _, _ in places)
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    yield "</svg><p>"
    for at, curve in enumerate(block.curves):
        square = f'<span style="color:{_colour(at, len(block.curves))}" aria-hidden="true">■</span>'
        yield f'<span style="display:inline-block">{square} {_safe(curve.name)}</span> '
    yield "</p>"


def _y(value: float, low: float, high: float) -> str:
    share = (math.log10(value) - low) / (high - low or 1)
    return f"{_HEIGHT - 4 - min(max(share, 0), 1) * (_HEIGHT - 8):.1f}"


def _colour(at: int, n: int) -> str:
    return f"hsl({(210 + 360 * at / max(n, 1)) % 360:.0f},60%,50%)"
