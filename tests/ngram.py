"""A small n-gram estimator for tests: interpolated absolute discounting, written as an ARPA file."""

import math
from collections import Counter, defaultdict
from pathlib import Path

_DISCOUNT = 0.75


def write_arpa(sentences: list[str], path: Path, order: int = 3, words: tuple[str, ...] = ()) -> Path:
    """Count `sentences` (words between spaces) up to n-grams of `order`; `words` are in the vocabulary even where no sentence has them."""
    counts = [Counter() for _ in range(order)]
    for sentence in sentences:
        tokens = ["<s>", *sentence.split(), "</s>"]
        for n in range(order):
            counts[n].update(tuple(tokens[i : i + n + 1]) for i in range(len(tokens) - n))
    for word in (*words, "<unk>"):
        counts[0][(word,)] += 1
    del counts[0][("<s>",)]
    total = sum(counts[0].values())
    probability = [{gram: count / total for gram, count in counts[0].items()}]
    backoff: list[dict] = [{}]
    for n in range(1, order):
        totals, kinds = defaultdict(int), defaultdict(int)
        for gram, count in counts[n].items():
            totals[gram[:-1]] += count
            kinds[gram[:-1]] += 1
        backoff[n - 1] = {context: _DISCOUNT * kinds[context] / totals[context] for context in totals}
        probability.append({
            gram: (count - _DISCOUNT) / totals[gram[:-1]] + backoff[n - 1][gram[:-1]] * probability[n - 1][gram[1:]]
            for gram, count in counts[n].items()
        })
        backoff.append({})
    probability[0][("<s>",)] = 1e-99
    lines = ["\\data\\", *(f"ngram {n + 1}={len(probability[n])}" for n in range(order))]
    for n in range(order):
        lines.append(f"\n\\{n + 1}-grams:")
        for gram, p in sorted(probability[n].items()):
            weight = f"\t{math.log10(backoff[n].get(gram, 1.0)):.5f}" if n + 1 < order else ""
            lines.append(f"{math.log10(p):.5f}\t{' '.join(gram)}{weight}")
    path.write_text("\n".join([*lines, "\n\\end\\", ""]), encoding="utf-8")
    return path
