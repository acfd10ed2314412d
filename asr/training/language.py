"""The language files of a bundle, from text: the word list, its pronunciations (lexicon.txt.gz), the n-gram model (language.binary).

Each text is one source: a .txt with a sentence a line, or a manifest (.tsv, its `text` column; all manifests together are one source).
The sources' models are mixed with the weights that suit the tuning references best, pruned to the size limit, and quantised.
"""

import gzip
import os
import tempfile
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asr.errors import DataError
from asr.text import normalise
from asr.training import ngrams, pruning
from asr.training.kenlm_binary import build_trie, trie_bytes, write_arpa
from asr.training.manifests import read_lines, read_table
from asr.training.pronounce import Pronouncer

SPECIAL = ["<unk>", "</s>"]          # ids UNKNOWN and BOUNDARY
MANIFESTS = "manifests"              # the name of the source that all manifests make
LONGEST_WORD = 30                    # letters


@dataclass(frozen=True)
class LanguageConfig:
    """Choices of a language model."""

    order: int = 4
    words: int = 120_000             # at most, without the manifests' own words, which all count
    known_seen: int = 1              # how often a word of the dictionary must occur
    new_seen: int = 3                # how often a word outside it must occur
    cutoffs: tuple[int, ...] = (1, 1, 2, 2)      # counts by order, see ngrams.estimate
    size_mb: float = 24.8            # of language.binary, in units of 10^6 bytes


@dataclass
class Corpus:
    """Sources as arrays of word ids, each sentence after a boundary; `words[id]` is the word (ids 0 and 1 are SPECIAL)."""

    ids: dict[str, int] = field(default_factory=lambda: {word: i for i, word in enumerate(SPECIAL)})
    streams: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, name: str, texts: Iterable[str]) -> None:
        """Adds texts (of any form) to the source `name`."""
        ids, stream = self.ids, array("i")
        for text in texts:
            if words := normalise(text).split():
                stream.append(ngrams.BOUNDARY)
                stream.extend([ids.setdefault(word, len(ids)) for word in words])
        self.streams[name] = np.concatenate([self.streams.get(name, np.zeros(0, np.int32)), np.frombuffer(stream, np.int32)])


def read_corpus(texts: Sequence[Path], report: Callable[[str], None]) -> Corpus:
    """All texts, one source for each .txt, one for the manifests. Raises DataError for a text that cannot be read or is empty."""
    corpus = Corpus()
    for path in texts:
        if path.suffix == ".tsv":
            corpus.add(MANIFESTS, (row["text"] for _, row in read_table(path, ("text",))))
        else:
            corpus.add(str(path), read_lines(path))
    for name, stream in corpus.streams.items():
        if not len(stream):
            raise DataError(f"{name}: no words in it; give a text with a sentence a line")
        report(f"{name}: {np.count_nonzero(stream != ngrams.BOUNDARY):,} words")
    return corpus


def choose_words(corpus: Corpus, known: Callable[[str], bool], config: LanguageConfig) -> list[str]:
    """The word list: SPECIAL, then the words by falling frequency, in which small sources count for more than their share.

    Words of the dictionary (`known`) need fewer occurrences than others; every word of the manifests is in.
    """
    words = list(corpus.ids)
    counts = {name: np.bincount(stream, minlength=len(words)) for name, stream in corpus.streams.items()}
    seen = sum(counts.values())
    frequency = sum(table / np.sqrt(table.sum()) for table in counts.values())       # a large source tells more, but not all
    must = counts.get(MANIFESTS, np.zeros(len(words))) > 0
    useful = [i for i in range(len(SPECIAL), len(words)) if len(words[i]) <= LONGEST_WORD and (
        must[i] or seen[i] >= (config.known_seen if known(words[i]) else config.new_seen))]
    ranked = sorted(useful, key=lambda i: (-frequency[i], words[i]))
    chosen = ranked[:config.words] + [i for i in ranked[config.words:] if must[i]]
    return SPECIAL + [words[i] for i in chosen]


def number(corpus: Corpus, words: Sequence[str]) -> dict[str, np.ndarray]:
    """The sources with ids of `words`, UNKNOWN for all others, and a boundary at the end."""
    place = {word: i for i, word in enumerate(words)}
    new_id = np.array([place.get(word, ngrams.UNKNOWN) for word in corpus.ids], np.int32)
    return {name: np.append(new_id[stream], np.int32(ngrams.BOUNDARY)) for name, stream in corpus.streams.items()}


def build_language(texts: Sequence[Path], tuning: Sequence[Path], out: Path, config: LanguageConfig,
                   report: Callable[[str], None] = print) -> None:
    """Writes lexicon.txt.gz and language.binary into the folder `out`.

    `tuning` are manifests whose texts weigh the sources and are measured, never learned from; without any, all sources weigh the same.
    Raises DataError for a text that cannot be used, AsrError where KenLM's program cannot be built.
    """
    corpus = read_corpus(texts, report)
    pronouncer = Pronouncer()
    words = choose_words(corpus, pronouncer.__contains__, config)
    out.mkdir(parents=True, exist_ok=True)
    write_lexicon(out / "lexicon.txt.gz", words[len(SPECIAL):], pronouncer)
    report(f"lexicon.txt.gz: {len(words) - len(SPECIAL):,} words")
    references = {path.stem: reference_stream(path, words) for path in tuning}
    for name, stream in references.items():
        report(f"{name}: {np.mean(stream[stream != ngrams.BOUNDARY] == ngrams.UNKNOWN):.2%} of its words are not in the list")
    streams = number(corpus, words)
    del corpus                                               # as large again, and the words' dictionary besides
    levels, probs, weights = mixed_model(streams, references, len(words), config, report)
    report(f"before pruning: {_figures(levels, probs, references)}")
    write_pruned(out / "language.binary", words, levels, probs, weights, references, config, report)


def reference_stream(path: Path, words: Sequence[str]) -> np.ndarray:
    """A manifest's texts as ids of `words`."""
    reference = Corpus()
    reference.add(path.stem, (row["text"] for _, row in read_table(path, ("text",))))
    return number(reference, words)[path.stem]


def mixed_model(streams: dict[str, np.ndarray], references: dict[str, np.ndarray], num_words: int, config: LanguageConfig,
                report: Callable[[str], None]) -> tuple[list[ngrams.Level], list[np.ndarray], np.ndarray]:
    """Levels, probabilities by order and source weights of the unpruned mixture."""
    levels = ngrams.count(list(streams.values()), num_words, config.order)
    levels, models = ngrams.estimate(levels, config.cutoffs[:config.order])
    weights = np.full(len(streams), 1 / len(streams))
    if references:
        weights = ngrams.mixture_weights(levels, models, list(references.values()))
    report("weights: " + ", ".join(f"{Path(name).name} {weight:.3f}" for name, weight in zip(streams, weights)))
    return levels, ngrams.mix(models, weights), weights


def write_pruned(path: Path, words: Sequence[str], levels: list[ngrams.Level], probs: list[np.ndarray], weights: np.ndarray,
                 references: dict[str, np.ndarray], config: LanguageConfig, report: Callable[[str], None]) -> None:
    """Prunes until the quantised trie fits into config.size_mb, and writes it."""
    losses, limit = pruning.losses(levels, probs, weights), config.size_mb * 1e6
    budget = limit
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        arpa, trie = Path(folder) / "language.arpa", Path(folder) / "language.binary"
        while True:
            pruned, kept = pruning.apply(levels, probs, pruning.keep_within(losses, budget, trie_bytes))
            write_arpa(arpa, words, pruned, kept, ngrams.backoffs(pruned, kept))
            build_trie(arpa, trie)
            if trie.stat().st_size <= limit:
                break
            budget *= 0.99 * limit / trie.stat().st_size          # trie_bytes is only near
        report(f"language.binary: {trie.stat().st_size / 1e6:.1f} MB, {_figures(pruned, kept, references)}")
        os.replace(trie, path)


def write_lexicon(path: Path, words: Sequence[str], pronouncer: Pronouncer) -> None:
    """Writes word, tab, phones, a line for each pronunciation; sorted, which the client reads quickest. Equal words, equal bytes."""
    pronouncer.prepare(words)
    lines = [f"{word}\t{' '.join(said)}\n" for word in sorted(words) for said in pronouncer.pronounce(word)]
    _replace(path, gzip.compress("".join(lines).encode(), mtime=0))


def _figures(levels: list[ngrams.Level], probs: list[np.ndarray], references: dict[str, np.ndarray]) -> str:
    model = ngrams.Model(probs, ngrams.backoffs(levels, probs))
    sizes = " + ".join(f"{len(level):,}" for level in levels)
    found = [f"{name} {ngrams.perplexity(ngrams.score(levels, model, stream)):.1f}" for name, stream in references.items()]
    return f"{sizes} n-grams" + (f", perplexity {', '.join(found)}" if found else "")


def _replace(path: Path, content: bytes) -> None:
    """Writes beside and renames, so that no half file is ever there."""
    beside = path.with_name(path.name + ".tmp")
    beside.write_bytes(content)
    os.replace(beside, path)
