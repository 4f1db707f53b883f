"""Checks: what is wrong or worth knowing in a model, as findings with fixes."""

from nnwidgets.introspect.lints.checking import check, data_findings, structural_findings
from nnwidgets.introspect.lints.drafts import worst_first
from nnwidgets.introspect.lints.values import Cancelled

__all__ = ["Cancelled", "check", "data_findings", "structural_findings", "worst_first"]
