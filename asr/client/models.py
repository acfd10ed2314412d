"""What recognisers share: a bundle's acoustic model and decoder, loaded once and never changed."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asr.bundle import load_bundle

if TYPE_CHECKING:
    from asr.client.acoustic import Acoustic


@dataclass(frozen=True)
class Models:
    """An acoustic model and a decoder of the same bundle; any number of streams use them at once."""

    acoustic: "Acoustic"
    decoder: object                  # start(offset_s) -> a stream with step, best, finish; decode(emission, offset_s)


def load_models(bundle: str | os.PathLike | None = None, decoder: str = "beam", precision: str = "auto", threads: int = 1,
                all_words: bool = False, own_words: Iterable[str] = ()) -> Models:
    """Load from the bundle at `bundle` (None: the shipped one). Raises BundleError, DataError.

    all_words: none are left out for noise. own_words: lines of a list of the user's (decoding/own_words.py).

    The two halves load side by side: each imports a large library and reads files of tens of megabytes, mostly outside of Python.
    """
    loaded = load_bundle(bundle)

    def load_acoustic():
        from asr.client.acoustic import Acoustic
        return Acoustic(loaded, precision, threads)

    with ThreadPoolExecutor(1) as pool:
        acoustic = pool.submit(load_acoustic)
        from asr.decoding import make_decoder
        from asr.decoding.own_words import parse_words
        made = make_decoder(loaded, decoder, parse_words(own_words), **({"least_confidence": 0.0} if all_words else {}))
        return Models(acoustic.result(), made)
