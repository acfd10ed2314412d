"""What `asr live` keeps: each final before it is shown, the sound if asked for, whatever ends the program; and `asr sessions`."""

import contextlib
import json
import re
import resource
import signal
import subprocess
import sys
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
from asr.client.session import SessionFile, find_session, find_sessions, read_session
from asr.client.worker import Outputs, run
from asr.config import RATE_HZ
from asr.decoding.hypothesis import Word
from asr.errors import AsrError, AudioError
from tests.test_live import PROGRAM, ROOT, SPOKEN
from tests.tones import recording, tone_models

TONES = "import asr.client.models as m, tests.tones as t; import asr.client.recognizer as r; r.load_models = lambda *_: t.tone_models(); "


@pytest.fixture
def spoken(tmp_path):
    """A recording: one two, a pause, three four."""
    soundfile.write(tmp_path / "spoken.wav", recording(SPOKEN, 4), RATE_HZ)
    return tmp_path / "spoken.wav"


@pytest.fixture
def asr(tmp_path):
    """Starts `asr` with models that hear tones, after the statements of `before`; sessions lie in tmp_path/data/kept."""
    started = []

    def start(command, *arguments, before: str = "") -> subprocess.Popen:
        words = [command, "--sessions", tmp_path / "data" / "kept", *arguments]
        started.append(subprocess.Popen([sys.executable, "-c", before + TONES + PROGRAM, *map(str, words)], cwd=ROOT,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for program in started:
        program.kill()
        with program:
            pass


def done(program: subprocess.Popen, status: int = 0) -> tuple[str, str]:
    """Standard output and error of a program that ends with `status`."""
    out, err = program.communicate(timeout=60)
    assert program.returncode == status, err
    assert "Traceback" not in err
    return out, err


def final(text: str, start_s: float = 0.0) -> Final:
    """A final of words that last a second each."""
    words = tuple(Word(word, start_s + i, start_s + i + 1, 0.5) for i, word in enumerate(text.split()))
    return Final(words, start_s, start_s + len(words), "pause")


def session_file(folder, tell=print) -> SessionFile:
    """One that has begun in a folder."""
    session = SessionFile(folder, "a microphone", "tones", tell)
    session.begin()
    return session


def test_a_session_is_kept_listed_shown_and_exported(asr, spoken):
    """From a session to its files: every utterance at its time, subtitles that parse, and the end noted."""
    done(asr("live", "--keep", "--input", spoken))
    listed, _ = done(asr("sessions"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-\d{6}   0:00:04       4 words  .*spoken\.wav\n", listed)
    shown, _ = done(asr("sessions", "show"))
    assert re.fullmatch(r"\d\d:\d\d:\d\d  one two\n\d\d:\d\d:\d\d  three four\n", shown)
    target = spoken.with_name("out.srt")
    done(asr("sessions", "export", listed[:10], "--format", "srt", "--output", target))
    assert "three four" in target.read_text()
    words = json.loads(done(asr("sessions", "export", "last", "--format", "json"))[0])["words"]
    assert [word["text"] for word in words] == ["one", "two", "three", "four"]
    assert [word["start_s"] for word in words] == pytest.approx([start for _, start, _ in SPOKEN], abs=0.05)


def test_a_file_is_kept_only_when_asked(asr, spoken, tmp_path):
    """Captions of a file leave nothing behind."""
    done(asr("live", "--input", spoken))
    assert not (tmp_path / "data" / "kept").exists()
    _, err = done(asr("sessions"))
    assert err.startswith("no sessions in ")
    _, err = done(asr("sessions", "show"), 1)
    assert err == f"asr: {tmp_path / 'data' / 'kept'} holds no session last; asr sessions lists those that there are\n"


def test_a_killed_program_loses_no_final_and_no_sound(asr, spoken, tmp_path):
    """After kill -9 all that was shown is in the file, and the sound up to half a second before."""
    soundfile.write(spoken, recording([*SPOKEN, ("five", 30, 30.5)], 40), RATE_HZ)
    program = asr("live", "--record", "--input", spoken)
    assert [program.stdout.readline(), program.stdout.readline()] == ["one two\n", "three four\n"]
    program.send_signal(signal.SIGKILL)
    program.wait(timeout=10)
    session = read_session(find_session(tmp_path / "data" / "kept", "last"))
    assert [final.text for final in session.finals] == ["one two", "three four"]
    assert session.ended is None
    assert "(recorded; cut off, or still running)" in done(asr("sessions"))[0]
    heard = np.concatenate(list(read_parts(session.audio)))
    expected = recording(SPOKEN, 40)[:len(heard)]
    assert len(heard) > 4.0 * RATE_HZ                        # the pause that made the last final is in it
    assert np.abs(heard - expected).max() < 1e-3


def test_recorded_sound_is_recognised_once_more(asr, spoken, tmp_path):
    """A session made anew from its sound has the same words at the same times; one without sound says so."""
    done(asr("live", "--record", "--input", spoken))
    again, _ = done(asr("sessions", "retranscribe"))
    first, second = (read_session(path) for path in find_sessions(tmp_path / "data" / "kept"))
    assert second.name == again.strip()
    assert [word.text for word in second.words] == [word.text for word in first.words] == ["one", "two", "three", "four"]
    assert [word.start_s for word in second.words] == pytest.approx([word.start_s for word in first.words], abs=0.05)
    _, err = done(asr("sessions", "retranscribe", again.strip()), 1)
    assert "has no recorded sound" in err


def test_a_folder_that_cannot_be_written(asr, spoken, tmp_path):
    """Captions go on, with one line that says what to do; where the sound was asked for, the program does not start."""
    (tmp_path / "data").write_text("a file in the way")
    out, err = done(asr("live", "--keep", "--input", spoken))
    assert out == "one two\nthree four\n"
    assert len([line for line in err.splitlines() if line.startswith("asr: ")]) == 1
    assert "say with --sessions where to keep them" in err
    out, err = done(asr("live", "--record", "--input", spoken), 1)
    assert (out, err.count("\n")) == ("", 1)


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


def test_a_disk_that_fills_up_under_a_program(asr, spoken, tmp_path):
    """Captions go on, one line says what to do and one at the end what is missing; what got onto the disk whole can be read."""
    nothing = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
    out, err = done(asr("live", "--keep", "--input", spoken, before=nothing))
    assert (out, err.count("asr: ")) == ("one two\nthree four\n", 2)
    assert list((tmp_path / "data" / "kept").iterdir()) == []
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400)); "            # the head and one utterance
    out, err = done(asr("live", "--keep", "--input", spoken, before=full))
    assert out == "one two\nthree four\n"
    session = read_session(find_session(tmp_path / "data" / "kept", "last"))
    assert [line for line in err.splitlines() if line.startswith("asr: ")] == [
        f"asr: {session.path}: File too large; captions go on and are written as soon as that is possible: make room, or say with "
        "--sessions where to keep them",
        f"asr: {session.path}: the captions since then could not be written to the end: they were shown, and are not kept"]
    assert [final.text for final in session.finals] == ["one two"]


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


def test_marks(asr, tmp_path):
    """A mark is listed and shown at its time, and exports do without; a line of a kind that is still to come does no harm."""
    session = SessionFile(tmp_path / "data" / "kept", "a microphone", "tones", print)
    session.add(final("one two"))
    session.add_mark(2.5)
    session.add(final("three", 4.0))
    session._write({"something": "new"})
    session.close()
    read = read_session(session.path)
    assert (read.marks_s, read.damaged, len(read.finals)) == ((2.5,), 0, 2)
    assert "(1 mark)" in done(asr("sessions"))[0]
    assert [line[10:] for line in done(asr("sessions", "show"))[0].splitlines()] == ["one two", "* marked", "three"]
    assert done(asr("sessions", "export"))[0].split() == ["one", "two", "three"]


def test_an_utterance_without_words_is_not_kept(tmp_path):
    """A final that takes back what a partial showed leaves no line, and a session of such leaves no file."""
    session = SessionFile(tmp_path, "m", "b", print)
    session.add(Final((), 0.0, 1.0, "pause"))
    session.close()
    assert list(tmp_path.iterdir()) == []


def test_a_final_is_on_the_disk_before_it_is_shown(asr, spoken, tmp_path):
    """When a line appears on the screen, the file has it already."""
    program = asr("live", "--keep", "--input", spoken)
    assert program.stdout.readline() == "one two\n"
    assert [final.text for final in read_session(find_session(tmp_path / "data" / "kept", "last")).finals] == ["one two"]
    done(program)
