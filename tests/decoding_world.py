"""A small world for the decoders' tests: a lexicon, a trigram of a few sentences, and a bundle-like object with their files."""

import gzip
from pathlib import Path
from types import SimpleNamespace

from asr.units import PHONES
from tests.ngram import write_arpa
from tests.synthetic import PIECES

LEXICON = """
a AH|a EY|an AE N|and AE N D|and AH N D|at AE T|bird B ER D|bright B R AY T|but B AH T|by B AY|bye B AY|buy B AY|cat K AE T|dog D AO G
for F AO R|four F AO R|fore F AO R|he HH IY|house HH AW S|i AY|in IH N|is IH Z|it IH T|light L AY T|man M AE N|mat M AE T|met M EH T
morning M AO R N IH NG|my M AY|night N AY T|knight N AY T|no N OW|know N OW|of AH V|old OW L D|on AA N|one W AH N|won W AH N
read R EH D|read R IY D|red R EH D|right R AY T|write R AY T|said S EH D|sat S AE T|saw S AO|sea S IY|see S IY|she SH IY|so S OW
sun S AH N|son S AH N|that DH AE T|the DH AH|the DH IY|their DH EH R|there DH EH R|to T UW|too T UW|two T UW|was W AA Z|we W IY
went W EH N T|with W IH DH|tan T AE N|ran R AE N|us AH S|bee B IY|be B IY|or AO R|oar AO R|ore AO R|awe AO
midday M IH D D EY|miday M IH D EY
"""
SENTENCES = """
the cat sat on the mat|the old man saw the sea|i know that she was there|we went to the house by the sea
the bird sat in the light|the dog and the cat ran to the old house|he said no to the two of us|my son read the red one
it is the right night to write to my son|be good|the sun was bright that morning|she met a man with a dog
i see four of us there|so we went there in the morning|their house was old|he won one night
the knight went to the sea too|buy a cat or a dog|bye bye|it was for us but it went to the man
""".strip().replace("\n", "|").split("|")


def pronunciations() -> list[tuple[str, str]]:
    """(word, phones) of the lexicon, sorted by word."""
    return sorted(tuple(entry.split(" ", 1)) for line in LEXICON.strip().splitlines() for entry in line.split("|"))


def spoken(sentence: str) -> list[tuple[str, str]]:
    """(word, phones) of each word of a sentence, by its first pronunciation."""
    first: dict[str, str] = {}
    for word, phones in pronunciations():
        first.setdefault(word, phones)
    return [(word, first[word]) for word in sentence.split()]


def make_world(folder: Path, **decoding) -> SimpleNamespace:
    """Write lexicon and n-gram into `folder`; what comes back has the attributes of a Bundle that decoders use."""
    entries = pronunciations()
    with gzip.open(folder / "lexicon.txt.gz", "wt", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{word}\t{phones}\n" for word, phones in entries)
    words = tuple(sorted({word for word, _ in entries}))
    known = [" ".join(word for word in sentence.split() if word in words) for sentence in SENTENCES]
    write_arpa(known, folder / "language.binary", words=words)               # KenLM tells an ARPA file from a binary by itself
    return SimpleNamespace(phones=tuple(PHONES), pieces=PIECES, decoding=decoding, path=lambda name: folder / name,
                           has=lambda name: (folder / name).exists())
