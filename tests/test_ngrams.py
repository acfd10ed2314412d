"""N-gram models: proper probabilities, the right mixture, pruning that costs little, files that KenLM reads the same way."""

import math
import random
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from asr.training import ngrams, pruning
from asr.training.kenlm_binary import trie_bytes, write_arpa
from asr.training.ngrams import BOUNDARY, UNKNOWN

NUM_WORDS = 12                       # ids 2 to 11 are words


def sentences(seed: int, how_many: int = 400) -> list[list[int]]:
    """Random sentences in which each word depends on the two before."""
    rng = random.Random(seed)
    follow = {(one, two): rng.choices(range(2, NUM_WORDS), k=3) for one in range(NUM_WORDS) for two in range(NUM_WORDS)}
    made = []
    for _ in range(how_many):
        sentence = [BOUNDARY, BOUNDARY]
        for _ in range(rng.randint(1, 8)):
            sentence.append(rng.choice(follow[sentence[-2], sentence[-1]]))
        made.append(sentence[2:])
    return made


def stream(made: list[list[int]]) -> np.ndarray:
    """Sentences as one source."""
    return np.array([id for sentence in made for id in (BOUNDARY, *sentence)] + [BOUNDARY], np.int32)


def mixed(sources: list[np.ndarray], order: int = 3, cutoffs=(1, 1, 1)):
    """Levels and probabilities of sources that weigh the same."""
    levels, models = ngrams.estimate(ngrams.count(sources, NUM_WORDS, order), cutoffs)
    probs = ngrams.mix(models, np.full(len(sources), 1 / len(sources)))
    return levels, probs


def ngram_of(levels: list[ngrams.Level], n: int, row: int) -> tuple[int, ...]:
    """The word ids of a row of order n + 1."""
    return (*(ngram_of(levels, n - 1, levels[n].prefix[row]) if n else ()), int(levels[n].word[row]))


def test_counts_equal_a_plain_count():
    """Every n-gram within a sentence is counted, with its boundaries, for each source, and none across sentences or unknown words."""
    texts = [sentences(1, 50), sentences(2, 60)]
    texts[0][3][0] = UNKNOWN
    levels = ngrams.count([stream(text) for text in texts], NUM_WORDS, 3)
    for source, text in enumerate(texts):
        plain = Counter()
        for sentence in text:
            padded = (BOUNDARY, *sentence, BOUNDARY)
            plain.update(padded[i:i + 3] for i in range(len(padded) - 2) if UNKNOWN not in padded[i:i + 3])
        counted = {ngram_of(levels, 2, row): int(count) for row, count in enumerate(levels[2].counts[source]) if count}
        assert counted == plain


def test_suffix_rows_point_to_the_last_words():
    """A row's suffix is the n-gram without its first word."""
    levels = ngrams.count([stream(sentences(1))], NUM_WORDS, 3)
    for row in range(0, len(levels[2]), 7):
        assert ngram_of(levels, 1, levels[2].suffix[row]) == ngram_of(levels, 2, row)[1:]


@pytest.mark.parametrize("cutoffs", [(1, 1, 1), (1, 1, 3)], ids=["all", "cut off"])
def test_probabilities_after_any_history_sum_to_one(cutoffs):
    """Over all words and the sentence's end, whatever the history, seen or not: each source's model and the mixture."""
    sources = [stream(sentences(1)), stream(sentences(2, 40))]
    levels, models = ngrams.estimate(ngrams.count(sources, NUM_WORDS, 3), cutoffs)
    mixture = ngrams.mix(models, np.array([0.7, 0.3]))
    mixture = ngrams.Model(mixture, ngrams.backoffs(levels, mixture))
    for history in [(2, 3), (4, 4), (BOUNDARY, 5), (11, 2)]:
        start = () if history[0] == BOUNDARY else (BOUNDARY,)
        asked = [np.array([*start, *history, word], np.int32) for word in range(1, NUM_WORDS)]
        for model in (models, mixture):
            totals = sum(ngrams.score(levels, model, one)[..., -1] for one in asked)
            unknown = model.probs[0][..., UNKNOWN]                # has a tiny share, which backs off like any word's
            assert np.all(totals < 1 + 1e-5)
            assert np.all(totals + unknown > 1 - 1e-5)


def test_kneser_ney_equals_its_formula():
    """Bigram probabilities of one source against the formula written out in plain Python."""
    text = sentences(3)
    levels, models = ngrams.estimate(ngrams.count([stream(text)], NUM_WORDS, 2), (1, 1))
    counts, before = Counter(), defaultdict(set)
    for sentence in text:
        padded = (BOUNDARY, *sentence, BOUNDARY)
        for pair in pairwise(padded):
            counts[pair] += 1
            before[pair[1]].add(pair[0])

    def discounts(values):
        n = [sum(value == i for value in values) or 1 for i in range(5)]
        ratio = n[1] / (n[1] + 2 * n[2])
        found = [0] + [i - (i + 1) * ratio * n[i + 1] / n[i] for i in (1, 2, 3)]
        return np.clip(found, [0, 0.1, 0.1, 0.1], [0, 0.95, 1.9, 2.9])

    types = {word: len(before[word]) for word in range(NUM_WORDS)}
    low, high = discounts(types.values()), discounts(counts.values())
    total_types = sum(types.values())
    left = sum(low[min(count, 3)] for count in types.values()) / total_types
    unigram = {word: (count - low[min(count, 3)]) / total_types + left / NUM_WORDS for word, count in types.items()}
    for row in range(len(levels[1])):
        first, second = ngram_of(levels, 1, row)
        after = {pair: count for pair, count in counts.items() if pair[0] == first}
        total = sum(after.values())
        weight = sum(high[min(count, 3)] for count in after.values()) / total
        count = counts[first, second]
        expected = (count - high[min(count, 3)]) / total + weight * unigram[second]
        assert models.probs[1][0][row] == pytest.approx(expected, rel=1e-4)


def test_the_weights_find_the_source_that_is_like_the_tuning_text():
    """A tuning text drawn like the second source gives that source nearly all the weight."""
    levels, models = ngrams.estimate(ngrams.count([stream(sentences(1)), stream(sentences(2))], NUM_WORDS, 3), (1, 1, 1))
    weights = ngrams.mixture_weights(levels, models, [stream(sentences(2, 30))])
    assert weights.sum() == pytest.approx(1)
    assert weights[1] > 0.9


def test_pruning_costs_less_than_dropping_at_random():
    """At the same number of n-grams, the pruned model predicts new text better than one that lost n-grams by chance."""
    levels, probs = mixed([stream(sentences(1, 1500))])
    losses = pruning.losses(levels, probs, np.ones(1))
    stay = pruning.keep_within(losses, 200, sum)
    small_levels, small = pruning.apply(levels, probs, stay)
    assert 170 < sum(map(len, small_levels)) <= 200 < sum(map(len, levels))
    rng = np.random.default_rng(1)
    chance = pruning.Losses(levels, [rng.permutation(values) for values in losses.values])
    chance_levels, by_chance = pruning.apply(levels, probs, pruning.keep_within(chance, 200, sum))
    new = stream(sentences(1, 200))

    def perplexity(levels, probs):
        return ngrams.perplexity(ngrams.score(levels, ngrams.Model(probs, ngrams.backoffs(levels, probs)), new))

    assert perplexity(levels, probs) <= perplexity(small_levels, small) * 1.02
    assert perplexity(small_levels, small) < 0.97 * perplexity(chance_levels, by_chance)


def test_what_fits_is_not_pruned():
    """A limit above the model's size keeps every n-gram."""
    levels, probs = mixed([stream(sentences(1))])
    stay = pruning.keep_within(pruning.losses(levels, probs, np.ones(1)), 10**9, trie_bytes)
    assert all(rows.all() for rows in stay)


def test_kenlm_reads_the_arpa_file_and_agrees(tmp_path):
    """KenLM's score of each word of new sentences is the model's own, pruned model included."""
    kenlm = pytest.importorskip("kenlm")
    levels, probs = mixed([stream(sentences(1)), stream(sentences(2, 100))])
    levels, probs = pruning.apply(levels, probs, pruning.keep_within(pruning.losses(levels, probs, np.array([0.5, 0.5])), 150, sum))
    left = ngrams.backoffs(levels, probs)
    words = ["<unk>", "</s>", *(f"w{i}" for i in range(2, NUM_WORDS))]
    write_arpa(tmp_path / "toy.arpa", words, levels, probs, left)
    model = kenlm.Model(str(tmp_path / "toy.arpa"))
    assert model.order == 3
    for sentence in sentences(5, 20):
        ours = np.log10(ngrams.score(levels, ngrams.Model(probs, left), stream([sentence])))
        theirs = [log_prob for log_prob, *_ in model.full_scores(" ".join(words[word] for word in sentence))]
        assert ours.tolist() == pytest.approx(theirs, abs=2e-4)


def test_the_estimate_of_a_trie_s_size_grows_with_each_order():
    """More n-grams of any order take more room; a million trigrams take about three bytes each."""
    base = trie_bytes([100_000, 10**6, 10**6])
    assert trie_bytes([100_000, 10**6, 2 * 10**6]) - base == pytest.approx(3.2e6, rel=0.1)
    assert trie_bytes([100_000, 2 * 10**6, 10**6]) > base
    assert math.isclose(trie_bytes([100_000, 0, 0]), 24 * 100_000, rel_tol=0.05)
