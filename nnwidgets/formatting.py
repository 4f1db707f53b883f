"""How sizes, counts, shapes and strange text are written, everywhere alike.

Numbers below 10,000 are exact with narrow spaces (``1 536``), above they are short (``38.60 M``, ``124.4 M``).
"""

from __future__ import annotations

import csv
import io
import re
import reprlib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

Printer = Callable[[object], str]

_printers: list[Printer] = [repr]


def set_printer(printer: Printer) -> None:
    """Say what results print as: pages are made above this floor, by the package that knows them all."""
    _printers[:] = [printer]


def printed(record: object) -> str:
    """A result as it prints."""
    return _printers[0](record)


NARROW_SPACE = "\u202f"

_EXACT_BELOW = 10_000
_UNITS = ("", "K", "M", "B", "T", "Q")
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")

_DTYPES = {
    "float64": "f64",
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
    "float8_e4m3fn": "f8e4m3",
    "float8_e4m3fnuz": "f8e4m3",
    "float8_e5m2": "f8e5m2",
    "float8_e5m2fnuz": "f8e5m2",
    "float8_e8m0fnu": "f8e8m0",
    "float4_e2m1fn_x2": "f4e2m1",
    "complex32": "c32",
    "complex64": "c64",
    "complex128": "c128",
    "bool": "bool",
    "quint4x2": "q4",
    "quint2x4": "q2",
}
_WORD = re.compile(r"(uint|int|qint|quint)(\d+)")
_WORD_SHORT = {"int": "i", "uint": "u", "qint": "qi", "quint": "qu"}

# Control characters, bidirectional marks and overrides, zero-width characters, line and paragraph separators, the
# byte order mark, surrogates, tags and other invisible formatting.
_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_MOST_MARKS = 3
_COMBINING = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{3})"
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)


def inert(text: str, limit: int = 200) -> str:
    r"""Text of a model made safe to show: cut, and with what is invisible or moves the cursor written as ``\u202e``.

    Example:
        >>> inert("a\nb")
        'a\\nb'
        >>> inert("x" * 300, limit=5)
        'xxxx…'
    """
    head = cut(text, limit - 1) if len(text) > limit else text
    if head.isascii() and head.isprintable():
        return head
    return _COMBINING.sub(r"\1", _HOSTILE.sub(_escape, head))


def repr_start(value: object, limit: int = 200) -> str:
    """The first ``limit`` characters of a value's ``repr``; how deep and how large the value is costs nothing.

    Example:
        >>> repr_start({"lr": 0.1, "betas": (0.9, 0.999)}), repr_start([[], ["x" * 10**9]], 10)
        ("{'lr': 0.1, 'betas': (0.9, 0.999)}", "[[], ['xxx")
    """
    made = ""
    for piece in _repr_pieces(value, limit):
        made += piece
        if len(made) >= limit:
            break
    return made[:limit]


def _repr_pieces(value: object, limit: int) -> Iterator[str]:
    if type(value) in (str, bytes, bytearray):
        yield repr(value[:limit])  # type: ignore[index] # of just these
    elif type(value) is dict:
        yield "{"
        for index, (key, each) in enumerate(value.items()):
            yield ", " if index else ""
            yield from _repr_pieces(key, limit)
            yield ": "
            yield from _repr_pieces(each, limit)
        yield "}"
    elif type(value) in _BRACKETS and value:
        begin, end = _BRACKETS[type(value)]
        yield begin
        for index, each in enumerate(value):  # type: ignore[arg-type] # of just these
            yield ", " if index else ""
            yield from _repr_pieces(each, limit)
        yield ",)" if type(value) is tuple and len(value) == 1 else end
    else:
        yield repr(value)


def short_repr(value: object) -> str:
    """The ``repr`` of a value with a few of its items and a few levels; how large it is costs nothing.

    Example:
        >>> short_repr([{"lr": 0.1}, list(range(10))])
        "[{'lr': 0.1}, [0, 1, 2, 3, 4, 5, ...]]"
    """
    return _SHORT.repr(value)


class _Short(reprlib.Repr):
    """As `short_repr`; tensors by their shape, described objects as values."""

    def repr_Described(self, x: Any, level: int) -> str:  # noqa: N802 - as reprlib looks for it
        return f"Described({x.class_name!r}, {self.repr1(x.state, level - 1) if level > 0 else '…'})"

    def repr_Tensor(self, x: Any, level: int) -> str:  # noqa: N802, ARG002 - the same
        return f"<tensor of shape {tuple(x.shape)}>"

    def repr_bytes(self, x: bytes, level: int) -> str:  # noqa: ARG002 - the same
        return repr_start(x, self.maxother)

    def repr_frozenset(self, x: Any, level: int) -> str:
        few = self.repr_list([*islice(x, self.maxset + 1)], level)  # where reprlib sorts all of them
        return f"{type(x).__name__}({few})"

    repr_bytearray, repr_set = repr_bytes, repr_frozenset


_SHORT = _Short()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxstring, _SHORT.maxother = 4, 8, 6, 120, 120
_BRACKETS: dict[type, Sequence[str]] = {list: "[]", tuple: "()", set: "{}", frozenset: ("frozenset({", "})")}


_ROLE = re.compile(r"(?::(?:\w+:)+)?`(?:~?[\w.]*\.)?([^`<]*?)(?:\s*<[^`>]*>)?`_{0,2}")
_LATEX = re.compile(r"\\(?:text|mathcal|mathrm|mathbf|mathbb|texttt)\{([^{}]*)\}|\\(?=[a-zA-Z])")


def plain_doc(text: str) -> str:
    r"""A docstring's words without the marks that Sphinx reads.

    Example:
        >>> plain_doc(r"Applies :math:`y = xA^T + b`, see :class:`~torch.nn.Bilinear` and ``bias``.")
        'Applies y = xA^T + b, see Bilinear and bias.'
        >>> plain_doc(r"Draws from :math:`\mathcal{U}(a, b)`, a `Tensor`.")
        'Draws from U(a, b), a Tensor.'
        >>> plain_doc("See `Huber loss <https://example.org>`_.")
        'See Huber loss.'
    """
    return _LATEX.sub(r"\1", _ROLE.sub(r"\1", text.replace("``", "`")))


def cut(text: str, limit: int = 120) -> str:
    """The first ``limit`` characters, what is left out marked by ``…``.

    Example:
        >>> cut("encoder.layers.0", 7), cut("decoder")
        ('encoder…', 'decoder')
    """
    return text if len(text) <= limit else f"{text[:limit]}…"


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")


def and_more(n: int) -> str:
    """What follows the first of several names: that there are ``n`` more, or nothing.

    Example:
        >>> and_more(2), and_more(0)
        (' and 2 more', '')
    """
    return f" and {n} more" if n > 0 else ""


def some(names: Sequence[str], most: int) -> str:
    """The first of some names, inert and cut, and how many more there are.

    Example:
        >>> some(["a", "b", "c"], 2), some(["a"], 2)
        ('a, b and 1 more', 'a')
    """
    told = ", ".join(inert(each, 60) for each in names[:most])
    return f"{told}{and_more(len(names) - most)}"


def counted(n: int, noun: str, write: Callable[[int], str] = "{:,}".format) -> str:
    """A count with its noun, one or many of it.

    Args:
        n: How many.
        noun: Of what; the last of its words is the one that changes.
        write: How the number is written, such as `exact_count`.

    Example:
        >>> counted(1, "tensor"), counted(1024, "more element"), counted(0, "entry")
        ('1 tensor', '1,024 more elements', '0 entries')
    """
    return f"{write(n)} {plural(noun, n)}"


def plural(noun: str, n: int = 2) -> str:
    """What ``n`` of a noun are called; of a phrase, the last word changes.

    Example:
        >>> plural("state dict"), plural("index"), plural("entry"), plural("view", 1)
        ('state dicts', 'indexes', 'entries', 'view')
    """
    if n == 1:
        return noun
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def short_count(n: int) -> str:
    """A count in at most four digits and a unit.

    Example:
        >>> short_count(38_597_376), short_count(124_439_808), short_count(7)
        ('38.60 M', '124.4 M', '7')
    """
    if abs(n) < _EXACT_BELOW:
        return exact_count(n)
    return " ".join(_scale(n, _UNITS))


def exact_count(n: int) -> str:
    r"""A count in full, thousands apart by a narrow space.

    Example:
        >>> exact_count(1536) == "1\u202f536"
        True
    """
    return f"{n:,}".replace(",", NARROW_SPACE)


def short_bytes(n: int) -> str:
    """A size in SI units.

    Example:
        >>> short_bytes(9_437_184), short_bytes(12)
        ('9.44 MB', '12 B')
    """
    if abs(n) < 1_000:  # noqa: PLR2004 - SI
        return f"{n} B"
    return " ".join(_scale(n, _BYTE_UNITS))


def budget_text(n: int) -> str:
    """A size that somebody set, in the units it was set in.

    Example:
        >>> budget_text(2 * 2**30), budget_text(500_000_000)
        ('2 GiB', '500.0 MB')
    """
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB")):
        if n and n % 2**power == 0:
            return f"{n >> power} {unit}"
    return short_bytes(n)


def _scale(n: int, units: Sequence[str]) -> tuple[str, str]:
    value, step = float(n), 0
    while abs(value) >= 999.95 and step < len(units) - 1:  # noqa: PLR2004 - what would round to 1000.0
        value, step = value / 1000, step + 1
    digits = 1 if abs(value) >= 99.995 else 2  # noqa: PLR2004 - four digits in all
    return f"{value:.{digits}f}", units[step]


def shape_text(shape: Sequence[int] | None) -> str:
    """A shape as people say it.

    Example:
        >>> shape_text((256, 20)), shape_text(()), shape_text(None)
        ('256 × 20', '()', '?')
    """
    if shape is None:
        return "?"
    return " × ".join(map(str, shape)) if len(shape) else "()"


def dtype_short(dtype: str) -> str:
    """A dtype in a few letters.

    Example:
        >>> dtype_short("float32"), dtype_short("int64"), dtype_short("bfloat16")
        ('f32', 'i64', 'bf16')
    """
    known = _DTYPES.get(dtype)
    if known is not None:
        return known
    word = _WORD.fullmatch(dtype)
    return f"{_WORD_SHORT[word[1]]}{word[2]}" if word else dtype[:8]


def letters(index: int) -> str:
    """The id of a tie group by its place: A … Z, AA, AB ….

    Example:
        >>> letters(0), letters(25), letters(26)
        ('A', 'Z', 'AA')
    """
    made = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        made = chr(ord("A") + digit) + made
    return made


_WIDE = frozenset("WF")


_NO_CELL = frozenset(("Mn", "Me", "Cf"))


def width(text: str) -> int:
    """How many cells of a terminal ``text`` takes.

    Example:
        >>> width("conv"), width("卷积")
        (4, 4)
    """
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def fit(text: str, most: int) -> str:
    """``text`` in at most ``most`` cells, what is cut off marked by ``…``.

    Example:
        >>> fit("encoder", 4), fit("卷积层", 4)
        ('enc…', '卷…')
    """
    if width(text) <= most:
        return text
    kept: list[str] = []
    left = most - 1
    for character in text:
        left -= _cells(character)
        if left < 0:
            break
        kept.append(character)
    return "".join(kept) + "…"


def pad(text: str, cells: int, *, right: bool = False) -> str:
    """``text`` filled up to ``cells``, at its end, or at its start where it stands to the right.

    Example:
        >>> pad("7", 3, right=True)
        '  7'
    """
    missing = " " * max(0, cells - width(text))
    return missing + text if right else text + missing


def align_columns(
    rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), gap: str = "  ", most: int = 120
) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell, each line at most ``most`` wide.

    The first column gives way where a line would be wider.

    Args:
        rows: The cells; every row has as many.
        right: Columns that stand to the right.
        gap: What stands between two columns.
        most: The widest a line may be.

    Example:
        >>> align_columns([("0", "Linear", "5376"), ("1", "ReLU", "")], right=[2])
        ['0  Linear  5376', '1  ReLU']
    """
    if not rows:
        return []
    widths = [max(width(row[column]) for row in rows) for column in range(len(rows[0]))]
    rest = sum(widths[1:]) + len(gap) * (len(widths) - 1)
    widths[0] = max(min(widths[0], most - rest), min(widths[0], most // 3))
    return [
        fit(
            gap.join(
                pad(fit(cell, widths[column]), widths[column], right=column in right) for column, cell in enumerate(row)
            ).rstrip(),
            most,
        )
        for row in rows
    ]


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    r"""Rows as a Markdown table; what Markdown, HTML or a formula would make of a cell's text is taken from it.

    Example:
        >>> print(markdown_table(["name", "mean"], [["a|b", "0.5"], ["<b>", ""]], right=[1]))
        | name | mean |
        | --- | ---: |
        | a\|b | 0.5 |
        | \<b> |  |
    """
    rule = ["---:" if column in right else "---" for column in range(len(heads))]
    lines = [[_MARKDOWN.sub(r"\\\g<0>", inert(cell, _MOST_OF_A_CELL)) for cell in row] for row in (heads, *rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (lines[0], rule, *lines[1:]))


def csv_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Rows as comma-separated values; text that a spreadsheet would take for a formula gets a quote before it.

    Example:
        >>> csv_table(["name", "mean"], [["=1+1", "-0.5"], ["a,b", ""]])
        'name,mean\n\'=1+1,-0.5\n"a,b",'
    """
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(
        [f"'{cell}" if _FORMULA.match(cell) and not _is_number(cell) else cell for cell in row] for row in rows
    )
    return made.getvalue().removesuffix("\n")


_MOST_OF_A_CELL = 1_000
_MARKDOWN = re.compile(r"[\\`*\[<|~$&]|(?<!\w)_|_(?!\w)")
_FORMULA = re.compile(r"[=+\-@\t\r]")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cells(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.category(character) in _NO_CELL:
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1
