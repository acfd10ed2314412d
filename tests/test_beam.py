"""The beam decoder on emissions made from text."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from asr.config import FRAME_S
from asr.decoding import make_decoder
from asr.decoding.emission import Emission
from asr.errors import BundleError
from tests.decoding_world import SENTENCES, make_world, spoken
from tests.synthetic import speak

NOISY = partial(speak, noise=1.2, confusion=0.1)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Files of a small language."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def decoder(world):
    """The beam decoder of that language."""
    return make_decoder(world, "beam")


def recognise(decoder, emission: Emission, chunk: int | None = None):
    """The hypothesis of an emission fed `chunk` frames at a time."""
    stream = decoder.start()
    for start in range(0, len(emission), chunk or len(emission)):
        stream.step(emission[start : start + (chunk or len(emission))])
    return stream.finish()


def test_sentences_come_back(decoder):
    """Noisy emissions of known sentences give those sentences, homophones told apart by the language model."""
    sentences = [s for s in SENTENCES if "good" not in s]
    heard = [recognise(decoder, NOISY(spoken(sentence), seed=i)).text for i, sentence in enumerate(sentences)]
    assert len(heard) == 19
    assert sum(a == b for a, b in zip(heard, sentences, strict=True)) >= 18, heard


@pytest.mark.parametrize("chunk", [1, 7, 25, 40])
def test_step_by_step_is_the_whole(decoder, chunk):
    """Words, times, confidences and score do not depend on how an emission is cut, over several settlements."""
    words = spoken(" ".join(SENTENCES[:6]))
    emission = NOISY(words, seed=5)
    assert len(emission) > 250
    assert recognise(decoder, emission, chunk) == recognise(decoder, emission)


def test_partial_results_grow_and_keep_what_is_settled(decoder):
    """Partials are prefixes of what is said, and the last one lacks at most the last word of the result."""
    emission = speak(spoken("the old man saw the sea"), noise=0.3)
    stream, partials = decoder.start(), []
    for t in range(len(emission)):
        stream.step(emission[t : t + 1])
        partials.append(stream.best())
        assert stream.best() == partials[-1]                 # asking changes nothing
    final = stream.finish()
    assert final.text == "the old man saw the sea"
    assert partials[-1].words[:5] == final.words[:5]
    assert [len(p.words) for p in partials] == sorted(len(p.words) for p in partials)


def test_times_are_those_of_the_phones(decoder):
    """A word lasts from the first frame of its first phone to the last frame of its last one, the word end left out."""
    phones = decoder.trie.phone[0]
    emission = speak(spoken("we went to the house"), noise=0.1, silence_frames=30)
    on = np.flatnonzero((emission.phones.argmax(1) != 0) & (emission.phones.argmax(1) != phones))
    ends = np.flatnonzero(emission.phones.argmax(1) == phones)
    words = recognise(decoder, emission).words
    assert len(words) == 5
    assert words[0].start_s == pytest.approx(on[0] * FRAME_S)
    assert words[-1].end_s == pytest.approx((on[-1] + 1) * FRAME_S)
    for before, after in pairwise(words):
        inside = ends[(ends * FRAME_S >= before.end_s - 1e-6) & (ends * FRAME_S < after.start_s)]
        assert len(inside) >= 1                              # the unit `|` lies between the two
    assert [round(w.start_s + 5, 6) for w in words] == [round(w.start_s, 6) for w in offset_words(decoder, emission, 5.0)]


def offset_words(decoder, emission, offset_s):
    """Words of a stream that begins at offset_s."""
    stream = decoder.start(offset_s)
    stream.step(emission)
    return stream.finish().words


def test_confidence_falls_with_noise(decoder):
    """Clear words are near 1, the same words in noise lower, and all lie in [0, 1]."""
    clear = recognise(decoder, speak(spoken("the old man saw the sea"), noise=0.1)).words
    noisy = recognise(decoder, speak(spoken("the old man saw the sea"), noise=2.2, strength=6.0, seed=3)).words
    assert len(clear) == 6
    assert len(noisy) > 0
    assert min(w.confidence for w in clear) > 0.9
    assert np.mean([w.confidence for w in noisy]) < np.mean([w.confidence for w in clear]) - 0.1
    assert all(0 <= w.confidence <= 1 for w in clear + noisy)


def test_a_made_up_name_comes_out_through_the_pieces(decoder, world):
    """A word that no lexicon has is spelled by the second head; sure words beside it stay the lexicon's."""
    words = [*spoken("she met"), ("zanthorp", "Z AE N TH AO R P"), *spoken("in the morning")]
    emission = speak(words, noise=0.5, seed=2)
    hypothesis = recognise(decoder, emission)
    assert hypothesis.text == "she met zanthorp in the morning"
    assert recognise(decoder, emission, 3) == hypothesis
    name = hypothesis.words[2]
    assert hypothesis.words[1].end_s <= name.start_s < name.end_s <= hypothesis.words[3].start_s
    off = decoder.with_changes(unknown={"confidence": 2.0})
    assert "zanthorp" not in recognise(off, emission).text


def test_a_misspelling_does_not_undo_a_known_word(decoder):
    """Where the lexicon's word explains the phones, the other head's spelling is of no account."""
    words = [*spoken("the old man saw the"), ("caat", "K AE T")]
    assert recognise(decoder, speak(words, noise=0.5)).text == "the old man saw the cat"


def test_silence_and_nothing_give_no_words(decoder):
    """No frames, and blanks only, give an empty hypothesis."""
    assert decoder.start().finish().words == ()
    assert decoder.start().best().text == ""
    assert recognise(decoder, speak([], silence_frames=100)).words == ()


def test_the_last_word_needs_no_word_end(decoder):
    """An utterance cut off before the last `|` still has its last word."""
    emission = speak(spoken("the cat sat on the mat"), noise=0.2, silence_frames=3)
    last = np.flatnonzero(emission.phones.argmax(1) == decoder.trie.phone[0])
    cut = emission[: last[emission.phones[last - 1].argmax(1) != decoder.trie.phone[0]][-1]]
    assert recognise(decoder, cut).text == "the cat sat on the mat"


def test_memory_stays_bounded(decoder):
    """A long stream keeps neither its frames nor its search, and still has all its words."""
    sentences = [s for s in SENTENCES if "good" not in s]
    stream, expected = decoder.start(), 0
    for i in range(40):
        stream.step(speak(spoken(sentences[i % len(sentences)]), noise=0.3, seed=i))
        expected += len(sentences[i % len(sentences)].split())
    assert stream._search.frames > 2500
    assert len(stream._search._traces.links) < 300
    assert len(stream._phones) <= 1000
    assert len(stream._settled) + len(stream._speller.words) < 40
    assert abs(len(stream.finish().words) - expected) <= 4


def test_same_result_as_flashlight(decoder, world):
    """With wide beams the best score equals that of flashlight's LexiconDecoder, which shares no code with this search."""
    from flashlight.lib.text.decoder import CriterionType, LexiconDecoder, LexiconDecoderOptions, SmearingMode, Trie

    unigrams = decoder.language.unigrams()
    trie, word_end = Trie(len(world.phones), 0), world.phones.index("|")
    for phones, count, word in zip(decoder.lexicon.phones.tolist(), decoder.lexicon.lengths, decoder.lexicon.word_of, strict=True):
        trie.insert([*phones[:count], word_end], int(word), float(unigrams[word]))
    trie.smear(SmearingMode.MAX)
    options = LexiconDecoderOptions(beam_size=1000, beam_size_token=41, beam_threshold=60, lm_weight=1.5, word_score=0.7,
                                    unk_score=-np.inf, sil_score=0, log_add=False, criterion_type=CriterionType.CTC)
    other = LexiconDecoder(options, trie, decoder.language.model, word_end, 0, -1, [], False)
    same = decoder.with_changes(lm_weight=1.5, word_score=0.7, beam_size=1000, beam_threshold=60, end_threshold=60, log_add=False,
                                blank_threshold=1.0)
    for seed in range(4):
        emission = NOISY(spoken(SENTENCES[seed]), seed=seed)
        best = other.decode(np.ascontiguousarray(emission.phones).ctypes.data, *emission.phones.shape)[0]
        words = " ".join(decoder.lexicon.words[word].decode() for word in best.words if word >= 0)
        hypothesis = recognise(same, emission)
        assert (hypothesis.text, hypothesis.score) == (words, pytest.approx(best.score, abs=0.01))


def test_defaults_lose_nothing_against_a_wide_beam(decoder):
    """Default beam and blank skipping find the words that a beam sixteen times as wide finds."""
    wide = decoder.with_changes(beam_size=1024, beam_threshold=50.0, end_threshold=50.0, blank_threshold=1.0)
    for seed in range(5):
        emission = NOISY(spoken(SENTENCES[seed + 4]), seed=seed)
        assert recognise(decoder, emission).text == recognise(wide, emission).text


def test_prior_and_blank_penalty_are_costs_of_units(decoder, world):
    """They change the score exactly as taking them from the emission would."""
    options = {"blank_threshold": 1.0, "log_add": False}
    prior = np.log(np.random.default_rng(1).dirichlet(np.ones(len(world.phones))))
    costs = 0.4 * prior + np.eye(len(world.phones))[0] * 1.5
    charged = decoder.with_changes(phone_prior=prior.tolist(), prior_weight=0.4, blank_penalty=1.5, **options)
    for seed in range(4):
        emission = NOISY(spoken(SENTENCES[seed]), seed=seed)
        taken = Emission((emission.phones - costs).astype(np.float32), emission.pieces)
        plain, other = recognise(decoder.with_changes(**options), taken), recognise(charged, emission)
        assert (other.text, other.score) == (plain.text, pytest.approx(plain.score, abs=0.01))
        assert abs(other.score - recognise(decoder.with_changes(**options), emission).score) > 1


def test_a_prior_of_another_model_is_told(world):
    """A number for each phone is needed; one line says so."""
    with pytest.raises(BundleError, match="phone_prior has 2 numbers"):
        make_decoder(world, "beam", phone_prior=[-1.0, -2.0])


@pytest.mark.parametrize("change", [{"lm_wait": 1.0}, {"lm_weight": "much"}, {"confidence": {"steepness": 1}}])
def test_wrong_options_are_told(decoder, change):
    """An option that does not exist or fit is one line that names it."""
    with pytest.raises(BundleError, match=next(iter(change))):
        decoder.with_changes(**change)


def test_unknown_decoder_is_told(world):
    """The kinds there are, in the message."""
    with pytest.raises(ValueError, match="beam, greedy"):
        make_decoder(world, "viterbi")
