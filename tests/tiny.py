"""A bundle made on the spot: a random model of width 16, a handful of words, a bigram language model. It hears nothing, but all is real."""

import gzip
from pathlib import Path

import torch

from asr.bundle import Bundle
from asr.config import ModelConfig
from asr.training.checkpoint import Checkpoint
from asr.training.model import AcousticModel
from asr.units import PHONES, WORD_START
from export.packaging import export_bundle

CONFIG = ModelConfig(conv_channels=4, layers=2, hidden=16, phones=len(PHONES), pieces=32)
PIECES = ["<blank>", *(WORD_START + letter for letter in "abch"), *"abcdefghijklmnopqrstuvwxyz'"]
LEXICON = {"a": "AH", "cat": "K AE T", "hello": "HH AH L OW", "sat": "S AE T", "the": "DH AH", "world": "W ER L D"}
ARPA = r"""\data\
ngram 1=9
ngram 2=4

\1-grams:
-99	<s>	-0.3
-1.2	</s>
-1.5	<unk>
-0.9	a	-0.3
-1.0	cat	-0.3
-1.0	hello	-0.3
-1.1	sat	-0.3
-0.8	the	-0.3
-1.1	world	-0.3

\2-grams:
-0.4	<s> hello
-0.3	hello world
-0.4	the cat
-0.3	cat sat

\end\
"""


def tiny_checkpoint(seed: int = 2, config: ModelConfig = CONFIG) -> Checkpoint:
    """A random model's checkpoint. Its layers are scaled up, so that units win by margins as clear as a trained model's."""
    torch.manual_seed(seed)
    model = AcousticModel(config).eval()
    with torch.no_grad():
        for parameter in (model.phones.weight, model.pieces.weight, model.front.project.weight):
            parameter.mul_(4.0)
        model.features.fit([0.1 * torch.randn(16_000)])
    return Checkpoint(config=config, phones=PHONES, pieces=PIECES, piece_model=b"-", weights=model.state_dict(), recipe={}, progress={})


def language_folder(folder: Path) -> Path:
    """Write lexicon.txt.gz and language.binary into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / "lexicon.txt.gz", "wt", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{word}\t{phones}\n" for word, phones in LEXICON.items())
    (folder / "language.binary").write_text(ARPA, encoding="utf-8")          # KenLM reads an ARPA file as well
    return folder


def tiny_bundle(target: Path, seed: int = 1) -> Bundle:
    """Export a random model with lexicon and language model to `target` (a folder or .asr)."""
    language = language_folder(target.parent / f"{target.name}-language")
    return export_bundle(tiny_checkpoint(seed), target, "tiny", language, lengths_s=(0.3, 1.7))[0]
