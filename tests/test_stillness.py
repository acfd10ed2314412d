"""What costs nothing while nobody speaks, and that it costs no word: sound that goes on as it was is not given to the model."""

import numpy as np
import pytest
import soundfile

from asr.client.captions import Final
from asr.client.recognizer import StreamingRecognizer
from asr.client.stillness import AGAIN_S, Stillness, loudest_db
from asr.config import FRAME_S, LATENCIES, RATE_HZ
from tests.tones import tone, tone_models

NEW = round(0.32 * RATE_HZ)
SHORT = round(0.84 * RATE_HZ)


def hiss(seconds: float, dbfs: float = -50.0, seed: int = 0) -> np.ndarray:
    """White noise (n,) float32."""
    return (10 ** (dbfs / 20) * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def hum(seconds: float, dbfs: float) -> np.ndarray:
    """A mains hum with its overtones (n,) float32."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    waves = sum(np.sin(2 * np.pi * 50 * number * time_s) / number for number in range(1, 8))
    return (10 ** (dbfs / 20) * waves).astype(np.float32)


def after(silence: np.ndarray) -> Stillness:
    """One that has learned from this."""
    stillness = Stillness()
    stillness.learn(silence)
    return stillness


def test_a_levels_unit():
    """A sine of full scale has the power of a half in the band it lies in, and hardly any elsewhere."""
    levels_db = loudest_db(np.sin(2 * np.pi * 1000 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32))
    assert levels_db.max() == pytest.approx(10 * np.log10(0.5), abs=0.1)
    assert np.sort(levels_db)[-2] < levels_db.max() - 40


@pytest.mark.parametrize("sound", [np.zeros(60 * RATE_HZ, np.float32), hiss(60, -80), hiss(60, -30), hum(60, -20) + hiss(60, -60)])
def test_what_goes_on_is_still(sound):
    """Silence, noise of any level and hum: seldom taken for something new."""
    stillness, still = after(sound[:round(2.4 * RATE_HZ)]), 0
    starts = range(round(2.4 * RATE_HZ), len(sound) - SHORT, NEW)
    for start in starts:
        if stillness.known and stillness.lasts(sound[start:start + SHORT], 0):
            still += 1
        else:
            stillness.learn(sound[start - round(2.4 * RATE_HZ):start])
    assert still > 0.98 * len(starts)


@pytest.mark.parametrize("new", [
    pytest.param(hiss(0.84, -44, seed=1), id="louder"), pytest.param(hiss(0.84, -60, seed=1), id="softer"),
    pytest.param(np.zeros(SHORT, np.float32), id="none"), pytest.param(hiss(0.84, seed=1) + hum(0.84, -45), id="a hum begins"),
    pytest.param(hiss(0.84, seed=1) + 0.01 * np.pad(tone("five", 0.1), (SHORT - 1600, 0)), id="a soft tone of 100 ms"),
])
def test_what_is_new_is_not(new):
    """Louder, softer, or something besides; then nothing is known any more."""
    stillness = after(hiss(2.4))
    assert stillness.lasts(hiss(0.84, seed=2), NEW)
    assert not stillness.lasts(new, NEW)
    assert not stillness.known


def test_not_for_ever():
    """After half a minute the model listens again."""
    stillness, sound = after(np.zeros(RATE_HZ)), np.zeros(SHORT)
    for _ in range(int(AGAIN_S * RATE_HZ) // NEW):
        assert stillness.lasts(sound, NEW)
    assert not stillness.lasts(sound, NEW)


@pytest.mark.parametrize("size", [100, 5120, 100_000, 10_000_000])
@pytest.mark.parametrize("chunk_ms", LATENCIES)
def test_words_after_it(chunk_ms, size):
    """After two minutes of hiss the next words are whole and at their times, however the samples come; most of it the model never had."""
    models, sound = tone_models(), hiss(124)
    for word, start_s in (("one", 120.0), ("two", 120.5)):
        sound[round(start_s * RATE_HZ):][:6400] += tone(word, 0.4)
    stream, captions = StreamingRecognizer(models=models, chunk_ms=chunk_ms), []
    for start in range(0, len(sound), size):
        captions += stream.feed(sound[start:start + size])
    captions += stream.flush()
    [final] = [caption for caption in captions if isinstance(caption, Final)]
    assert [word.text for word in final.words] == ["one", "two"]
    assert [word.start_s for word in final.words] == pytest.approx([120.0, 120.5], abs=1.01 * FRAME_S)
    assert models.acoustic.samples_run < 0.6 * len(sound)


def test_soft_speech_after_it(english, recordings):
    """Real speech of -45 dBFS after a hiss of -75 has the words that it has where the model hears all."""
    for path in sorted(recordings.glob("*.opus"))[:4]:
        samples = soundfile.read(path, dtype="float32")[0]
        spoken = samples * 10 ** (-45 / 20) / np.sqrt(np.mean(samples ** 2))
        sound = hiss(12 + len(samples) / RATE_HZ, -75)
        sound[10 * RATE_HZ:][:len(spoken)] += spoken
        texts = []
        for heard in (sound, sound[9 * RATE_HZ:]):           # two seconds of silence are too few to learn from
            stream = english.stream()
            finals = [caption for caption in stream.feed(heard) + stream.flush() if isinstance(caption, Final)]
            texts.append(" ".join(final.text for final in finals))
        assert texts[0] == texts[1]
        assert len(texts[0].split()) > 4
