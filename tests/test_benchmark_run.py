"""The benchmark on this recogniser: a tiny bundle and two recordings."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from asr.benchmark.program import run_live
from asr.benchmark.rows import Row, add_rows, read_rows
from asr.benchmark.run import Plan, run
from asr.benchmark.sets import SpeechSet, find_sets, read_samples
from asr.benchmark.wer import AsrTexts, Grid, measure, score_set
from asr.client.recognizer import Recognizer
from asr.commands.benchmark import benchmark
from asr.errors import AsrError, BundleError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def bundle(tiny_bundle) -> str:
    """Path of a bundle that is real but hears nothing."""
    return str(tiny_bundle.folder)


@pytest.fixture(scope="module")
def two() -> SpeechSet:
    """Two recordings."""
    return find_sets(None)[0].first(2)


def test_texts_are_those_that_users_get(bundle, two):
    """The text that is scored as `full beam` and `full greedy` is what Recognizer gives."""
    texts = AsrTexts(bundle, Grid(("float",), ("full",), ("beam", "greedy")))
    for utterance in two.utterances:
        samples = read_samples(utterance)
        found = texts.texts(samples)
        assert list(found) == [("float", "full beam"), ("float", "full greedy")]
        for kind in ("beam", "greedy"):
            assert found["float", f"full {kind}"] == Recognizer(bundle, kind, "float").transcribe(samples).text


def test_two_processes_find_what_one_does(bundle, two):
    """Errors are the same however many processes count them, and an error in a process arrives as itself."""
    load = partial(AsrTexts, bundle, Grid(("int8",), ("full", "320"), ("greedy",)))
    assert score_set(load, two, jobs=2) == score_set(load, two, jobs=1)
    with pytest.raises(BundleError):
        score_set(partial(AsrTexts, f"{bundle}-missing", Grid()), two, jobs=2)


def test_measure_gives_the_exporter_every_condition(bundle, tmp_path, recordings):
    """WER for each dev set, precision and mode, of as many utterances as asked for."""
    lines = (recordings / "recordings.tsv").read_text(encoding="utf-8").splitlines()
    for name, rows in {"dev-a": lines[:3], "dev-b": lines[:2], "test-a": lines[:2]}.items():
        (tmp_path / f"{name}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for line in lines[1:3]:
        shutil.copy(recordings / line.split("\t")[1], tmp_path)
    found = measure(bundle, tmp_path, limit=1, grid=Grid(blocks=("full", "160")))
    assert list(found) == ["dev-a:1", "dev-b"]
    modes = {"full beam", "full greedy", "160 beam", "160 greedy"}
    for conditions in found.values():
        assert {precision: set(rates) for precision, rates in conditions.items()} == {"int8": modes, "float": modes}
        assert all(wer > 0 for rates in conditions.values() for wer in rates.values())


def test_benchmark_command_measures_prints_and_keeps(bundle, tmp_path):
    """A run over two recordings leaves complete rows, keeps those of others, and prints a last line of JSON."""
    output = tmp_path / "benchmark.json"
    other = Row("wer", "dev-cv", "pocketsphinx", "shipped", "full", 58.0, "%", "abc", "a machine")
    add_rows(output, [other])
    arguments = ["--limit", "2", "--bundle", bundle, "--modes", "full,320", "--precision", "int8", "--parts", "errors,speed,captions,size",
                 "--output", str(output)]
    done = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert set(json.loads(done.stdout.splitlines()[-1])) == {"wer", "cer", "rtf_file", "rtf_stream", "final_latency_p50",
                                                             "final_latency_p95", "flicker", "withdrawn", "first_shown_p50", "size"}
    found = {(r.metric, r.set, r.system, r.mode) for r in read_rows(output)}
    assert other in read_rows(output)
    for mode in ("full beam", "full greedy", "320 beam", "320 greedy"):
        assert {("wer", "recordings:2", "asr", mode), ("cer", "recordings:2", "asr", mode)} <= found
    assert {("rtf_file", "recordings:2", "asr", "full beam"), ("rtf_stream", "recordings:2", "asr", "320 beam"),
            ("size", "acoustic.int8.onnx", "asr", ""), ("size", "all files", "asr", "")} <= found
    assert str(ROOT) not in output.read_text(encoding="utf-8")


def test_start_and_memory_come_from_processes_of_their_own(bundle, two, recordings):
    """The library's and the program's start and peak memory are measured, and a program that fails says why."""
    plan = Plan((two,), parts=("start",), grid=Grid(("int8",)), bundle=bundle)
    library = next(run(plan))
    assert [(r.metric, r.set) for r in library] == [("startup", "library"), ("peak_memory", "library")]
    program = run_live(next(recordings.glob("*.opus")), bundle)
    assert 0 < program["startup"] < 60
    assert 30 < program["peak_memory"] < 400
    with pytest.raises(AsrError, match=r"asr live ended with status 1: asr: .*nothing"):
        run_live(recordings / "nothing.wav", bundle)


@pytest.mark.parametrize("arguments", [["--modes", "full,100"], ["--systems", "siri"], ["--parts", ""], ["--limit", "0"]])
def test_wrong_words_are_wrong_usage(arguments):
    """An unknown mode, system or part is told with those there are, status 2."""
    done = CliRunner().invoke(benchmark, arguments)
    assert done.exit_code == 2
    assert "Error" in done.output
