"""The remembered tree of a lexicon: the same as one that was just made, made anew whenever anything is wrong."""

import gzip
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from asr.decoding import make_decoder, prepared
from asr.decoding.prepared import KEPT, prepare
from tests.decoding_world import make_world, spoken
from tests.synthetic import speak

SENTENCE = "the man went to the sea"


@pytest.fixture
def world(tmp_path, monkeypatch) -> SimpleNamespace:
    """Files of a small language, and a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "world").mkdir()
    return make_world(tmp_path / "world")


def remembered(tmp_path: Path) -> list[Path]:
    """The files in the cache."""
    return sorted((tmp_path / "cache" / "asr" / "decoders").glob("*"))


def arrays(bundle: SimpleNamespace) -> list[np.ndarray]:
    """All that `prepare` finds, but the n-gram."""
    _, lexicon, unigrams, trie = prepare(bundle)
    return [*vars(lexicon).values(), unigrams, *vars(trie).values()]


def test_what_is_remembered_is_what_was_made(world, tmp_path, monkeypatch):
    """The second time nothing is made, and every array is the same, so what is heard is."""
    made = arrays(world)
    first = make_decoder(world).decode(speak(spoken(SENTENCE), noise=0.2))
    assert len(remembered(tmp_path)) == 1
    monkeypatch.setattr(prepared, "build_trie", None)
    monkeypatch.setattr(prepared, "read_pronunciations", None)
    for one, other in zip(made, arrays(world), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert make_decoder(world).decode(speak(spoken(SENTENCE), noise=0.2)) == first
    assert first.text == SENTENCE


def test_another_lexicon_is_another_tree(world):
    """A word that is added to the file is there, and gone again with it."""
    path = world.path("lexicon.txt.gz")
    before, kept = path.read_bytes(), prepare(world)[1]
    assert "zzz" not in kept
    path.write_bytes(gzip.compress(gzip.decompress(before) + b"zzz\tZ IY\n"))
    assert "zzz" in prepare(world)[1]
    path.write_bytes(before)
    assert "zzz" not in prepare(world)[1]


def flip(path: Path) -> None:
    """Change one byte in the middle, where numbers are."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x55
    path.write_bytes(raw)


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b""), lambda path: path.write_bytes(path.read_bytes()[:-100]),
                                  lambda path: path.write_bytes(path.read_bytes().replace(b"unigrams", b"unigrans")),
                                  flip], ids=["empty", "cut short", "a name is missing", "a bit flipped"])
def test_a_broken_file_is_made_anew(world, tmp_path, harm):
    """Whatever has become of it, what is found is right, and so is the file again."""
    made = arrays(world)
    [path] = remembered(tmp_path)
    whole = path.read_bytes()
    harm(path)
    assert path.read_bytes() != whole
    for one, other in zip(made, arrays(world), strict=True):
        np.testing.assert_array_equal(one, other)
    with np.load(path) as held:
        np.testing.assert_array_equal(held["unigrams"], made[len(made) - 11])


def test_without_room_it_goes_on(world, tmp_path, monkeypatch):
    """A disk that is full costs time, not captions, and leaves no half of a file."""
    def full(*arguments, **named):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(np, "savez", full)
    assert make_decoder(world).decode(speak(spoken(SENTENCE), noise=0.2)).text == SENTENCE
    assert remembered(tmp_path) == []


def test_few_are_kept(world, tmp_path):
    """Of many bundles those used last are; the oldest went."""
    made: list[Path] = []
    for number in range(KEPT + 1):
        folder = tmp_path / f"world{number}"
        folder.mkdir()
        prepare(make_world(folder))
        made += [path for path in remembered(tmp_path) if path not in made]
        os.utime(made[number], (1000.0 + number, 1000.0 + number))
    assert len(made) == KEPT + 1
    assert remembered(tmp_path) == sorted(made[1:])
