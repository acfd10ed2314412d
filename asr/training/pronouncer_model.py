"""A GRU encoder-decoder with attention that turns a word's letters into phones.

Encoder: letter embeddings -> one bidirectional GRU (2 x H). Decoder: the phones said so far -> a GRU (D), which begins from both ends of
the encoder; its state asks the letters by attention, and state and answer together give the next phone (Luong et al., arXiv 1508.04025,
"global attention"). No answer goes back into the GRU, so that in training each part is one large product over all phones of a batch.
Words are said nearly letter by letter: the attention has a learned bias for how many letters ahead of the phone's place a letter is, and
begins with the diagonal.

Shapes: N words of T letters each, U phones, P phones to choose from (the end is 0, and stands for the start as well).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asr.pronouncer import LETTERS, PHONES
from asr.training.gru import Run, run_together


@dataclass(frozen=True)
class PronouncerConfig:
    """Sizes of a pronouncer, and its dropout."""

    embedding: int = 64              # of letters and of phones
    encoder: int = 128               # H, each direction
    decoder: int = 160               # D
    reach: int = 8                   # letters ahead and behind that the attention's bias tells apart
    dropout: float = 0.1


class PronouncerModel(nn.Module):
    """See the module."""

    def __init__(self, config: PronouncerConfig):
        super().__init__()
        self.config = config
        memory = 2 * config.encoder
        self.letters = nn.Embedding(len(LETTERS), config.embedding)
        self.phones = nn.Embedding(len(PHONES), config.embedding)
        self.forth = nn.GRU(config.embedding, config.encoder)
        self.back = nn.GRU(config.embedding, config.encoder)
        self.start = nn.Linear(memory, config.decoder)
        self.keys = nn.Linear(memory, config.decoder, bias=False)          # the softmax would not see a bias
        self.decoder = nn.GRU(config.embedding, config.decoder)
        self.nearness = nn.Parameter(-0.3 * torch.arange(-config.reach, config.reach + 1).abs().float())
        self.merge = nn.Linear(config.decoder + memory, config.decoder)
        self.output = nn.Linear(config.decoder, len(PHONES))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, letters: Tensor, phones: Tensor) -> Tensor:
        """letters (N, T) and phones (N, U) ids, the start before the word's -> scores (N, U, P) of the phone after each."""
        read = self.dropout(self.letters(letters.t()))                      # (T, N, E)
        nothing = read.new_zeros(read.shape[1], self.config.encoder)
        forth, back = run_together([Run(self.forth, read, nothing), Run(self.back, read, nothing, reverse=True)])
        memory = self.dropout(torch.cat([forth, back], dim=2).transpose(0, 1))                              # (N, T, 2H)
        start = torch.tanh(self.start(torch.cat([forth[-1], back[0]], dim=1)))                              # (N, D)
        [states] = run_together([Run(self.decoder, self.dropout(self.phones(phones.t())), start)])
        states = states.transpose(0, 1)                                     # (N, U, D)
        scores = states @ self.keys(memory).transpose(1, 2) * self.config.decoder ** -0.5                   # (N, U, T)
        context = torch.softmax(scores + self._bias(*scores.shape[1:]), dim=2) @ memory                     # (N, U, 2H)
        merged = torch.tanh(self.merge(torch.cat([states, context], dim=2)))
        return self.output(self.dropout(merged))

    def _bias(self, num_phones: int, num_letters: int) -> Tensor:
        """The attention's bias (U, T)."""
        ahead = torch.arange(num_letters) - torch.arange(num_phones)[:, None]
        return self.nearness[ahead.clamp(-self.config.reach, self.config.reach) + self.config.reach]
