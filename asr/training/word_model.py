"""A GRU language model over words, which rescores the beam's hypotheses.

Word -> embedding (E) -> GRU (H) -> projection (E); a word's score is the projection's product with that word's embedding, plus a bias. The
same table serves both ends (Press and Wolf, arXiv 1608.05859). To rescore means to ask for few words in many contexts, so the scores must
be log-probabilities as they are, without a sum over the vocabulary. The loss sees to that: it is the softmax's, its sum estimated from
sampled words (Jozefowicz et al., arXiv 1602.02410, section 3.1), plus a penalty on the square of that sum's logarithm (variance
regularisation: Chen et al., "Recurrent Neural Network Language Model Training with Noise Contrastive Estimation for Speech Recognition",
ICASSP 2015, section 3.2).

Shapes: T words, N streams, M = T N, V vocabulary, K sampled words.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.training.gru import Run, run_together


@dataclass(frozen=True)
class WordModelConfig:
    """Sizes of a word model."""

    words: int = 32_768
    embedding: int = 128
    hidden: int = 512


class WordModel(nn.Module):
    """See the module."""

    def __init__(self, config: WordModelConfig):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.words, config.embedding)
        self.gru = nn.GRU(config.embedding, config.hidden)
        self.projection = nn.Linear(config.hidden, config.embedding)
        self.bias = nn.Parameter(torch.zeros(config.words))
        nn.init.normal_(self.embedding.weight, std=config.embedding ** -0.5)

    def forward(self, words: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """words (T, N) ids, state (N, H) before them -> outputs (T, N, E), the state after them (N, H).

        The streams run as two groups, side by side on a CPU.
        """
        read = self.embedding(words)
        runs = [Run(self.gru, x.contiguous(), h0.contiguous()) for x, h0 in zip(read.chunk(2, dim=1), state.chunk(2), strict=True)]
        states = torch.cat(run_together(runs), dim=1)                       # (T, N, H)
        return self.projection(states), states[-1]

    def score(self, outputs: Tensor, words: Tensor) -> Tensor:
        """outputs (M, E), ids (M,) -> scores (M,): estimated log-probabilities, in nats."""
        return (outputs * self.embedding(words)).sum(-1) + self.bias[words]

    def scores(self, outputs: Tensor) -> Tensor:
        """outputs (M, E) -> scores of all words (M, V)."""
        return functional.linear(outputs, self.embedding.weight, self.bias)


def sampled_loss(model: WordModel, outputs: Tensor, targets: Tensor, sampled: Tensor, log_chance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean negative log-probability and mean square of the sum's logarithm, both estimated.

    outputs (M, E), targets (M,), sampled (K,) words drawn with replacement, log_chance (V,) log of each word's chance to be drawn. Of the
    softmax's sum the target's part is exact; the other words' part is the mean over the sample of exp(score) / chance, without bias.
    """
    right = model.score(outputs, targets)                                   # (M,)
    drawn = functional.linear(outputs, model.embedding(sampled), model.bias[sampled] - log_chance[sampled])         # (M, K)
    drawn = drawn.masked_fill(sampled == targets[:, None], -torch.inf)
    log_sum = torch.logaddexp(right, drawn.logsumexp(1) - torch.log(torch.tensor(float(len(sampled)))))
    return (log_sum - right).mean(), log_sum.square().mean()
