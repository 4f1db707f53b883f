"""Checks: what is wrong or worth knowing in a model, as findings with fixes."""

from nnwidgets.introspect.checks.check import check, data_findings, structural_findings
from nnwidgets.introspect.checks.findings import worst_first

__all__ = ["check", "data_findings", "structural_findings", "worst_first"]
