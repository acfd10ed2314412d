"""Error rates in noise: the level is the one asked for, the same each time; and the picture of errors by latency and noise."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from asr.benchmark.noisy import NOISES, in_noise
from asr.benchmark.plots import draw, latency_lines, noise_lines
from asr.benchmark.report import readme_tables
from asr.benchmark.rows import Row, read_rows
from asr.benchmark.sets import SpeechSet, read_samples
from asr.commands.benchmark import benchmark
from asr.errors import DataError
from asr.training.augmentation import speech_power
from asr.training.manifests import read_set
from tests.conftest import ROOT
from tests.small_sets import write_set


@pytest.fixture
def voices(tmp_path) -> SpeechSet:
    """Nine utterances of three speakers."""
    return SpeechSet("voices", tuple(read_set(write_set(tmp_path, "voices", [1.0 + 0.1 * n for n in range(9)]))))


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("snr_db", [0.0, 15.0])
def test_the_noise_has_the_level_asked_for(voices, noise, snr_db):
    """Over the whole utterance, its pauses too, the noise is so far below the speech; the same in another process, too."""
    noisy = in_noise(voices, noise, snr_db)
    assert noisy.name == f"voices@{noise} {snr_db:g} dB"
    assert [(one.id, one.text) for one in noisy.utterances] == [(one.id, one.text) for one in voices.utterances]
    for one, quiet in zip(noisy.utterances, voices.utterances, strict=True):
        speech, heard = read_samples(quiet), one.samples()
        assert np.abs(heard).max() <= 1.0
        scale = np.dot(heard, speech) / np.dot(speech, speech)             # what was scaled down for its peak
        rest = heard - scale * speech
        measured = 10 * np.log10(scale**2 * speech_power(speech) / np.mean(rest**2))
        assert measured == pytest.approx(snr_db, abs=0.6)                  # voices of one kind are a little alike
    first = noisy.utterances[0]
    elsewhere = subprocess.run(
        [sys.executable, "-c", "import pickle, sys; sys.stdout.buffer.write(pickle.load(sys.stdin.buffer).samples().tobytes())"],
        input=pickle.dumps(first), capture_output=True, check=True, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert elsewhere.stdout == first.samples().tobytes()


def test_nobody_babbles_over_himself(voices):
    """The talkers are others than who speaks, six utterances spread over the set; where one speaker is alone, there is no babble."""
    for one in in_noise(voices, "babble", 10.0).utterances:
        assert one.speech.speaker not in {talker.speaker for talker in one.talkers}
        assert len({talker.id for talker in one.talkers}) == 6
    with pytest.raises(DataError, match="nobody but speaker0 to babble in it"):
        in_noise(SpeechSet("one", voices.utterances[:1]), "babble", 10.0)


def rows_of(values: dict[tuple[str, str, str], float]) -> list[Row]:
    """Word error rates {(set, system, mode): value}."""
    return [Row("wer", name, system, "int8", mode, value, "%", "0", "none") for (name, system, mode), value in values.items()]


def test_lines_of_the_picture(tmp_path):
    """Latencies go from short to whole; noises are means over the sets that all systems have; the README's tables leave them out."""
    rows = rows_of({
        **{("dev-a", "asr", f"{block} beam"): value for block, value in (("full", 10), ("320", 12), ("160", 13), ("1280", 11))},
        ("dev-a:9@pink 0 dB", "asr", "full beam"): 40, ("dev-a:9@pink 10 dB", "asr", "full beam"): 20,
        ("dev-a:2@pink 3 dB", "asr", "full beam"): 90, ("dev-a:9@pink 10 dB", "asr", "320 beam"): 25,       # a trial; another latency
        ("voices@home", "asr", "full beam"): 50,                           # a name like any other
        ("dev-a:9@pink 0 dB", "other", "full"): 30, ("dev-a:9@pink 10 dB", "other", "full"): 15,
    })
    assert latency_lines(rows) == {"dev-a": [("160", 13), ("320", 12), ("1280", 11), ("full", 10)]}
    assert noise_lines(rows) == {("asr", "pink"): [(0.0, 40), (10.0, 20)], ("other", "pink"): [(0.0, 30), (10.0, 15)]}
    assert "dB" not in readme_tables(rows)
    assert "voices@home" in readme_tables(rows)
    draw(rows, tmp_path / "errors.png")
    assert (tmp_path / "errors.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(DataError, match="no error rates over several latencies or noises to draw"):
        draw(rows[:1], tmp_path / "none.png")
    with pytest.raises(DataError, match="the picture cannot be written"):
        draw(rows, tmp_path / "nowhere" / "errors.png")


def test_the_command_measures_in_noise(voices, tiny_bundle, tmp_path):
    """Rows for each noise and level beside those of the clean set, and a picture of them."""
    done = CliRunner().invoke(benchmark, [
        "--speech", str(tmp_path), "--sets", "voices", "--limit", "2", "--parts", "errors", "--modes", "full,320,160",
        "--precision", "int8", "--decoder", "beam", "--noise", "babble,pink", "--snr", "0", "--snr", "12.5", "--bundle",
        str(tiny_bundle.folder), "--output", str(tmp_path / "rows.json"), "--plot", str(tmp_path / "errors.png")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "errors.png").stat().st_size > 10_000
    assert len([line for line in done.output.splitlines() if "full beam, babble 12.5 dB" in line]) == 2     # WER and CER
    refused = CliRunner().invoke(benchmark, ["--plot", "errors.bmp"])
    assert (refused.exit_code, "call it errors.png" in refused.output) == (2, True)
    found = {row.set for row in read_rows(tmp_path / "rows.json")}
    assert found == {"voices:2", *(f"voices:2@{noise} {level} dB" for noise in NOISES for level in ("0", "12.5"))}
