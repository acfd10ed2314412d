"""The lexicon as arrays, and the language model under it."""

import gzip

import numpy as np
import pytest

from asr.decoding.language_model import LanguageModel, read_order
from asr.decoding.lexicon_trie import ROOT, build_trie, read_pronunciations
from asr.errors import BundleError
from asr.units import PHONES
from tests.decoding_world import make_world, pronunciations
from tests.ngram import write_arpa

UNITS = tuple(PHONES)
WORD_END = UNITS.index("|")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Files of a small language."""
    return make_world(tmp_path_factory.mktemp("world"))


def write(folder, text: str):
    """A lexicon file with this text."""
    path = folder / "lexicon.txt.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_every_pronunciation_is_a_path(world):
    """Walking down the phones of each pronunciation ends at a node that has its word, and no node has a word too many."""
    lexicon = read_pronunciations(world.path("lexicon.txt.gz"), UNITS)
    trie = build_trie(lexicon, np.zeros(len(lexicon.words), np.float32), WORD_END)
    entries = pronunciations()
    found = []
    for word, phones in entries:
        node, path = ROOT, [UNITS.index(phone) for phone in phones.split()]
        for phone in path:
            children = trie.first_child[node] + np.arange(trie.num_children[node])
            (node,) = (child for child in children.tolist() if trie.phone[child] == phone)
        words = trie.word_ids[trie.first_word[node] : trie.first_word[node] + trie.num_words[node]]
        assert word in {lexicon.words[i].decode() for i in words}
        assert trie.path(node) == path
        found.append(node)
    assert trie.num_words.sum() == len(entries)
    prefixes = {tuple(phones.split()[:n]) for _, phones in entries for n in range(1 + len(phones.split()))}
    assert len(trie.parent) == len(prefixes)


def test_scores_are_pushed_towards_the_root(world):
    """A node's best score is the best unigram of all words at or below it."""
    lexicon = read_pronunciations(world.path("lexicon.txt.gz"), UNITS)
    unigrams = np.random.default_rng(0).normal(-4, 1, len(lexicon.words)).astype(np.float32)
    trie = build_trie(lexicon, unigrams, WORD_END)
    expected = np.full(len(trie.parent), -np.inf, np.float32)
    for node in range(len(trie.parent) - 1, 0, -1):          # children have higher numbers
        words = trie.word_ids[trie.first_word[node] : trie.first_word[node] + trie.num_words[node]]
        expected[node] = max([expected[node], *unigrams[words]])
        expected[trie.parent[node]] = max(expected[trie.parent[node]], expected[node])
    np.testing.assert_array_equal(trie.best_score[1:], expected[1:])
    expected[0] = 0.0
    np.testing.assert_array_equal(trie.best_step[1:], (expected - expected[trie.parent])[1:])


def test_an_unsorted_lexicon_is_the_same_one(tmp_path, world):
    """The order of the lines is of no account."""
    lines = gzip.decompress(world.path("lexicon.txt.gz").read_bytes()).decode().splitlines()
    lexicon = read_pronunciations(write(tmp_path, "\n".join(reversed(lines))), UNITS)
    assert lexicon.words.tolist() == read_pronunciations(world.path("lexicon.txt.gz"), UNITS).words.tolist()
    assert "cat" in lexicon
    assert "zebra" not in lexicon
    assert "" not in lexicon
    assert len(lexicon.lengths) == len(lines)


@pytest.mark.parametrize(("text", "told"), [
    ("", "not every line"), ("cat K AE T\n", "not every line"), ("cat\t\n", "not every line"), ("\tK AE T\n", "not every line"),
    ("cat\tK AE T\ndog\tD OX G\n", r"lexicon.txt.gz:2: the phone 'OX'"), ("cat\tK  AE T\n", "space"), ("a b\tK\n", "space"),
    ("cat\tK AE T\ndog\tDDD AO G\n", "'DDD'"),
])
def test_a_wrong_lexicon_is_told(tmp_path, text, told):
    """One line that says what is wrong and where."""
    with pytest.raises(BundleError, match=told) as raised:
        read_pronunciations(write(tmp_path, text), UNITS)
    assert "\n" not in str(raised.value)


def test_an_unreadable_lexicon_is_told(tmp_path):
    """Not gzip, cut off, or not there."""
    path = write(tmp_path, "cat\tK AE T\n" * 1000)
    path.write_bytes(path.read_bytes()[:-20])
    for wrong in (path, tmp_path / "none.gz"):
        with pytest.raises(BundleError, match="cannot be read"):
            read_pronunciations(wrong, UNITS)


def test_contexts_are_the_last_words(tmp_path):
    """A trigram's context is two words: other words before them change nothing, and scores are those of the file."""
    path = write_arpa(["a b c", "a b d", "d b c"], tmp_path / "model.arpa")
    words = [b"a", b"b", b"c", b"d"]
    contexts = LanguageModel(path, np.array(words)).contexts()

    def walk(text: str) -> tuple[float, int]:
        score, context = 0.0, 0
        for word in text:
            score = contexts.score(context, words.index(word.encode()))
            context = contexts.after(context, words.index(word.encode()))
        return score, context

    assert walk("dab") == walk("cab")
    assert walk("dab")[1] != walk("dcb")[1]
    in_file = {line.split("\t")[1]: float(line.split("\t")[0]) for line in path.read_text().splitlines() if line.count("\t")}
    assert walk("ab")[0] == pytest.approx(in_file["<s> a b"], abs=1e-5)
    assert walk("abc")[0] == pytest.approx(in_file["a b c"], abs=1e-5)
    kept = walk("ab")[1]
    before = contexts.score(kept, 2)
    renumbered = contexts.keep_only(np.array([kept]))
    assert len(contexts) == 1
    assert contexts.score(int(renumbered[kept]), 2) == before


def test_the_order_is_read_from_the_file(tmp_path):
    """ARPA files and KenLM binaries tell how long their n-grams are; anything else is refused."""
    assert read_order(write_arpa(["a b"], tmp_path / "two.arpa", order=2)) == 2
    assert read_order(write_arpa(["a b c d"], tmp_path / "four.arpa", order=4)) == 4
    head = b"mmap lm http://kheafield.com/code format version 5\n".ljust(88, b"\0")          # as KenLM's build_binary writes it
    (tmp_path / "five.binary").write_bytes(head + bytes([5, 0, 0, 0]))
    assert read_order(tmp_path / "five.binary") == 5
    (tmp_path / "other").write_text("no model", encoding="utf-8")
    for wrong in ("other", "none"):
        with pytest.raises(BundleError, match="language model"):
            read_order(tmp_path / wrong)
