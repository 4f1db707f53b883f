"""The codec, by the cases that the page's codec is tested with too."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnwidgets.wire.codec import MAX_SAFE_INTEGER, Blob, decode, encode, number

CODEC = json.loads((Path(__file__).parent / "codec.json").read_text(encoding="utf-8"))


def revived(value):
    """Return the Python value that a case's ``value`` stands for."""
    if isinstance(value, list):
        return [revived(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$float" in value:
        return float(value["$float"].replace("Infinity", "inf"))
    if "$integer" in value:
        return int(value["$integer"])
    if "$array" in value:
        array = value["$array"]
        return Blob(array["dtype"], tuple(array["shape"]), bytes.fromhex(array["hex"]))
    return {key: revived(item) for key, item in value.items()}


@pytest.mark.parametrize("case", CODEC["cases"], ids=lambda case: case["name"])
def test_a_value_travels_as_the_case_says(case):
    wire, buffers = encode(revived(case["value"]))
    assert wire == case["wire"]
    assert [bytes(buffer).hex() for buffer in buffers] == case["buffers"]
    json.dumps(wire, allow_nan=False)


@pytest.mark.parametrize("case", CODEC["numbers"], ids=lambda case: str(case["wire"]))
def test_a_number_arrives_as_the_case_says(case):
    expected = revived(case["value"])
    found = number(case["wire"])
    assert type(found) is type(expected)
    assert found == expected or (math.isnan(found) and math.isnan(expected))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_whatever_is_encoded_passes_strict_json_and_utf8(value):
    wire, buffers = encode(value)
    text = json.dumps(wire, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert json.loads(text) == wire
    assert buffers == []


@given(st.integers())
def test_every_integer_comes_back_with_all_its_digits(value):
    wire, _ = encode({"n": value})
    assert number(wire["n"]) == value
    assert isinstance(wire["n"], str) == (abs(value) > MAX_SAFE_INTEGER)


@given(st.lists(st.binary(max_size=8), max_size=4))
def test_arrays_come_back_whole_and_in_order(blobs):
    sent = {"arrays": [Blob("uint8", (len(blob),), blob) for blob in blobs]}
    wire, buffers = encode(sent)
    assert decode(json.loads(json.dumps(wire)), buffers) == sent


@pytest.mark.parametrize("value", [{1: "key"}, {"x": object()}, {"x": {1, 2}}, {"x": b"bytes"}])
def test_what_has_no_json_form_is_refused_by_type(value):
    with pytest.raises(TypeError, match=r"must be a string, found int|has no JSON form"):
        encode(value)


def test_a_message_nested_too_deep_is_refused_rather_than_overflowing():
    value = {}
    for _ in range(10_000):
        value = {"x": value}
    with pytest.raises(TypeError, match="nests at most"):
        encode(value)
