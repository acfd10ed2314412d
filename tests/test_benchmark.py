"""The benchmark's parts: scores, rows, sets, simulated delays, peers; its tables are in test_benchmark_report.py."""

import json
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from asr.benchmark import rows, systems
from asr.benchmark.rows import METRICS, Row, add_rows, make_row, merge, read_rows
from asr.benchmark.scoring import score
from asr.benchmark.sets import SpeechSet, find_sets, read_samples
from asr.benchmark.speed import final_delay_s, measure_speed
from asr.benchmark.wer import PeerTexts, score_set
from asr.benchmark.workers import peak_memory_mb, run_alone
from asr.config import RATE_HZ
from asr.errors import DataError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def two() -> SpeechSet:
    """Two recordings."""
    return find_sets(None)[0].first(2)


def row(metric="wer", set_name="dev-cv", system="asr", precision="int8", mode="full beam", value=10.0, commit="abc") -> Row:
    """A row, as if measured elsewhere."""
    return Row(metric, set_name, system, precision, mode, value, METRICS[metric], commit, "a machine")


# scores

@pytest.mark.parametrize(("reference", "hypothesis", "wer"), [
    ("MISTER SMITH ISN'T HERE", "Mr. Smith is not here.", 0),
    ("It's the colour of twenty-one cars!", "it is the color of 21 cars", 0),
    ("A CAT SAT ON THE MAT", "a cat sat on mat", 100 / 6),
    ("one word", "", 100),
    ("hello", "hello there my friend", 300),
])
def test_score_is_that_of_normalised_words(reference, hypothesis, wer):
    """Case, punctuation, numbers, contractions and spelling are no errors; missing and added words are."""
    assert score([reference], [hypothesis]).wer == pytest.approx(wer)


def test_score_pools_errors_and_counts_letters():
    """A long utterance weighs more than a short one; one wrong letter is one error of the letters."""
    found = score(["a cat sat on the mat", "no"], ["a hat sat on the mat", "no"])
    assert (found.wer, found.words, found.utterances) == (pytest.approx(100 / 7), 7, 2)
    assert found.cer == pytest.approx(100 / 22)


def test_score_leaves_out_references_without_words():
    """A reference that is punctuation or a remark in brackets cannot be scored; where all are, that is an error."""
    assert score(["[noise]", "yes"], ["what", "yes"]).utterances == 1
    with pytest.raises(ValueError, match="no words"):
        score(["[silence]"], ["what"])


# rows

def test_new_row_replaces_the_one_of_the_same_key_and_keeps_all_others():
    """Metric, set, system, precision and mode make the key; value, commit and machine are what is replaced."""
    old = [row(value=10), row(set_name="dev-l2", value=40), row(metric="cer", value=4), row(precision="float", value=9),
           row(mode="320 beam", value=12), row(system="pocketsphinx", value=60)]
    merged = merge(old, [row(value=8, commit="new")])
    assert len(merged) == len(old)
    assert {(r.value, r.commit) for r in merged} == {(8, "new"), (40, "abc"), (4, "abc"), (9, "abc"), (12, "abc"), (60, "abc")}


def test_rows_come_back_from_their_file_whatever_the_order_they_came_in(tmp_path):
    """The file is a JSON list of complete rows, the same for the same rows."""
    some = [row(), row(metric="size", set_name="all files"), row(system="pocketsphinx")]
    add_rows(tmp_path / "a.json", some)
    for one in reversed(some):
        add_rows(tmp_path / "b.json", [one])
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    fields = ["metric", "set", "system", "precision", "mode", "value", "unit", "commit", "machine"]
    assert [list(entry) for entry in json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))] == [fields] * 3
    assert set(read_rows(tmp_path / "a.json")) == set(some)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


@pytest.mark.parametrize("content", ["", "{}x", '[{"metric": "wer"}]', "[1]"])
def test_file_that_holds_no_rows_is_left_alone(tmp_path, content):
    """A file that is something else raises one line and stays as it is."""
    path = tmp_path / "benchmark.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="not a list of benchmark rows"):
        add_rows(path, [row()])
    assert path.read_text(encoding="utf-8") == content


def test_row_says_by_which_commit_and_machine_and_no_path():
    """Commit and machine are filled in, and tell nothing of this machine's folders."""
    made = make_row("wer", "dev-cv", "asr", "int8", "full beam", 12.3456789)
    assert (made.value, made.unit) == (12.35, "%")
    assert made.commit
    assert "core" in made.machine
    assert str(ROOT.parent) not in json.dumps(made.__dict__)


def test_commit_is_marked_where_files_differ(tmp_path, monkeypatch):
    """A clean clone gives its commit, a changed file marks it, figures and README do not, and without git there is the version."""
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)

    monkeypatch.setattr(rows, "project_root", lambda: tmp_path)
    assert rows.current_commit.__wrapped__().startswith("version ")
    git("init")
    for name in ("code.py", "README.md"):
        (tmp_path / name).write_text("1", encoding="utf-8")
    git("add", ".")
    git("commit", "-m", "first")
    clean = rows.current_commit.__wrapped__()
    assert len(clean) == 10
    (tmp_path / "README.md").write_text("2", encoding="utf-8")
    assert rows.current_commit.__wrapped__() == clean
    (tmp_path / "code.py").write_text("2", encoding="utf-8")
    assert rows.current_commit.__wrapped__() == f"{clean}-dirty"


# sets

@pytest.fixture
def small_speech(tmp_path, recordings) -> Path:
    """A folder of speech with the sets dev-a, dev-b and test-a, of two, one and one utterances."""
    lines = (recordings / "recordings.tsv").read_text(encoding="utf-8").splitlines()
    for name, chosen in {"dev-a": [1, 2], "dev-b": [3], "test-a": [4]}.items():
        (tmp_path / f"{name}.tsv").write_text("\n".join([lines[0], *(lines[place] for place in chosen)]) + "\n", encoding="utf-8")
    for clip in recordings.glob("*.opus"):
        shutil.copy(clip, tmp_path)
    return tmp_path


def test_test_sets_are_read_only_when_asked_for(small_speech):
    """`dev` is the default; `test`, `all` and names give what they say."""
    def names(*arguments):
        return [(found.name, len(found.utterances)) for found in find_sets(small_speech, *arguments)]

    assert names() == [("dev-a", 2), ("dev-b", 1)]
    assert names("test") == [("test-a", 1)]
    assert names("all") == [("dev-a", 2), ("dev-b", 1), ("test-a", 1)]
    assert names("test-a, dev-b") == [("test-a", 1), ("dev-b", 1)]


def test_unknown_sets_and_folders_are_one_line(small_speech):
    """A set, a kind or a folder that is not there is named."""
    for arguments, named in [((small_speech, "dev-x"), "dev-x.tsv"), ((small_speech / "no", "dev"), "no such folder"),
                             ((small_speech / "..", "test"), "no sets of kind 'test'")]:
        with pytest.raises(DataError, match=named):
            find_sets(*arguments)


def test_limited_set_is_spread_and_says_so():
    """A part of a set has first and last utterance, and a name of its own, so that it never replaces the whole set's rows."""
    whole = find_sets(None)[0]
    part = whole.first(3)
    assert part.name == "recordings:3"
    assert len(part.utterances) == 3
    assert (part.utterances[0], part.utterances[-1]) == (whole.utterances[0], whole.utterances[-1])
    assert whole.first(None) is whole
    assert whole.first(99) is whole


# speed

class FakeStream:
    """Counts what it is fed."""

    def __init__(self):
        self.fed = []

    def feed(self, samples):
        """Takes samples."""
        self.fed.append(len(samples))

    def finish(self):
        """Ends."""
        return f"{sum(self.fed)} samples"


class FakeSystem:
    """A peer that says how much it heard."""

    name, precision, mode, stream_mode, streams = "fake", "none", "full", "stream", True

    def transcribe(self, samples):
        """Text."""
        return f"{len(samples)} samples"

    def start(self):
        """A stream."""
        return FakeStream()


def simulated(feed_s: float, finish_s: float):
    """A cost function: each feed and the finish last as long as told."""
    def cost(function, *arguments):
        function(*arguments)
        return feed_s if function.__name__ == "feed" else finish_s
    return cost


@pytest.mark.parametrize(("feed_s", "finish_s", "delay_s", "feeds"), [
    (0.0, 0.1, 0.1, 50),             # keeps up: the delay is the work after the last sample
    (0.01, 0.1, 0.11, 50),           # the last block is still to be worked on
    (0.3, 0.1, 0.62, 5),             # fed at 0.02, 0.32, 0.62, 0.92 s, and the last 0.08 s at 1.22; done at 1.52 + 0.1
])
def test_delay_holds_what_a_recogniser_had_fallen_behind(feed_s, finish_s, delay_s, feeds):
    """One second arrives in blocks of 20 ms; all that waits is taken at once, and nothing is lost."""
    stream = FakeStream()
    samples = np.zeros(RATE_HZ, np.float32)
    delay = final_delay_s(stream, samples, simulated(feed_s, finish_s))
    assert sum(stream.fed) == len(samples)
    assert len(stream.fed) == feeds
    assert delay == pytest.approx(delay_s, abs=1e-6)


def test_speed_of_a_system_has_all_figures(two):
    """Real-time factors and delays come out, none of them negative, with the system's precision and modes."""
    figures = measure_speed(FakeSystem, two.utterances)
    assert [(figure.metric, figure.mode) for figure in figures] == [
        ("rtf_file", "full"), ("rtf_stream", "stream"), ("final_latency_p50", "stream"), ("final_latency_p95", "stream")]
    assert all(figure.value >= 0 and figure.precision == "none" for figure in figures)


def test_process_of_its_own_has_one_core_and_its_own_memory():
    """What runs alone cannot use two cores, and is not charged with this process's memory."""
    ballast = bytearray(200_000_000)
    assert len(run_alone(os.sched_getaffinity, 0)) == 1
    assert run_alone(peak_memory_mb) < 150
    assert peak_memory_mb() > 200
    assert ballast is not None


# peers

def test_peer_is_scored_under_its_one_condition(two, monkeypatch):
    """A peer in the table is loaded by its name and hears every utterance once."""
    monkeypatch.setitem(systems.PEERS, "fake", f"{__name__}:FakeSystem")
    heard = []
    monkeypatch.setattr(FakeSystem, "transcribe", lambda self, samples: heard.append(len(samples)) or "yes")
    scores = score_set(partial(PeerTexts, "fake"), two)
    assert list(scores) == [("none", "full")]
    assert heard == [len(read_samples(utterance)) for utterance in two.utterances]
