"""The word errors that the decoder is to expect: minimum word error rate (MWER) training on n-best lists.

Of the hypotheses h of an utterance, each with W(h) errors against the reference, the expected number of errors is

    sum over h of P(h) W(h),   P = softmax over the list of scale * (log P(phones of h | x) + language score of h)

with P(phones | x) the sum over CTC's paths, as the search has it: less its charges for the units' prior and the blank. What falls when
the model learns is this sum; the list's mean number of errors is subtracted from W, so that a list whose hypotheses are equally bad
pulls at nothing. Prabhavalkar et al., "Minimum word error rate training for attention-based sequence-to-sequence models", arXiv
1712.01818 (lists, the mean, and that the usual loss is kept beside it); with a language model in P: Meng et al., arXiv 2106.02302;
expected errors of CTC, by sampling: Graves and Jaitly, "Towards end-to-end speech recognition with recurrent neural networks" (ICML
2014); the scale: Povey and Woodland, "Minimum phone error and I-smoothing" (ICASSP 2002). How lists are found is hypotheses.py's.

Of twenty utterances of train-libri-251 and train-cv with distortions, the shipped model gives the likeliest hypothesis 0.79 of P at a
scale of 1, 0.62 at 0.5 and 0.42 at 0.25: it has learned them, and is less sure of others.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True)
class Hypotheses:
    """The lists of a batch, H hypotheses in all, in the order of their rows; a row of the batch may have none.

    rows (H,) int64; phones (sum of lengths,) int64, lengths (H,) int64: label ids, which CTC can fit into the row's frames; errors (H,)
    and language (H,) float32: word errors and language score (nats); added (H,) bool: a reference that the search did not find; charges
    (V,) float32: what the search subtracts from each unit's log-probability at every frame; words: in the references of the rows that
    have a list.
    """

    rows: Tensor
    phones: Tensor
    lengths: Tensor
    errors: Tensor
    language: Tensor
    added: Tensor
    charges: Tensor
    words: int


def expected_errors(log_probs: Tensor, frames: Tensor, hypotheses: Hypotheses, scale: float) -> tuple[Tensor, Tensor]:
    """log_probs (T, N, V), frames (N,) -> the errors to expect of each row with a list (R,), and the same less the list's mean (R,).

    Their gradients are the same. An added reference that scores above all that was found does not count: the search lost it, no matter
    how likely it is now, and among what it did find the better must gain.

    torch's CTC gives the gradient of log-probabilities as if a softmax had made them, too large by their exponentials at each frame. The
    charges leave no sums of one, but that excess is the same for all hypotheses of a list and cancels, as their chances sum to one.
    """
    rows, device = hypotheses.rows, log_probs.device
    charged = (log_probs - hypotheses.charges.to(log_probs)).index_select(1, rows.to(device))                  # (T, H, V)
    acoustic = -functional.ctc_loss(charged, hypotheses.phones, frames[rows], hypotheses.lengths, blank=0, reduction="none")
    counts = rows.unique_consecutive(return_counts=True)[1].tolist()

    def by_list(values: Tensor, padding: float = 0.0) -> Tensor:
        return pad_sequence(values.to(device).split(counts), batch_first=True, padding_value=padding)          # (R, longest list)

    scores = by_list(acoustic + hypotheses.language.to(acoustic), -torch.inf)
    errors, added = by_list(hypotheses.errors), by_list(hypotheses.added)
    found = scores.masked_fill(added, -torch.inf).amax(1, keepdim=True)                                        # (R, 1) the best score
    lost = added & (scores > found) & found.isfinite()
    expected = ((scale * scores).masked_fill(lost, -torch.inf).softmax(1) * errors).sum(1)
    listed = (scores.isfinite() & ~lost).sum(1)
    return expected, expected - errors.sum(1) / listed                      # a reference has no errors to leave out
