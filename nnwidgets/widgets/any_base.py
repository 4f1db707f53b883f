"""Models that every front end has, whatever version of ipywidgets the kernel has.

ipywidgets 7 asks for those of its own version. A JupyterLab with the widget manager of ipywidgets 8 has none of that
version, and shows nothing; they are the same in both, and what is asked for may be a range.
"""

from __future__ import annotations

from typing import Any

import ipywidgets
from traitlets import Unicode


def _version() -> Any:
    own: str = ipywidgets.Widget._model_module_version.default_value  # noqa: SLF001
    return Unicode(f">={own}" if own.startswith("1.") else own, read_only=True).tag(sync=True)


class AnyBase(ipywidgets.Widget):
    """A widget without a view."""

    _model_module_version = _version()


class AnyLayout(ipywidgets.Layout):
    """A view's layout."""

    _model_module_version = _version()
    _view_module_version = _version()
