"""Log-probabilities in, hypotheses out. Two decoders with one interface, made by `make_decoder`:

    decoder = make_decoder(bundle)                    loaded once, never changes
    stream = decoder.start(offset_s=0.0)              owns all that changes
    stream.step(emission)                             any number of frames, any number of times
    stream.best()                                     Hypothesis so far
    stream.finish()                                   Hypothesis at the end
    decoder.decode(emission, offset_s=0.0, shown=())  that of a whole utterance, by the best means at hand; words that were shown of it

Another decoder is one more file here and one more line in DECODERS.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from asr.errors import BundleError, DataError

if TYPE_CHECKING:
    from asr.bundle import Bundle
    from asr.decoding.own_words import OwnWord


def _greedy(bundle: "Bundle", options, own_words):
    from asr.decoding.greedy import GreedyDecoder

    if own_words:
        raise DataError("words of your own need the beam decoder")
    return GreedyDecoder(bundle.pieces, options.greedy_confidence)


def _pronounce(words: list[str]) -> list[list[tuple[str, ...]]]:
    """The two likeliest pronunciations of each."""
    from asr.pronouncer import LetterToSound

    return [[phones for _, phones in guesses] for guesses in LetterToSound().pronounce_all(words, limit=2)]


def _beam(bundle: "Bundle", options, own_words):
    from asr.decoding.beam import BeamDecoder
    from asr.decoding.lexicon_trie import read_pronunciations
    from asr.decoding.prepared import build, prepare
    from asr.decoding.rescoring import FILES as RESCORER
    from asr.decoding.rescoring import Rescorer

    if options.phone_prior and len(options.phone_prior) != len(bundle.phones):
        raise BundleError(f"the bundle: its decoding.phone_prior has {len(options.phone_prior)} numbers for "
                          f"{len(bundle.phones)} phones: install the bundle again, or run asr tune on it")
    least = None
    if own_words:
        from asr.decoding.own_words import add_words
        lexicon, least = add_words(read_pronunciations(bundle.path("lexicon.txt.gz"), bundle.phones), own_words, bundle.phones, _pronounce)
        language, lexicon, unigrams, trie = build(bundle, lexicon, least)
    else:
        language, lexicon, unigrams, trie = prepare(bundle)
    rescorer = None
    if bundle.has(RESCORER[0]):
        rescorer = Rescorer(*(bundle.path(name) for name in RESCORER), lexicon.words, unigrams, least)
    return BeamDecoder(bundle.pieces, lexicon, trie, language, options, rescorer)


DECODERS = {"beam": _beam, "greedy": _greedy}


def make_decoder(bundle: "Bundle", kind: str = "beam", own_words: "Sequence[OwnWord]" = (), **overrides):
    """The decoder `kind` with the bundle's files and tuned options, `overrides` (fields of DecodingOptions) put over them.

    Raises BundleError for a bundle without a file that the decoder needs, DataError for own words that cannot be pronounced, and
    ValueError for an unknown kind.
    """
    from asr.decoding.options import DecodingOptions

    if kind not in DECODERS:
        raise ValueError(f"unknown decoder {kind!r}: one of {', '.join(DECODERS)} is expected")
    return DECODERS[kind](bundle, DecodingOptions().with_changes(bundle.decoding).with_changes(overrides), own_words)
