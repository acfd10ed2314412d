"""Log-probabilities in, hypotheses out. Two decoders with one interface, made by `make_decoder`:

    decoder = make_decoder(bundle)                    loaded once, never changes
    stream = decoder.start(offset_s=0.0)              owns all that changes
    stream.step(emission)                             any number of frames, any number of times
    stream.best()                                     Hypothesis so far
    stream.finish()                                   Hypothesis at the end
    decoder.decode(emission, offset_s=0.0)            that of a whole utterance, by the best means at hand

Another decoder is one more file here and one more line in DECODERS.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr.bundle import Bundle


def _greedy(bundle: "Bundle", options):
    from asr.decoding.greedy import GreedyDecoder

    return GreedyDecoder(bundle.pieces, options.greedy_confidence)


def _beam(bundle: "Bundle", options):
    from asr.decoding.beam import BeamDecoder
    from asr.decoding.language_model import LanguageModel
    from asr.decoding.lexicon_trie import build_trie, read_pronunciations
    from asr.decoding.rescoring import FILES as RESCORER
    from asr.decoding.rescoring import Rescorer
    from asr.errors import BundleError
    from asr.units import WORD_END

    if options.phone_prior and len(options.phone_prior) != len(bundle.phones):
        raise BundleError(f"the bundle: its decoding.phone_prior has {len(options.phone_prior)} numbers for "
                          f"{len(bundle.phones)} phones: install the bundle again, or run asr tune on it")
    lexicon = read_pronunciations(bundle.path("lexicon.txt.gz"), bundle.phones)
    language = LanguageModel(bundle.path("language.binary"), lexicon.words)
    unigrams = language.unigrams()
    trie = build_trie(lexicon, unigrams, word_end=bundle.phones.index(WORD_END))
    rescorer = None
    if bundle.has(RESCORER[0]):
        rescorer = Rescorer(*(bundle.path(name) for name in RESCORER), lexicon.words, unigrams)
    return BeamDecoder(bundle.pieces, lexicon, trie, language, options, rescorer)


DECODERS = {"beam": _beam, "greedy": _greedy}


def make_decoder(bundle: "Bundle", kind: str = "beam", **overrides):
    """The decoder `kind` with the bundle's files and tuned options, `overrides` (fields of DecodingOptions) put over them.

    Raises BundleError for a bundle without a file that the decoder needs, and ValueError for an unknown kind.
    """
    from asr.decoding.options import DecodingOptions

    if kind not in DECODERS:
        raise ValueError(f"unknown decoder {kind!r}: one of {', '.join(DECODERS)} is expected")
    return DECODERS[kind](bundle, DecodingOptions().with_changes(bundle.decoding).with_changes(overrides))
