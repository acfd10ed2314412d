"""The lexicon as a prefix tree of phones, in flat arrays, with the language model's unigram scores pushed towards the root.

flashlight's own Trie costs 300 bytes a node (measured: 109 MB and 280 ms for 125 000 words) and holds at most six words that sound
alike. The same tree as arrays takes 20 bytes a node, and numpy builds it without a Python loop over words: nodes are numbered level by
level, so that the children of a node are neighbours. Knows nothing of beams.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.errors import BundleError

ROOT = 0


@dataclass(frozen=True)
class Pronunciations:
    """A lexicon as arrays: words sorted by their bytes, and for each of M pronunciations its word and its phones, padded with 0."""

    words: np.ndarray                # (W,) bytes
    word_of: np.ndarray              # (M,) int32: index into words
    phones: np.ndarray               # (M, L) uint8: ids of phones.txt
    lengths: np.ndarray              # (M,) int32

    def __contains__(self, word: str) -> bool:
        raw = word.encode()
        place = np.searchsorted(self.words, raw)
        return place < len(self.words) and self.words[place] == raw


@dataclass(frozen=True)
class Trie:
    """N nodes, the root is 0 and stands for the word end, the unit before every word."""

    parent: np.ndarray               # (N,) int32
    phone: np.ndarray                # (N,) uint8; the root's is the word end
    first_child: np.ndarray          # (N,) int32: the children are first_child + 0, 1, ...
    num_children: np.ndarray         # (N,) int32
    first_word: np.ndarray           # (N,) int32: index into `word_ids` of the words that end here
    num_words: np.ndarray            # (N,) int32
    word_ids: np.ndarray             # (M,) int32
    word_score: np.ndarray           # (M,) float32: their unigram scores
    best_score: np.ndarray           # (N,) float32: best unigram score of any word at or below the node; 0 for the root
    best_step: np.ndarray            # (N,) float32: that less the parent's, so at most 0

    def path(self, node: int) -> list[int]:
        """Phones from the root to `node`."""
        phones = []
        while node != ROOT:
            phones.append(int(self.phone[node]))
            node = int(self.parent[node])
        return phones[::-1]


def read_pronunciations(path: Path, phones: tuple[str, ...]) -> Pronunciations:
    """Read a lexicon.txt.gz: `word<TAB>P1 P2 ...` a line. `phones` are the units of the phones head. Raises BundleError."""
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise BundleError(f"{path}: the lexicon cannot be read ({error}): install the bundle again") from error
    data = np.frombuffer(raw if raw.endswith(b"\n") else raw + b"\n", np.uint8)
    line_end = np.flatnonzero(data == ord("\n")).astype(np.int32)
    tab = np.flatnonzero(data == ord("\t")).astype(np.int32)
    line_start = np.concatenate((np.zeros(1, np.int32), line_end[:-1] + np.int32(1)))
    if len(raw) < 2 or len(tab) != len(line_end) or not ((tab > line_start) & (tab < line_end - 1)).all():
        raise BundleError(f"{path}: not every line is a word, one tab and phones: make the lexicon again")
    ids, lengths = _phone_ids(data, line_end, phones, path)
    texts = _strings(data, line_start, tab)
    words, word_of = _unique(texts)
    matrix = np.zeros((len(lengths), lengths.max()), np.uint8)                              # (M, L)
    matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = ids
    return Pronunciations(words, word_of.astype(np.int32), matrix, lengths)


def build_trie(lexicon: Pronunciations, unigrams: np.ndarray, word_end: int) -> Trie:
    """Prefix tree of `lexicon`. `unigrams` (W,): score of each word; `word_end`: id of the unit `|`."""
    rows = lexicon.phones
    order = np.argsort(rows.view(f"S{rows.shape[1]}").ravel(), kind="stable")
    rows, lengths = rows[order], lexicon.lengths[order]
    differs = rows[1:] != rows[:-1]                                                         # (M - 1, L)
    first_new = np.concatenate(([0], np.where(differs.any(1), differs.argmax(1), rows.shape[1])))
    levels = [(np.zeros(1, np.int32), np.array([word_end], np.uint8))]                      # parent and phone of the nodes of a level
    end_node = np.empty(len(rows), np.int32)
    above, count = np.zeros(len(rows), np.int32), 1                                         # node of each row one level up; nodes so far
    for depth in range(rows.shape[1]):
        new = (first_new <= depth) & (lengths > depth)                                      # (M,)
        node = (count - 1 + np.cumsum(new)).astype(np.int32)
        levels.append((above[new], rows[new, depth]))
        end_node[lengths == depth + 1] = node[lengths == depth + 1]
        above, count = node, count + len(levels[-1][0])
    parent, phone = (np.concatenate(column) for column in zip(*levels, strict=True))
    num_children = np.bincount(parent[1:], minlength=count).astype(np.int32)
    by_node = np.argsort(end_node, kind="stable")
    num_words = np.bincount(end_node, minlength=count).astype(np.int32)
    word_ids = lexicon.word_of[order][by_node]
    tree = Trie(
        parent=parent,
        phone=phone,
        first_child=(1 + np.cumsum(num_children) - num_children).astype(np.int32),          # parents come in order, level by level
        num_children=num_children,
        first_word=(np.cumsum(num_words) - num_words).astype(np.int32),
        num_words=num_words,
        word_ids=word_ids,
        word_score=unigrams[word_ids],
        best_score=np.full(count, -np.inf, np.float32),
        best_step=np.zeros(count, np.float32),
    )
    _push_scores(tree, [len(level[0]) for level in levels])
    return tree


def _push_scores(tree: Trie, sizes: list[int]) -> None:
    """Fill best_score from the leaves up (flashlight calls it smearing, mode MAX), then best_step."""
    ends = np.flatnonzero(tree.num_words)
    tree.best_score[ends] = np.maximum.reduceat(tree.word_score, tree.first_word[ends])
    stop = len(tree.parent)
    for size in reversed(sizes[1:]):
        level = slice(stop - size, stop)
        parents, starts = np.unique(tree.parent[level], return_index=True)
        tree.best_score[parents] = np.maximum(tree.best_score[parents], np.maximum.reduceat(tree.best_score[level], starts))
        stop -= size
    tree.best_score[ROOT] = 0.0                              # a word's first phone takes in the whole look-ahead
    tree.best_step[1:] = tree.best_score[1:] - tree.best_score[tree.parent[1:]]


def _phone_ids(data: np.ndarray, line_end: np.ndarray, phones: tuple[str, ...], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Ids of all phones in the file, one after the other, and how many each line has."""
    space = data == ord(" ")
    start = np.flatnonzero(space | (data == ord("\t"))).astype(np.int32) + np.int32(1)
    stop = np.flatnonzero(space | (data == ord("\n"))).astype(np.int32)
    width = max(len(unit.encode()) for unit in phones)
    codes = _codes(data, start, stop, width)
    units = _codes(*_joined(phones), width)
    order = np.argsort(units)
    place = np.minimum(np.searchsorted(units[order], codes), len(units) - 1)
    wrong = np.flatnonzero((units[order][place] != codes) | (stop - start > width))
    if len(wrong):
        unit = bytes(data[start[wrong[0]] : stop[wrong[0]]]).decode(errors="replace")
        line = np.searchsorted(line_end, start[wrong[0]]) + 1
        fault = f"the phone {unit!r} is not in phones.txt" if unit else "a space where no phone follows"
        raise BundleError(f"{path}:{line}: {fault}: make the lexicon again")
    return order.astype(np.uint8)[place], np.diff(np.searchsorted(stop, line_end, side="right"), prepend=0).astype(np.int32)


def _joined(units: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The units one after the other as bytes, and where each starts and stops."""
    raw = [unit.encode() for unit in units]
    stop = np.cumsum([len(unit) for unit in raw])
    return np.frombuffer(b"".join(raw), np.uint8), stop - [len(unit) for unit in raw], stop


def _codes(data: np.ndarray, start: np.ndarray, stop: np.ndarray, width: int) -> np.ndarray:
    """A number for the first `width` bytes (8 at most count) of data[start:stop] of each pair -> (n,)."""
    kind = np.uint32 if width <= 4 else np.uint64
    codes = np.zeros(len(start), kind)
    for i in range(min(width, 8)):
        byte = data[np.minimum(start + i, len(data) - 1)]
        codes = (codes << kind(8)) | np.where(start + i < stop, byte, 0).astype(kind)
    return codes


def _strings(data: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Cut data[start:stop] for each pair, padded with zero bytes -> (n,) bytes."""
    width = int((stop - start).max())
    cut = np.zeros((len(start), width), np.uint8)
    for i in range(width):                                   # by column: whole index matrices would cost 100 MB
        inside = start + i < stop
        cut[inside, i] = data[start[inside] + i]
    return cut.view(f"S{width}").ravel()


def _unique(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """np.unique with the inverse, without a sort where the lexicon is sorted already."""
    later = texts[1:] > texts[:-1]
    if not (later | (texts[1:] == texts[:-1])).all():
        return np.unique(texts, return_inverse=True)
    first = np.concatenate(([True], later))
    return texts[first], np.cumsum(first) - 1
