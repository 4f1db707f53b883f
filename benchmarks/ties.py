"""`ties(model)` of 50,000 parameters against ``list(model.named_parameters(remove_duplicate=False))``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks import models
from benchmarks.common import Row, against, report
from nnwidgets.introspect import ties

LIMIT = 1.5


def rows() -> Iterator[Row]:
    """Without ties, and with ties of all four kinds."""
    for name, tied in (("no ties", False), ("2,000 tied by object, view and overlap", True)):
        model = models.fifty_thousand_parameters(tied=tied)
        yield against(
            f"ties of 50,000 parameters, {name}",
            lambda model=model: ties(model),
            lambda model=model: list(model.named_parameters(remove_duplicate=False)),
            limit=LIMIT,
            theirs_is="named_parameters",
        )


if __name__ == "__main__":
    sys.exit(report("ties(model) against list(model.named_parameters(remove_duplicate=False))", rows()))
