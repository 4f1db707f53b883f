"""What is wrong or worth knowing in a model, as findings with fixes.

Start at `check.check`: each check yields single findings, which `findings` folds and orders.

    check.py                all checks: of the structure, quick for any model; of the data, as long as reading it once
    findings.py             like findings folded into one, the worst first, at most twenty of a kind
    registration.py         what torch does not know of: plain attributes, keys that are no text, cycles
    declared_ties.py        ties that a class declares and its tensors lack
    detached_parameters.py  parameters that no gradient reaches, by the source of `forward`
    forward_source.py       what a `forward` reads of `self`, parsed, never run
    tensor_state.py         tensors without data, left out of files, of mixed dtypes or devices
    training.py             frozen parameters, training flags, parameters in no optimizer or in two
    tensor_values.py        NaN and infinities: every element read once
    units.py                units of a layer that are all alike, or dead
"""

from nnwidgets.introspect.checks.check import check, data_findings, structural_findings
from nnwidgets.introspect.checks.findings import worst_first

__all__ = ["check", "data_findings", "structural_findings", "worst_first"]
