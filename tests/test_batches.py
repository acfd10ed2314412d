"""Batches are of similar length, fixed by seed and epoch, the same after a stop, and leave out what cannot be used."""

import math
import threading
from collections import Counter

import numpy as np
import pytest

from asr.config import num_frames
from asr.errors import DataError
from asr.training.audio_store import open_store
from asr.training.augmentation import AugmentationConfig, Augmenter
from asr.training.batches import START, BatchConfig, Batches, Place, plain
from asr.training.manifests import read_set
from asr.training.noise import NoiseBank
from asr.training.prefetch import prefetch
from tests.small_sets import write_set

LENGTHS_S = {"read": np.random.default_rng(0).uniform(0.5, 1.5, 40).round(2).tolist(), "told": [0.6] * 10}
CONFIG = BatchConfig(batch_s=6.0, margin_s=(0.0, 0.1))
BARE = BatchConfig(batch_s=6.0, margin_s=(0.0, 0.0), speeds=(1.0,))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two sets, 40 utterances of 0.5 to 1.5 s and 10 of 0.6 s."""
    folder = tmp_path_factory.mktemp("sets")
    sets = {name: read_set(write_set(folder, name, lengths)) for name, lengths in LENGTHS_S.items()}
    return open_store(sets, folder / "cache", progress=False)


@pytest.fixture(scope="module")
def augmenter(store):
    """Noise, babble, gain, responses: all that needs no rooms."""
    return Augmenter(AugmentationConfig(noise=0.8, gain=0.8), NoiseBank(speech=store))


def assert_same(first, second):
    """The very same batch: samples, lengths, speed, texts, place."""
    np.testing.assert_array_equal(first.samples, second.samples)
    np.testing.assert_array_equal(first.lengths, second.lengths)
    assert (first.speed, first.texts, first.ids, first.indices) == (second.speed, second.texts, second.ids, second.indices)
    assert (first.place, first.next_place) == (second.place, second.next_place)


def used(batches, epoch):
    """How often each utterance is in an epoch."""
    return Counter(part for batch in batches.plan(epoch) for row in batch.rows for part in row.parts)


@pytest.mark.parametrize("stop_after", [1, 7, 9])
def test_a_resumed_run_gets_the_very_same_batches(store, augmenter, stop_after):
    """From the place that a batch hands out, a new loader goes on exactly as the old one would have, into the next epoch too."""
    config = BatchConfig(batch_s=6.0, join=0.3, empty=0.05, weights={"told": 0.5})
    whole = list(Batches(store, config, augmenter).stream(end_epoch=2))
    assert len(whole) > 15
    saved = tuple(whole[stop_after - 1].next_place)
    resumed = list(Batches(store, config, augmenter).stream(Place(*saved), end_epoch=2))
    assert len(resumed) == len(whole) - stop_after
    for first, second in zip(whole[stop_after:], resumed, strict=True):
        assert_same(first, second)


def test_an_epoch_has_everything_once_and_its_own_order(store):
    """Each utterance once an epoch; another epoch and another seed have other company, order and samples."""
    batches = Batches(store, CONFIG)
    assert used(batches, 1) == used(batches, 2) == Counter(range(50))
    ids = [[batch.ids for batch in Batches(store, BatchConfig(batch_s=6.0, seed=seed)).stream(Place(epoch), epoch + 1)]
           for seed, epoch in ((1, 1), (1, 1), (1, 2), (2, 1))]
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]
    assert ids[0] != ids[3]


def test_augmentation_differs_between_epochs(store, augmenter):
    """The same utterance sounds different in the next epoch."""
    batches = Batches(store, BatchConfig(batch_s=6.0, margin_s=(0.0, 0.0)), augmenter)
    sounds = [{name: row[:length] for batch in batches.stream(Place(epoch), epoch + 1)
               for name, row, length in zip(batch.ids, batch.samples, batch.lengths, strict=True)} for epoch in (1, 2)]
    different = [not np.array_equal(sounds[0][name], sounds[1][name]) for name in sounds[0]]
    assert len(different) == 50
    assert np.mean(different) > 0.9


def test_padding_is_bounded_and_batches_keep_their_size(store):
    """Little padding, no batch over its seconds or rows, zeros after each row's end, texts beside their samples."""
    config = BatchConfig(batch_s=6.0, max_rows=5, margin_s=(0.0, 0.1))
    batches = Batches(store, config)
    padded = held = 0
    for batch in batches.stream(Place(1), 2):
        num_rows, num_samples = batch.samples.shape
        assert batch.samples.dtype == np.float32
        assert num_samples == batch.lengths.max()
        assert num_samples * num_rows <= 6.0 * 16000
        assert num_rows == len(batch.texts) == len(batch.ids) == len(batch.indices) == len(batch.lengths) <= 5
        for row, length, text, name in zip(batch.samples, batch.lengths, batch.texts, batch.ids, strict=True):
            assert not row[length:].any()
            assert text == f"text {name.split('-')[1]}"
        padded += batch.samples.size
        held += int(batch.lengths.sum())
    assert held / padded > 0.9
    assert held / 16000 == pytest.approx(batches.seconds(1))


def test_samples_are_those_of_the_utterances(store):
    """Without margin and augmentation a row is the decoded audio, and nothing else."""
    for batch in Batches(store, BARE).stream(end_epoch=1):
        for row, length, (index,) in zip(batch.samples, batch.lengths, batch.indices, strict=True):
            np.testing.assert_array_equal(row[:length], store.samples(index) / np.float32(32768))


def test_the_first_epoch_goes_from_short_to_long(store):
    """In epoch 0 alone, and only where it is asked for; evaluation always."""
    def rising(config, epoch):
        longest = [batch.samples.shape[1] for batch in Batches(store, config).stream(Place(epoch), epoch + 1)]
        assert len(longest) > 4
        return longest == sorted(longest)

    config = BatchConfig(batch_s=6.0, length_jitter=0.0)
    assert rising(config, 0)
    assert not rising(config, 1)
    assert not rising(BatchConfig(batch_s=6.0, length_jitter=0.0, shortest_first=False), 0)
    assert rising(plain(6.0), 0)
    assert rising(plain(6.0), 3)


def test_each_batch_has_one_speed_of_the_list(store):
    """Speeds come from the list and all of them come."""
    speeds = [batch.speed for epoch in range(3) for batch in Batches(store, CONFIG).stream(Place(epoch), epoch + 1)]
    assert set(speeds) == {0.9, 1.0, 1.1}


@pytest.mark.parametrize(("weight", "times"), [(0.5, 5), (0.0, 0), (1.0, 10), (2.5, 25)])
def test_a_weight_says_how_much_of_a_set_is_drawn(store, augmenter, weight, times):
    """A part of the set, another one each epoch, or several copies, each augmented in its own way; other sets stay whole."""
    batches = Batches(store, BatchConfig(batch_s=6.0, weights={"told": weight}, margin_s=(0.0, 0.0)), augmenter)
    counts = used(batches, 1)
    assert sum(counts[index] for index in range(40)) == 40
    assert sum(counts[index] for index in range(40, 50)) == times
    assert {counts[index] for index in range(40, 50)} <= {int(weight), math.ceil(weight)}
    if weight == 0.5:
        assert {index for index in used(batches, 1) if index >= 40} != {index for index in used(batches, 2) if index >= 40}
    if weight == 2.5:
        copies = [row.tobytes() for batch in batches.stream(Place(1), 2) for row, name in zip(batch.samples, batch.ids, strict=True)
                  if name == "told-3"]
        assert len(set(copies)) == len(copies) == counts[43]


def test_a_weight_for_an_unknown_set_is_an_error(store):
    """The message names it and the sets there are."""
    with pytest.raises(DataError, match="weights name the set tolt, which is not among the sets read: read, told"):
        Batches(store, BatchConfig(weights={"tolt": 2.0}))


def test_what_does_not_fit_is_left_out_and_counted(store):
    """Too short, too long, and targets that the fastest speed leaves too few frames for."""
    limits = BatchConfig(batch_s=6.0, min_s=0.7, max_s=1.2)
    batches = Batches(store, limits)
    kept = {index for index in range(50) if 0.7 * 16000 <= store.lengths[index] <= 1.2 * 16000}
    assert set(used(batches, 1)) == kept
    assert sum(batches.left_out.values()) == 50 - len(kept)
    assert set(batches.left_out) == {"shorter than 0.7 s", "longer than 1.2 s"}

    batches = Batches(store, CONFIG, needed_frames=lambda utterance: 15)
    kept = {index for index in range(50) if num_frames(int(store.lengths[index] / 1.1)) >= 15}
    assert 0 < len(kept) < 50
    assert set(used(batches, 1)) == kept
    assert batches.left_out == {"text too long for the audio": 50 - len(kept)}

    with pytest.raises(DataError, match="no utterance of read, told can be used: 50 shorter than 5"):
        Batches(store, BatchConfig(min_s=5.0))


def test_joined_rows_hold_their_parts_in_order(store):
    """Short utterances of one set in a row, up to the length allowed, every one once, texts and samples in the same order."""
    config = BatchConfig(batch_s=12.0, join=0.7, join_s=3.0, margin_s=(0.02, 0.05))
    batches = Batches(store, config)
    assert used(batches, 1) == Counter(range(50))
    joined = 0
    for plan, batch in zip(batches.plan(1), batches.stream(Place(1), 2), strict=True):
        for row, samples, text in zip(plan.rows, batch.samples, batch.texts, strict=True):
            assert len({int(store.set_of[part]) for part in row.parts}) == 1
            assert len(row.parts) == 1 or sum(store.lengths[part] for part in row.parts) <= 3.0 * 16000
            assert text == " ".join(store.utterances[part].text for part in row.parts)
            joined += len(row.parts) > 1
            end = 0
            for gap, part in zip(row.gaps, row.parts, strict=False):
                assert 320 <= gap <= 800
                start, end = end + gap, end + gap + int(store.lengths[part])
                np.testing.assert_array_equal(samples[start:end], store.samples(part) / np.float32(32768))
            assert end + row.gaps[-1] == row.num_samples
    assert joined > 8


def test_margins_are_as_quiet_as_the_recording(store):
    """What is put before and after speech is not louder than its quietest moment, and of the lengths asked for."""
    batches = Batches(store, BatchConfig(batch_s=6.0, margin_s=(0.1, 0.3)))
    heads = []
    for plan, batch in zip(batches.plan(1), batches.stream(Place(1), 2), strict=True):
        for row, samples in zip(plan.rows, batch.samples, strict=True):
            before, after = row.gaps
            heads += row.gaps
            speech = samples[before:row.num_samples - after]
            assert np.mean(samples[:before] ** 2) <= 1.3 * np.mean(speech ** 2)
    assert min(heads) >= 1600
    assert max(heads) <= 4800
    assert len(set(heads)) > 50


def test_rows_without_speech_have_no_text(store, augmenter):
    """As many as asked for, spread over batches, with noise in most of them."""
    batches = list(Batches(store, BatchConfig(batch_s=6.0, empty=0.2), augmenter).stream(Place(1), 2))
    empty = [(batch.samples[row], batch.texts[row]) for batch in batches for row, parts in enumerate(batch.indices) if not parts]
    assert len(empty) == 10
    assert all(text == "" for _, text in empty)
    assert sum(samples.any() for samples, _ in empty) >= 5


def test_the_fingerprint_tells_other_data_and_settings(store, tmp_path):
    """A place saved with one is refused by nobody silently: the fingerprint differs as soon as the batches would."""
    first = Batches(store, CONFIG).fingerprint
    assert first == Batches(store, CONFIG).fingerprint
    assert first != Batches(store, BARE).fingerprint
    other = open_store({"told": read_set(write_set(tmp_path, "told", [0.6, 0.6]))}, tmp_path / "cache", progress=False)
    assert first != Batches(other, CONFIG).fingerprint
    with pytest.raises(DataError, match="no number 99: the place is of other data"):
        Batches(store, CONFIG).load(Place(0, 99))


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_made_ahead_are_the_same(store, augmenter, threads):
    """In order, from any place, across epochs, whatever the number of threads; and the threads end."""
    batches = Batches(store, CONFIG, augmenter)
    before = threading.active_count()
    ahead = list(prefetch(Batches(store, CONFIG, augmenter), Place(0, 5), end_epoch=2, threads=threads))
    expected = list(batches.stream(Place(0, 5), end_epoch=2))
    assert len(ahead) == len(expected) > 10
    for first, second in zip(ahead, expected, strict=True):
        assert_same(first, second)
    assert threading.active_count() == before


def test_no_more_is_made_ahead_than_asked_for(store, monkeypatch):
    """A trainer that takes nothing finds a bounded number waiting, and closing ends the work."""
    batches = Batches(store, CONFIG)
    made = []
    load = batches.load
    monkeypatch.setattr(batches, "load", lambda place: made.append(place) or load(place))
    ahead = prefetch(batches, depth=3)
    next(ahead)
    ahead.close()
    assert 1 <= len(made) <= 4
    assert made[0] == START


def test_an_error_in_the_background_reaches_the_trainer(store, monkeypatch):
    """It is raised where the batch would have come, after those before it."""
    batches = Batches(store, CONFIG)
    load = batches.load

    def failing(place):
        if place.batch == 2:
            raise DataError("the disk is gone")
        return load(place)

    monkeypatch.setattr(batches, "load", failing)
    ahead = prefetch(batches, end_epoch=1)
    assert [next(ahead).place.batch, next(ahead).place.batch] == [0, 1]
    with pytest.raises(DataError, match="the disk is gone"):
        next(ahead)
