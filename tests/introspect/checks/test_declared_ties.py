"""`check` finds ties that a class declares and its tensors lost."""

from torch import nn

import nnwidgets as nnw
from tests.support.checked_models import apply_fix, codes, gpt2, only


def told(net):
    """What is found in it besides the masks that transformers 4 keeps out of the state dict."""
    return [finding for finding in nnw.check(net) if finding.code != "non-persistent-buffer"]


def test_a_declared_tie_that_the_tensors_lost():
    net = gpt2()
    assert told(net) == []
    net.lm_head.weight = nn.Parameter(net.lm_head.weight.detach().clone())

    finding = only(net, "broken-tie")

    assert (finding.severity, finding.path) == ("error", "lm_head.weight")
    apply_fix(finding, net)
    assert told(net) == []
    assert net.lm_head.weight is net.transformer.wte.weight


def test_a_tie_that_the_config_leaves_out_is_not_broken():
    net = gpt2()
    net.config.tie_word_embeddings = False
    net.lm_head.weight = nn.Parameter(net.lm_head.weight.detach().clone())
    assert told(net) == []


def test_ties_declared_as_earlier_releases_do():
    class Config:
        def __init__(self, tie):
            self.tie_word_embeddings = tie

    class Listed(nn.Module):
        _tied_weights_keys = ["head.weight"]  # noqa: RUF012 - as transformers wrote it

        def __init__(self, tie):
            super().__init__()
            self.config = Config(tie)
            self.embedding, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)

        def tie_weights(self):
            self.head.weight = self.embedding.weight

    assert nnw.check(Listed(tie=False)) == ()
    net = Listed(tie=True)
    assert codes(net) == [("broken-tie", "error", "head.weight")]
    apply_fix(nnw.check(net)[0], net)
    assert nnw.check(net) == ()
