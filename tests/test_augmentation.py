"""Distortions do what was asked, in decibels and samples, and leave speech where it was in time."""

import numpy as np
import pytest

from asr.errors import DataError
from asr.training.audio_store import open_store
from asr.training.augmentation import (
    CODECS,
    AugmentationConfig,
    Augmenter,
    by_codec,
    by_telephone,
    clipped,
    filtered,
    mix,
    response_filter,
    speech_power,
    through_room,
)
from asr.training.manifests import read_set
from asr.training.noise import COLOURS, NoiseBank, clicks, coloured, hum, wandering
from asr.training.rooms import LEAD_SAMPLES, RoomBank, RoomConfig
from tests.small_sets import voice, write_set

RATE_HZ = 16000
ALWAYS = dict.fromkeys(("room", "noise", "response", "gain", "clip"), 1.0)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    """Twelve simulated rooms."""
    return RoomBank.open(tmp_path_factory.mktemp("rooms"), RoomConfig(count=12))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A few decoded utterances to make babble of."""
    folder = tmp_path_factory.mktemp("speech")
    return open_store({"small": read_set(write_set(folder, "small", [1.0, 0.8, 1.2, 0.6, 1.1]))}, folder / "cache", progress=False)


@pytest.fixture(scope="module")
def noise(store):
    """Synthetic noise, and babble of the store."""
    return NoiseBank(recordings=store, speech=store)


def lag(heard: np.ndarray, said: np.ndarray) -> int:
    """By how many samples the first is later than the second, from the peak of their correlation."""
    size = 2 * len(said)
    correlation = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    return int((np.argmax(correlation) + len(said)) % size) - len(said)


def band_power(samples: np.ndarray, low_hz: float, high_hz: float) -> float:
    """Power between two frequencies, in decibels."""
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    frequencies_hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    return 10 * np.log10(spectrum[(frequencies_hz >= low_hz) & (frequencies_hz < high_hz)].sum() / len(samples) ** 2 + 1e-20)


@pytest.mark.parametrize("snr_db", [0.0, 7.5, 30.0])
@pytest.mark.parametrize("pause_s", [0.0, 2.0])
def test_snr_is_what_was_asked(snr_db, pause_s):
    """Measured where there is speech: a long pause in the recording does not make the noise fainter."""
    steady = 0.2 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE_HZ) / RATE_HZ).astype(np.float32)
    speech = np.concatenate([steady, np.zeros(round(pause_s * RATE_HZ), np.float32)])
    sound = np.random.default_rng(0).standard_normal(len(speech), np.float32)
    added = mix(speech, sound, snr_db) - speech
    measured_db = 10 * np.log10(np.mean(steady ** 2) / np.mean(added ** 2))
    assert measured_db == pytest.approx(snr_db, abs=0.1)


def test_noise_of_a_run_spans_the_snr_asked_for(noise):
    """Through the whole chain: the ratio of each utterance lies within the configured limits, and they are not all alike."""
    speech = voice(1.5)
    augmenter = Augmenter(AugmentationConfig(**{**ALWAYS, "room": 0, "response": 0, "gain": 0, "clip": 0, "telephone": 0, "codec": 0},
                                             noise_snr_db=(5.0, 20.0)), noise)
    found_db = []
    for seed in range(20):
        added = augmenter.apply(speech, np.random.default_rng(seed)) - speech
        found_db.append(10 * np.log10(speech_power(speech) / np.mean(added ** 2)))
    assert min(found_db) > 4.9
    assert max(found_db) < 20.5
    assert max(found_db) - min(found_db) > 5


def test_rooms_keep_level_and_place(rooms):
    """Speech in every room is as loud as before and not shifted by more than a millisecond, and yet not the same."""
    assert len(rooms) == 12
    said = np.random.default_rng(1).standard_normal(2 * RATE_HZ).astype(np.float32)
    for number in range(len(rooms)):
        heard = through_room(said, rooms[number])
        assert heard.shape == said.shape
        assert np.sum(heard ** 2) == pytest.approx(np.sum(said ** 2), rel=1e-3)
        assert abs(lag(heard, said)) <= 16
        assert np.corrcoef(heard, said)[0, 1] < 0.999


def test_rooms_sound_like_rooms(rooms):
    """Nothing before the direct sound, unit energy, a decaying tail; rooms differ in length."""
    lengths = set()
    for number in range(len(rooms)):
        response = rooms[number]
        energy = response ** 2
        assert energy.sum() == pytest.approx(1.0, rel=1e-4)
        assert energy[: LEAD_SAMPLES - 8].sum() < 0.02
        assert energy[-len(energy) // 4:].sum() < 0.1
        lengths.add(len(response))
    assert len(lengths) > 6
    assert max(lengths) <= 6400


def test_rooms_come_from_their_file_the_second_time(tmp_path, monkeypatch):
    """The bank is the same when read again, nothing is simulated then; a damaged file is named."""
    config = RoomConfig(count=2)
    first = RoomBank.open(tmp_path, config)
    monkeypatch.setattr("asr.training.rooms.simulate", None)
    again = RoomBank.open(tmp_path, config)
    assert all(np.array_equal(first[number], again[number]) for number in range(2))
    path = next(tmp_path.glob("rooms-*.npz"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="is damaged; delete it"):
        RoomBank.open(tmp_path, config)


@pytest.mark.parametrize("name", COLOURS)
def test_colours_have_their_slope(name):
    """Power over frequency falls as the colour says: 3 dB an octave for each unit of its exponent."""
    samples = coloured(np.random.default_rng(0), COLOURS[name])
    per_octave_db = (band_power(samples, 2000, 2200) - band_power(samples, 250, 275)) / 3 - 3.01      # the upper band is 8 times as wide
    assert per_octave_db == pytest.approx(3.01 * COLOURS[name], abs=0.3)


def test_every_noise_has_unit_power_and_any_length(noise):
    """Synthetic, recorded and babble, shorter and longer than their source: float32 of unit power."""
    rng = np.random.default_rng(0)
    for make in (lambda: hum(rng, 50.0), lambda: clicks(rng, 5.0), lambda: wandering(rng)):
        assert np.mean(make() ** 2) == pytest.approx(1.0, rel=1e-3)
    for babble, recorded in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        for num_samples in (1000, 400_000):
            drawn = noise.draw(rng, num_samples, babble, recorded)
            assert drawn.shape == (num_samples,)
            assert drawn.dtype == np.float32
            assert np.mean(drawn ** 2) == pytest.approx(1.0, rel=1e-3)


def test_a_response_has_the_gains_asked_for():
    """The filter lifts and lowers bands as its curve says, cuts above its low-pass, and shifts nothing."""
    said = np.random.default_rng(2).standard_normal(4 * RATE_HZ).astype(np.float32)
    heard = filtered(said, response_filter(np.array([100.0, 8000.0]), np.array([6.0, 6.0]), low_pass_hz=3000.0), 128)
    assert band_power(heard, 500, 2000) - band_power(said, 500, 2000) == pytest.approx(6.0, abs=0.2)
    assert band_power(heard, 5900, 6100) - band_power(said, 5900, 6100) == pytest.approx(6.0 - 24.0, abs=0.5)
    assert lag(heard, said) == 0


def test_the_telephone_passes_its_band_alone():
    """300 to 3400 Hz passes at its level and place, 100 Hz and 5 kHz do not."""
    said = 0.1 * np.random.default_rng(3).standard_normal(4 * RATE_HZ).astype(np.float32)
    heard = by_telephone(said)
    assert heard.shape == said.shape
    assert abs(lag(heard, said)) <= 1
    assert band_power(heard, 500, 3000) - band_power(said, 500, 3000) == pytest.approx(0.0, abs=0.5)
    assert band_power(heard, 50, 120) - band_power(said, 50, 120) < -15
    assert band_power(heard, 4500, 7900) - band_power(said, 4500, 7900) < -30


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_codecs_keep_length_and_place(name, strength):
    """Speech through a codec is changed, but neither shifted nor much louder or fainter."""
    said = voice(3.0)
    heard = by_codec(said, name, strength)
    assert heard.shape == said.shape
    assert abs(lag(heard, said)) <= 2
    assert 0.0 < np.mean((heard - said) ** 2) < 0.5 * np.mean(said ** 2)
    assert np.mean(heard ** 2) == pytest.approx(np.mean(said ** 2), rel=0.35)


def test_clipping_flattens_the_peaks():
    """Driven 6 dB over full scale, a sine spends two thirds of its time there; silence stays."""
    sine = 0.1 * np.sin(2 * np.pi * 100 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)
    assert np.mean(np.abs(clipped(sine, 6.02)) == 1.0) == pytest.approx(2 / 3, abs=0.02)
    assert not clipped(np.zeros(10, np.float32), 6.0).any()


def test_the_same_chance_makes_the_same_samples(noise, rooms):
    """Equal generators give equal samples, others do not; what goes in is left alone; all stays float32 in [-1, 1]."""
    augmenter = Augmenter(AugmentationConfig(**ALWAYS, telephone=0.3, codec=0.3), noise, rooms)
    speech = voice(1.0)
    before = speech.copy()
    for seed in range(8):
        first, second, other = (augmenter.apply(speech, np.random.default_rng((seed, more))) for more in (0, 0, 1))
        np.testing.assert_array_equal(first, second)
        assert not np.array_equal(first, other)
        assert first.dtype == np.float32
        assert first.shape == speech.shape
        assert np.abs(first).max() <= 1.0
    np.testing.assert_array_equal(speech, before)


def test_nothing_is_changed_at_probability_zero(noise, rooms):
    """All probabilities 0: the very samples that went in."""
    off = AugmentationConfig(room=0, noise=0, response=0, gain=0, clip=0, telephone=0, codec=0)
    np.testing.assert_array_equal(Augmenter(off, noise, rooms).apply(voice(0.5), np.random.default_rng(0)), voice(0.5))


@pytest.mark.parametrize("num_samples", [1, 100, 2000])
@pytest.mark.parametrize("level", [0.0, 0.1])
def test_the_shortest_and_the_silent_pass_too(noise, rooms, num_samples, level):
    """One sample, or digital silence, goes through every distortion to as many finite samples."""
    for line in ({"telephone": 1.0}, {"codec": 1.0, "codec_opus": 0.0}, {"codec": 1.0, "codec_opus": 1.0}):
        augmenter = Augmenter(AugmentationConfig(**{**ALWAYS, "telephone": 0.0, **line}), noise, rooms)
        out = augmenter.apply(np.full(num_samples, level, np.float32), np.random.default_rng(5))
        assert out.shape == (num_samples,)
        assert np.isfinite(out).all()


def test_a_stretch_without_speech_has_no_talkers_and_many_levels(noise):
    """Levels of noise-only clips differ by tens of decibels; some are digital silence; none is loud."""
    augmenter = Augmenter(AugmentationConfig(), noise)
    powers = [float(np.mean(augmenter.empty(4000, np.random.default_rng(seed)) ** 2)) for seed in range(60)]
    assert 0.0 in powers
    levels_db = 10 * np.log10([power for power in powers if power])
    assert levels_db.max() < -20
    assert levels_db.max() - levels_db.min() > 20
