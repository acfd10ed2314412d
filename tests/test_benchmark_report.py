"""What the benchmark shows of its rows: the README's tables and the last line."""

import json
from pathlib import Path

import pytest

from asr.benchmark import report
from asr.benchmark.rows import read_rows
from asr.bundle import load_bundle
from asr.errors import DataError
from tests.test_benchmark import row

ROOT = Path(__file__).parents[1]
SOME_ROWS = [
    row(value=14.2), row(set_name="dev-l2", value=40.1), row(mode="320 beam", value=15.5), row(precision="float", value=14.1),
    row(mode="full greedy", value=20), row(system="pocketsphinx", precision="shipped", mode="full", value=58),
    row(metric="rtf_file", value=0.0213), row(metric="rtf_stream", mode="320 beam", value=0.05),
    row(metric="peak_memory", set_name="asr live", precision="auto", mode="320 beam", value=151), row(set_name="dev-cv:9", value=99),
    row(metric="size", set_name="all files", precision="", mode="", value=43.21),
]


def test_readme_tables_have_the_figures_and_no_partial_sets():
    """Each system has a line with its sets; ours has one for each condition; speed and memory are there; partial sets are not."""
    text = report.readme_tables(SOME_ROWS)
    for line in ("|  | dev-cv | dev-l2 |", "| asr | 14.2 | 40.1 |", "| pocketsphinx | 58.0 |  |", "| full beam, float | 14.1 |  |",
                 "| 320 beam, int8 | 15.5 |  |", "| full greedy, int8 | 20.0 |  |", "| asr | 0.021 | 0.050 |  | 43.2 |",
                 "| asr live |  |  | 151 |  |"):
        assert line in text
    assert "99" not in text
    assert "Measured on a machine, at abc." in text


def test_systems_on_parts_of_sets_have_a_table_of_their_own():
    """Where several systems were measured on so many utterances of each set, they stand beside each other, apart from whole sets."""
    text = report.readme_tables([*SOME_ROWS, row(system="pocketsphinx", precision="shipped", mode="full", set_name="dev-cv:9", value=98)])
    assert "The same over 9 utterances of each set:\n\n|  | dev-cv |\n| --- | ---: |\n| asr | 99.0 |\n| pocketsphinx | 98.0 |" in text
    assert "The same over" not in report.readme_tables(SOME_ROWS)


def test_readme_is_written_between_its_marks_and_again_the_same(tmp_path):
    """What stands around the marks stays, old tables go, and a second time changes nothing."""
    path = tmp_path / "README.md"
    path.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    report.update_readme(path, SOME_ROWS)
    once = path.read_text(encoding="utf-8")
    assert once.startswith(f"before\n{report.BEGIN}\n")
    assert once.endswith(f"\n{report.END}\nafter\n")
    assert "old" not in once
    report.update_readme(path, SOME_ROWS)
    assert path.read_text(encoding="utf-8") == once


def test_readme_without_marks_is_left_alone(tmp_path):
    """Without both marks there is no place: one line, and the file stays."""
    path = tmp_path / "README.md"
    path.write_text(f"{report.BEGIN} only", encoding="utf-8")
    with pytest.raises(DataError, match="no place for the tables"):
        report.update_readme(path, SOME_ROWS)
    assert path.read_text(encoding="utf-8") == f"{report.BEGIN} only"


def test_project_readme_shows_the_rows_of_the_project():
    """The README's tables are those of recordings/benchmark.json."""
    kept = read_rows(ROOT / "recordings" / "benchmark.json")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert report.BEGIN in text
    if kept:
        assert f"{report.BEGIN}\n{report.readme_tables(kept)}\n{report.END}" in text


def test_the_shipped_bundle_tells_its_error_rates():
    """They are those that the benchmark measured on whole sets."""
    kept = {(row.set, row.precision, row.mode): row.value for row in read_rows(ROOT / "recordings" / "benchmark.json")
            if (row.metric, row.system) == ("wer", "asr") and row.set.startswith(("dev-", "test-")) and ":" not in row.set}
    told = {(name, precision, mode): value for name, precisions in load_bundle().wer.items()
            for precision, modes in precisions.items() for mode, value in modes.items()}
    assert told == kept
    assert ("dev-libri", "int8", "full beam") in told


def test_summary_is_one_line_of_the_main_figures():
    """The last line is JSON with the main condition of each system only."""
    line = report.summary(SOME_ROWS)
    assert "\n" not in line
    found = json.loads(line)
    assert found["wer"] == {"asr": {"dev-cv": 14.2, "dev-l2": 40.1, "dev-cv:9": 99}, "pocketsphinx": {"dev-cv": 58}}
    assert found["rtf_stream"] == {"asr": {"dev-cv": 0.05}}
