"""Recognising files and streams: no word lost, doubled or shifted, however the sound comes. The tones of tones.py stand for words."""

import random
from collections import Counter

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from asr.cli import commands
from asr.client.captions import Final, Partial
from asr.client.recognizer import Recognizer, StreamingRecognizer
from asr.config import FRAME_S, LATENCIES, RATE_HZ
from asr.decoding.hypothesis import Hypothesis
from asr.errors import AudioError
from tests.tones import WORDS, ToneStream, recording, tone_models


def speech(seconds: float, seed: int = 0, pauses: bool = True, start_s: float = 0.0) -> list[tuple[str, float, float]]:
    """Words with start and end on whole frames, no two equal ones in a row; now and then a pause of 2 s."""
    rng, frame, last, words = random.Random(seed), round(start_s / FRAME_S), round((start_s + seconds) / FRAME_S), []
    while True:
        length = rng.randint(4, 12)
        if frame + length > last:
            return words
        word = rng.choice([word for word in WORDS if not words or word != words[-1][0]])
        words.append((word, frame * FRAME_S, (frame + length) * FRAME_S))
        frame += length + (50 if pauses and rng.random() < 0.15 else rng.randint(2, 5))


def heard(captions) -> list[tuple[str, float, float]]:
    """The finals' words, as `speech` gives them."""
    return [(word.text, word.start_s, word.end_s) for final in captions if isinstance(final, Final) for word in final.words]


def agrees(found, spoken, within_s: float = 1e-6):
    """Fails unless the same words were found, at the same times."""
    assert [word for word, _start, _end in found] == [word for word, _start, _end in spoken]
    for (_word, start_s, end_s), (_spoken, from_s, to_s) in zip(found, spoken):
        assert (start_s, end_s) == pytest.approx((from_s, to_s), abs=within_s)


def streamed(samples: np.ndarray, size: int | None = None, rate_hz: int = RATE_HZ, chunk_ms: int = 320) -> list[Partial | Final]:
    """All captions of a fresh stream that is fed `size` samples at a time."""
    stream = StreamingRecognizer(models=tone_models(), chunk_ms=chunk_ms, sample_rate=rate_hz)
    size = size or max(1, len(samples))
    captions = [caption for start in range(0, len(samples), size) for caption in stream.feed(samples[start:start + size])]
    return captions + stream.flush()


@pytest.mark.parametrize("seconds", [0.5, 12, 29, 31, 95])
def test_a_recording(seconds):
    """Recordings of one block and of many give each word once, at its time, the first and the last at the very ends."""
    spoken = speech(seconds)
    transcript = Recognizer(models=tone_models()).transcribe(recording(spoken, spoken[-1][2]))
    agrees([(word.text, word.start_s, word.end_s) for word in transcript.words], spoken)
    assert transcript.text == " ".join(word for word, _start, _end in spoken)


def test_speech_without_a_pause():
    """Two minutes without any pause are cut between words."""
    spoken = speech(120, pauses=False)
    samples = recording(spoken, 121)
    agrees(heard(Recognizer(models=tone_models()).recognise([samples], RATE_HZ)), spoken)
    agrees(heard(streamed(samples)), spoken)


def test_an_hour_at_bounded_memory():
    """Over an hour at another rate, word times are exact to a frame, and finals come while the recording is still being read."""
    rate_hz, read_s, found, lags = 22_050, 0.0, [], []
    spoken = [(WORDS[minute % 10], 60 * minute + 20, 60 * minute + 20.4) for minute in range(60)]

    def blocks():
        nonlocal read_s
        for word, start_s, _end_s in spoken:
            minute = recording([(word, 20, 20.4)], 60, rate_hz)
            for second in range(60):
                read_s = start_s - 20 + second + 1
                yield minute[second * rate_hz:(second + 1) * rate_hz]

    for final in Recognizer(models=tone_models()).recognise(blocks(), rate_hz):
        found += heard([final])
        lags.append(read_s - final.end_s)
    agrees(found, spoken, within_s=1.01 * FRAME_S)
    assert max(lags) < 50


def test_files(tmp_path):
    """A file of any rate and channels gives what its samples give."""
    spoken = speech(8)
    samples = recording(spoken, 9, 48_000)
    soundfile.write(tmp_path / "a.flac", np.stack([samples, samples / 2], axis=1), 48_000)
    recognizer = Recognizer(models=tone_models())
    for found in (recognizer.transcribe(tmp_path / "a.flac"), recognizer.transcribe(samples, 48_000)):
        agrees([(word.text, word.start_s, word.end_s) for word in found.words], spoken, within_s=1.01 * FRAME_S)
        assert found.damage == ""


def test_a_damaged_file_keeps_its_words(tmp_path):
    """What comes before the damage is recognised, and the transcript says what is wrong."""
    spoken = speech(40)
    soundfile.write(tmp_path / "a.wav", recording(spoken, 40), RATE_HZ)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:35 * RATE_HZ * 2])
    transcript = Recognizer(models=tone_models()).transcribe(tmp_path / "a.wav")
    expected = [word for word, _start, end_s in spoken if end_s < 34]
    assert transcript.text.split()[:len(expected)] == expected
    assert "cut short after 35.0 of 40.0 s" in transcript.damage


def test_nothing_to_hear(tmp_path):
    """No sample, one sample and silence give no words, in one call and as a stream."""
    for count in (0, 1, 5 * RATE_HZ, 40 * RATE_HZ):
        soundfile.write(tmp_path / "a.wav", np.zeros(count), RATE_HZ)
        assert Recognizer(models=tone_models()).transcribe(tmp_path / "a.wav").words == ()
        assert streamed(np.zeros(count, np.float32)) == []


def test_what_is_no_audio_is_refused(tmp_path):
    """A missing file, NaN, and a rate that no recording has raise AudioError."""
    recognizer = Recognizer(models=tone_models())
    for source, rate_hz in ((tmp_path / "absent.wav", None), (np.array([0, np.nan]), None), (np.zeros(5), 3)):
        with pytest.raises(AudioError):
            recognizer.transcribe(source, rate_hz)
    with pytest.raises(AudioError, match="sample 1 is not a number"):
        recognizer.stream().feed(np.array([0, np.nan]))


@pytest.mark.parametrize("chunk_ms", LATENCIES)
def test_a_stream(chunk_ms):
    """Finals give each word once, at its time, at every latency; each utterance's final comes after its partials."""
    spoken = speech(45, seed=chunk_ms)
    captions = streamed(recording(spoken, spoken[-1][2]), chunk_ms=chunk_ms)
    agrees(heard(captions), spoken)
    assert sum(isinstance(caption, Final) for caption in captions) > 3
    assert isinstance(captions[-1], Final)


def test_any_sizes_equal_at_once():
    """The captions, partials included, are the same whether samples come one hundred at a time, in odd sizes or all at once."""
    samples = recording(speech(20, seed=5), 22)
    at_once = streamed(samples)
    assert sum(isinstance(caption, Partial) for caption in at_once) > 20
    for size in (100, 5120, 7919, 100_000):
        assert streamed(samples, size) == at_once


def test_the_final_pass_is_made_in_the_pause(monkeypatch):
    """When the endpoint comes, an utterance's sound has been through the model already; its captions are those of a pass made then."""
    samples = recording([("one", 0.3, 0.7), ("two", 0.8, 4.1)], 6)
    models = tone_models()
    stream, at_the_final = StreamingRecognizer(models=models), None
    for start in range(0, len(samples), 320):
        before = models.acoustic.samples_run
        if any(isinstance(caption, Final) for caption in stream.feed(samples[start:start + 320])):
            at_the_final = models.acoustic.samples_run - before
            break
    assert at_the_final is not None
    assert at_the_final < 2 * RATE_HZ
    foreseen = streamed(samples)
    monkeypatch.setattr(StreamingRecognizer, "_foresee", lambda self, utterance: None)
    assert streamed(samples) == foreseen


@pytest.mark.parametrize("decoder", ["beam", "greedy"])
def test_any_sizes_equal_at_once_with_a_real_model(tiny_bundle, decoder):
    """The same with a bundle's own graph and decoder: equal to the last bit of each confidence."""
    models = Recognizer(tiny_bundle.folder, decoder, precision="int8").models
    samples = (0.1 * np.random.default_rng(0).standard_normal(6 * RATE_HZ)).astype(np.float32)
    streams = []
    for size in (333, len(samples)):
        stream = StreamingRecognizer(models=models)
        captions = [caption for start in range(0, len(samples), size) for caption in stream.feed(samples[start:start + size])]
        streams.append(captions + stream.flush())
    assert streams[0] == streams[1]
    assert any(caption.words for caption in streams[0])      # a random model babbles


def test_other_rates():
    """A stream of 48 kHz gives the words at their times."""
    spoken = speech(15, seed=2)
    agrees(heard(streamed(recording(spoken, 16, 48_000), 4801, 48_000)), spoken, within_s=1.01 * FRAME_S)


def test_recordings_in_a_row():
    """What is fed after a flush is recognised as by a fresh stream, and times go on."""
    first, second = speech(6, seed=1), speech(7, seed=2)
    stream = StreamingRecognizer(models=tone_models())
    agrees(heard(stream.feed(recording(first, 6)) + stream.flush()), first)
    captions = stream.feed(recording(second, 7)) + stream.flush()
    agrees(heard(captions), [(word, start_s + 6, end_s + 6) for word, start_s, end_s in second])


def test_lost_sound_is_counted():
    """After a gap of lost samples the words before it are final and the times after it right."""
    words = speech(3, seed=1)
    samples = recording(words, 3)
    stream = StreamingRecognizer(models=tone_models())
    captions = stream.feed(samples) + stream.skip(10 * RATE_HZ) + stream.feed(samples) + stream.flush()
    agrees(heard(captions), words + [(word, start_s + 13, end_s + 13) for word, start_s, end_s in words])


@pytest.mark.parametrize("silence_s", [10, 60, 130.2])
def test_words_after_a_long_silence(silence_s):
    """After a long silence the next word is whole, and the silence cost hardly more than hearing it once."""
    models = tone_models()
    stream = StreamingRecognizer(models=models)
    spoken = [("one", silence_s, silence_s + 0.4), ("two", silence_s + 0.48, silence_s + 0.8)]
    captions = stream.feed(recording(spoken, silence_s + 2)) + stream.flush()
    agrees(heard(captions), spoken, within_s=1.01 * FRAME_S)
    assert models.acoustic.samples_run < 2.5 * (silence_s + 5) * RATE_HZ


def test_committed_words_stay():
    """From partial to partial of an utterance, committed words are never altered, and most are committed before the final."""
    captions, shown, committed, total = streamed(recording(speech(60, seed=9), 61)), [], 0, 0
    for caption in captions:
        words = [word.text for word in caption.words]
        if isinstance(caption, Final):
            committed, total, shown = committed + len(shown), total + len(words), []
        else:
            assert words[:len(shown)] == shown
            shown = words[:caption.committed]
    assert total > 60
    assert committed > 0.5 * total


LAST_WORD_S = 0.25                   # a stream that ends so much sooner has lost a word


def fed(stream: StreamingRecognizer, samples: np.ndarray) -> list[str]:
    """Words of the finals of one recording."""
    return [word for word, _start, _end in heard(stream.feed(samples) + stream.flush())]


@pytest.mark.parametrize("kind", ["silence", "hiss", "loud hiss", "hum", "clicks"])
def test_no_words_where_nobody_speaks(english, kind):
    """Twenty seconds of silence, of noise and of clicks give no word, neither at once nor as a stream."""
    rng, count = np.random.default_rng(0), 20 * RATE_HZ
    samples = {"silence": np.zeros(count),
               "hiss": 0.003 * rng.standard_normal(count),
               "loud hiss": 0.05 * rng.standard_normal(count),
               "hum": 0.1 * np.sin(2 * np.pi * 50 * np.arange(count) / RATE_HZ) + 0.001 * rng.standard_normal(count),
               "clicks": 0.001 * rng.standard_normal(count) + 0.5 * (np.arange(count) % 12_345 < 20)}[kind].astype(np.float32)
    assert english.transcribe(samples).text == ""
    assert fed(english.stream(), samples) == []


def test_what_is_likelier_noise_on_request(english, recordings, tmp_path):
    """Speech played twice too fast is mostly taken for noise; with `all_words` what was understood is written all the same."""
    everything, counts = Recognizer(all_words=True), []
    for path in sorted(recordings.glob("*.opus"))[:6]:
        samples, rate_hz = soundfile.read(path, dtype="float32")
        counts.append([len(each.transcribe(samples, 2 * rate_hz).words) for each in (english, everything)])
        assert everything.transcribe(samples, rate_hz) == english.transcribe(samples, rate_hz)
    assert sum(believed == 0 for believed, _ in counts) >= 3
    assert all(found > 0 and believed in (0, found) for believed, found in counts)
    soundfile.write(tmp_path / "fast.wav", samples, 2 * rate_hz)
    texts = [CliRunner().invoke(commands, ["transcribe", *option, str(tmp_path / "fast.wav")]).stdout for option in ((), ("--all-words",))]
    assert [len(text.split()) for text in texts] == counts[-1]


def test_streamed_equals_whole_on_speech(english, recordings):
    """Real recordings give as a stream nearly the words of whole files, and speech to the end of each."""
    different = total = lost = files = 0
    for path in sorted(recordings.glob("*.opus")):
        samples, rate_hz = soundfile.read(path, dtype="float32")
        whole = english.transcribe(path).words
        stream = english.stream(sample_rate=rate_hz)
        streamed = heard(stream.feed(samples) + stream.flush())
        texts, streamed_texts = [word.text for word in whole], [text for text, _start, _end in streamed]
        different += max(len(texts), len(streamed)) - sum((Counter(texts) & Counter(streamed_texts)).values())
        total, files = total + len(texts), files + 1
        lost += not streamed or streamed[-1][2] < whole[-1].end_s - LAST_WORD_S
    assert files == 12
    assert total > 80
    assert different <= 0.1 * total
    assert lost <= 1


class Hesitant(ToneStream):
    """Sure of no word before the end, and then of all."""

    def best(self):
        """Nothing yet."""
        return Hypothesis()

    def finish(self):
        """All words."""
        return super().best()


def test_words_that_no_partial_was_sure_of_are_in_the_final():
    """What the decoder held back until the end of an utterance is not lost, nor is the next utterance."""
    models = tone_models()
    models.decoder.start = Hesitant
    spoken = [("one", 0.4, 0.8), ("two", 0.88, 1.2), ("three", 3.6, 4.0)]
    stream = StreamingRecognizer(chunk_ms=320, models=models)
    captions = stream.feed(recording(spoken, 6)) + stream.flush()
    assert [type(caption) for caption in captions] == [Final, Final]
    agrees(heard(captions), spoken)
