"""The soak, and what `asr live` costs while nobody speaks: minutes of tones, and processes that grow, lose or die."""

import json
import os
from functools import partial
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from asr.benchmark import report, soak
from asr.benchmark.idle import LEVELS_DBFS, idle_cpu
from asr.benchmark.programme import STRETCHES, Sound, programme, spoken_s
from asr.benchmark.rows import make_row, read_rows
from asr.benchmark.sets import find_sets
from asr.benchmark.soak import Listened, Watch, accounted, listen
from asr.client.captions import Final
from asr.client.models import load_models
from asr.client.session import SessionFile
from asr.commands.benchmark import benchmark
from asr.config import RATE_HZ
from asr.decoding.hypothesis import Word
from asr.errors import AsrError, BundleError
from tests.tones import WORDS, recording, tone_models

PAIRS = list(zip(WORDS[0::2], WORDS[1::2]))
UTTERANCES = [recording([(first, 0.2, 0.6), (second, 0.68, 1.1)], 1.3) for first, second in PAIRS]
LENGTHS = [len(samples) for samples in UTTERANCES]
MINUTES = 4


def test_a_programme_holds_each_utterance_once_a_round():
    """So do its stretches without speech; the order changes, and made again it is the same."""
    a_round = 2 * (len(UTTERANCES) + len(STRETCHES))         # each with a pause
    first, second = ([part.utterance for part in islice(programme(LENGTHS), start, start + a_round)] for start in (0, a_round))
    for one in (first, second):
        assert sorted(place for place in one if place is not None) == list(range(len(UTTERANCES)))
    assert first != second
    assert list(islice(programme(LENGTHS), 50)) == list(islice(programme(LENGTHS), 50))
    assert {seconds for seconds, _ in STRETCHES} <= {part.samples / RATE_HZ for part in islice(programme(LENGTHS), a_round)}


def test_speech_is_where_the_programme_says():
    """The sound has the length asked for, whatever its blocks, and an utterance in each span that is told, silence or noise elsewhere."""
    total = MINUTES * 60 * RATE_HZ
    samples = np.concatenate(list(Sound(UTTERANCES).blocks(total, 777)))
    assert len(samples) == total
    loud = np.abs(samples) > 0.1
    spans = spoken_s(LENGTHS, total)
    assert len(spans) > len(UTTERANCES)
    for start_s, end_s in spans:
        start, end = round(start_s * RATE_HZ), round(end_s * RATE_HZ)
        assert any(np.array_equal(samples[start:end], utterance) for utterance in UTTERANCES)
        loud[start:end] = False
    assert not loud[:round(spans[-1][1] * RATE_HZ)].any()


def test_minutes_of_tones(tmp_path):
    """Every word of it is kept and comes through the pipe, nothing is lost or remarked, and the way is told."""
    heard_s = []
    listened = listen(Sound(UTTERANCES), MINUTES / 60, tone_models(), tmp_path, heard_s.append)
    done = accounted(listened, tmp_path)
    spoken = len(spoken_s(LENGTHS, MINUTES * 60 * RATE_HZ))
    assert 2 * spoken <= done.figures["soak_words"] <= 2 * spoken + 2          # an utterance may be cut off at the end
    assert listened.delivered == MINUTES * 60 * RATE_HZ
    assert (done.figures["soak_lost"], done.figures["soak_unheard"], done.remarks) == (0, 0, ())
    assert done.figures["soak_finals"] == listened.lines > 1
    assert done.figures["soak_hours"] == MINUTES / 60
    assert 0 < done.figures["soak_rtf_first"] < 1
    assert 0 < done.figures["soak_rtf_last"] < 1
    assert heard_s == sorted(heard_s)
    assert len(heard_s) > 6 * (MINUTES - 1)


def test_what_is_lost_is_counted(tmp_path):
    """Sound that did not get to the recogniser, utterances without a word, and lines that did not come through the pipe."""
    spans = spoken_s(LENGTHS, MINUTES * 60 * RATE_HZ)
    session = SessionFile(tmp_path, "the soak", "tones", print)
    for start_s, end_s in spans[3:]:
        session.add(Final((Word("a", start_s, end_s, 1.0),), start_s, end_s, "pause"))
    session.close()
    delivered = MINUTES * 60 * RATE_HZ
    done = accounted(Listened({}, delivered, delivered - RATE_HZ // 2, 0, tuple(LENGTHS), ("cannot keep up",)), tmp_path)
    assert done.figures == {"soak_finals": len(spans) - 3, "soak_words": len(spans) - 3, "soak_unheard": 3, "soak_lost": 0.5}
    assert done.remarks == ("cannot keep up", f"0 lines came through the pipe and {len(spans) - 3} finals are in the session")


@pytest.mark.parametrize(("memory_mb", "growth_mb"), [(lambda hour: 150.0, 0.0), (lambda hour: 150 + 30 * hour, 30 * 23 / 6),
                                                      (lambda hour: 300.0 if hour < 0.1 else 150.0, 0.0), (lambda hour: None, None)])
def test_growth_and_slowing_are_seen(monkeypatch, memory_mb, growth_mb):
    """Memory counts from the tenth minute on, so what the start needs is no growth; work is compared between first and last quarter."""
    source, used = SimpleNamespace(delivered=0, queue=SimpleNamespace(waiting_s=0.0)), SimpleNamespace(cpu_s=7.0)
    monkeypatch.setattr(soak, "time", SimpleNamespace(process_time=lambda: used.cpu_s))
    watch = Watch(source, 4 * 3600 * RATE_HZ, lambda heard_s: None, lambda: memory_mb(source.delivered / RATE_HZ / 3600))
    for second in range(4 * 3600):
        source.delivered += RATE_HZ
        used.cpu_s += 0.03 if second < 2 * 3600 else 0.05
        watch.status(None)
    watch.close()
    figures = watch.figures()
    assert figures["soak_rtf_first"] == pytest.approx(0.03, rel=0.01)
    assert figures["soak_rtf_last"] == pytest.approx(0.05, rel=0.01)
    assert figures.get("soak_memory_growth") == (growth_mb if growth_mb is None else pytest.approx(growth_mb, abs=0.2))


def test_a_soak_in_a_process_of_its_own(tiny_bundle, tmp_path):
    """The command keeps and prints all figures, under a name that says how short it was, and the README's tables leave them out."""
    output = tmp_path / "benchmark.json"
    done = CliRunner().invoke(benchmark, ["--limit", "2", "--bundle", str(tiny_bundle.folder), "--parts", "soak", "--hours", "0.005",
                                          "--output", str(output)], catch_exceptions=False)
    assert done.exit_code == 0
    rows = read_rows(output)
    metrics = {"soak_hours", "soak_rtf_first", "soak_rtf_last", "soak_memory_growth", "soak_finals", "soak_words", "soak_unheard",
               "soak_lost"}
    assert {row.metric for row in rows} == set(json.loads(done.stdout.splitlines()[-1])) == metrics
    assert {row.set for row in rows} == {"asr live:0.005 h"}
    assert {row.metric: row.value for row in rows}["soak_lost"] == 0
    assert "asr live" not in report.readme_tables(rows)


def test_a_soak_that_cannot_go_on(tiny_bundle):
    """What is wrong in its process is told as itself; one that is killed is told with its status."""
    utterances = find_sets(None)[0].utterances[:1]
    with pytest.raises(BundleError, match="missing"):
        soak.soak(utterances, 0.001, partial(load_models, f"{tiny_bundle.folder}-missing"))
    with pytest.raises(AsrError, match="was ended, status 9"):
        soak.soak(utterances, 0.001, partial(os._exit, 9))


@pytest.mark.parametrize("kind", LEVELS_DBFS)
def test_what_silence_costs(kind):
    """A share of one core, of the time that it really lasts."""
    assert 0.05 < idle_cpu(tone_models, kind, seconds=2) < 90


def test_the_table_of_endurance():
    """A whole soak and both kinds of silence have their lines, with the digits that mean something."""
    figures = {"soak_hours": 4, "soak_memory_growth": 3.21, "soak_rtf_first": 0.0312, "soak_rtf_last": 0.0313, "soak_lost": 0}
    rows = [make_row(metric, "asr live", "asr", "auto", "320 beam", value) for metric, value in figures.items()]
    rows += [make_row("idle_cpu", f"asr live, {kind}", "asr", "auto", "320 beam", 2.14) for kind in LEVELS_DBFS]
    text = report.readme_tables(rows)
    for line in ("| sound without a break, hours | 4 |", "| growth of memory after the first ten minutes, MB | 3.2 |",
                 "| work in the last quarter, × real time | 0.031 |", "| of a core in silence, % | 2.1 |"):
        assert line in text
