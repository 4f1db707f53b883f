"""Paths are read back as they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect import paths

components = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=6).map(paths.component), st.integers(0, 99).map(paths.position)
)


@given(st.lists(components, max_size=6))
def test_what_is_joined_splits_into_the_same_components(made):
    path = ""
    for step in made:
        path = paths.join(path, step)
    assert paths.split(path) == made
    if made:
        assert paths.last(path) == made[-1]
        assert paths.join(paths.parent(path), made[-1]) == path


@given(st.lists(st.text(max_size=4).map(paths.component), min_size=1, max_size=4, unique=True))
def test_different_keys_are_written_differently(made):
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("path", [".a", "a.", "a..b", "a[", "a]", "[x]", '["a', "a[0]b", 'a"b', "a.[0]"])
def test_what_is_no_path_is_refused_where_it_breaks(path):
    with pytest.raises(InvalidTargetError, match="can't be read at character"):
        paths.split(path)
