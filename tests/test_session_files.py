"""The files of a session: whole after whatever happens to a disk or a clock, readable though damaged."""

import contextlib
import json
import resource
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from asr.client.captions import Final
from asr.client.playback import Playback
from asr.client.recognizer import StreamingRecognizer
from asr.client.recording import Recording, read_parts
from asr.client.requests import Request, Requests, Stop
from asr.client.session import SessionFile, find_session, read_session
from asr.client.worker import Outputs, run
from asr.config import RATE_HZ
from asr.decoding.hypothesis import Word
from asr.errors import AsrError, AudioError
from tests.test_live import SPOKEN
from tests.tones import recording, tone_models


def final(text: str, start_s: float = 0.0) -> Final:
    """A final of words that last a second each."""
    words = tuple(Word(word, start_s + i, start_s + i + 1, 0.5) for i, word in enumerate(text.split()))
    return Final(words, start_s, start_s + len(words), "pause")


def session_file(folder, tell=print) -> SessionFile:
    """One that has begun in a folder."""
    session = SessionFile(folder, "a microphone", "tones", tell)
    session.begin()
    return session


def test_a_full_disk_loses_nothing_once_there_is_room(tmp_path):
    """Finals that could not be written are written with the next one; the user is told twice."""
    told = []
    session = session_file(tmp_path, told.append)
    session.add(final("one two"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (session.path.stat().st_size + 50, limits[1]))       # part of a line fits
    try:
        session.add(final("three four"))
        session.add(final("five"))
        assert [final.text for final in read_session(session.path).finals] == ["one two"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(told) == 1
    session.add(final("six"))
    session.close()
    read = read_session(session.path)
    assert [final.text for final in read.finals] == ["one two", "three four", "five", "six"]
    assert (read.damaged, len(told), read.ended is None) == (0, 2, False)


@pytest.mark.parametrize(("free_bytes", "reason"), [(1 << 40, "System error."), (4095, "No space left on device")])
def test_a_disk_that_fails_ends_the_recording_alone(tmp_path, monkeypatch, free_bytes, reason):
    """One line, which says so where there is no room, and what was recorded can be read."""
    told = []
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=free_bytes))
    sound = Recording(session_file(tmp_path), RATE_HZ, told.append)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, RATE_HZ).astype(np.float32)
    sound.add(noise)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
    try:
        for _ in range(3):
            sound.add(noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    sound.close()
    assert len(told) == 1
    assert told[0].endswith(f"-001.flac: {reason}; the sound is not recorded any more, captions go on")


def test_parts_join_without_a_seam(tmp_path):
    """Sound in parts of 0.3 s, with a gap that was lost, reads back as it was fed, sample for sample; then some at another rate."""
    session = session_file(tmp_path)
    sound = Recording(session, RATE_HZ, print, part_s=0.3)
    fed = np.random.default_rng(2).uniform(-1, 1, 70_000).astype(np.float32)
    for start in range(0, 70_000, 9_001):
        sound.add(fed[start:start + 9_001])
    sound.add_silence(50_000)
    sound.change_rate(48_000)
    sound.add(np.full(24_000, 0.25, np.float32))
    sound.close()
    session.close()
    read = read_session(session.path)
    assert len(read.audio) == 25 + 2                         # 120,000 samples and 0.5 s
    heard = np.concatenate(list(read_parts(read.audio)))
    assert np.abs(heard[:120_000] - np.concatenate((fed, np.zeros(50_000)))).max() < 1e-4
    assert len(heard) == pytest.approx(128_000, abs=20)
    assert np.abs(heard[122_000:126_000] - 0.25).max() < 1e-2
    read.audio[1].unlink()
    with pytest.raises(AudioError):
        read_parts(read.audio)


def test_sessions_of_one_second_have_their_own_files(tmp_path):
    """Two that start together do not write into one file, and a name that may be either is told."""
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    one, two = (SessionFile(tmp_path, "m", "b", print, started=started) for _ in range(2))
    assert one.begin() != two.begin()
    with pytest.raises(AsrError, match="give more of the name"):
        find_session(tmp_path, one.path.stem[:10])
    assert find_session(tmp_path, one.path.stem) == one.path


def test_damaged_and_foreign_files(tmp_path):
    """A line that is cut or no JSON is left out and counted; what is no session, or newer, is told in one line."""
    session = session_file(tmp_path)
    session.add(final("one two"))
    session.add(final("three"))
    session.close()
    lines = session.path.read_bytes().splitlines(keepends=True)
    session.path.write_bytes(b"".join([lines[0], lines[1], b"\xff\xfe{", b"\n", lines[2][:30]]))
    read = read_session(session.path)
    assert ([final.text for final in read.finals], read.damaged, read.ended) == (["one two"], 2, None)
    for content, message in [(b"{}\n", "no session"), (b"", "no session"), (b'{"asr_session": 99}\n', "newer version")]:
        session.path.write_bytes(content)
        with pytest.raises(AsrError, match=message):
            read_session(session.path)
    with pytest.raises(AsrError, match="No such file"):
        read_session(tmp_path / "absent.jsonl")


def test_a_file_that_is_cut_anywhere(tmp_path):
    """Wherever in a write the program or the machine was ended, all finals whose lines are whole are read."""
    session = session_file(tmp_path)
    for text in ("one two", "three", "four five six"):
        session.add(final(text))
    session.close()
    whole = session.path.read_bytes()
    expected = [final.text for final in read_session(session.path).finals]
    head = whole.index(b"\n")
    for length in range(head, len(whole)):
        session.path.write_bytes(whole[:length])
        lines = json_lines(whole[:length])
        read = read_session(session.path)
        assert [final.text for final in read.finals] == expected[:lines - 1]
        assert read.ended is None or length == len(whole) - 1                  # the last line lacks no more than its end


def json_lines(data: bytes) -> int:
    """How many lines of it are whole JSON, the last perhaps without the sign that ends it."""
    count = 0
    for line in data.splitlines():
        with contextlib.suppress(ValueError):
            json.loads(line)
            count += 1
    return count


def test_a_clock_that_is_set_moves_no_times(tmp_path, monkeypatch):
    """When the system's clock goes back by an hour during a session, its finals and marks have the times of the sound as before."""
    class SetBack(datetime):
        @classmethod
        def now(cls, tz=None):
            """An hour ago."""
            return datetime.now(tz) - timedelta(hours=1)

    class Setter:
        """Sets the clock with the first final, and marks that moment; remembers remarks."""

        def __init__(self):
            self.remarks = []

        def show(self, caption):
            """Set it."""
            if isinstance(caption, Final) and caption.text == "one two":
                for module in ("session", "status", "worker", "playback"):
                    monkeypatch.setattr(f"asr.client.{module}.datetime", SetBack)
                requests.put(Request.MARK)

        def remark(self, text):
            """Remember."""
            self.remarks.append(text)

        def close(self):
            """Nothing."""

    requests, setter = Requests(), Setter()
    soundfile.write(tmp_path / "spoken.wav", recording(SPOKEN, 4.5), RATE_HZ)
    source = Playback(tmp_path / "spoken.wav")
    session = SessionFile(tmp_path, source.name, "tones", print, started=source.started)
    run(source, StreamingRecognizer(models=tone_models()), Outputs((setter,), session), Stop(), requests)
    read = read_session(session.path)
    assert [word.start_s for word in read.words] == pytest.approx([start for _, start, _ in SPOKEN], abs=0.05)
    assert 1.2 < read.marks_s[0] < 4.5
    assert read.started == source.started.replace(microsecond=0)
    assert setter.remarks == [f"marked at {(source.started + timedelta(seconds=read.marks_s[0])).astimezone():%H:%M:%S}"]


def test_an_utterance_without_words_is_not_kept(tmp_path):
    """A final that takes back what a partial showed leaves no line, and a session of such leaves no file."""
    session = SessionFile(tmp_path, "m", "b", print)
    session.add(Final((), 0.0, 1.0, "pause"))
    session.close()
    assert list(tmp_path.iterdir()) == []
