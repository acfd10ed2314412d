"""The documents say what is so: commands and options exist, examples run, links lead somewhere, and the package holds its data."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import click
import pytest

import asr
from asr.benchmark.rows import read_rows
from asr.cli import COMMANDS, commands

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "recordings").glob("*.md"), *(ROOT / "tests").glob("*.md"),
                     *(ROOT / "asr").rglob("*.md")])
PYTHON_BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
SHIPPED = ROOT / "asr" / "models" / "english" / "bundle.json"


def command_of(name: str) -> click.Command:
    """The click command of a name in the table."""
    return commands.get_command(click.Context(commands), name)


def asr_lines(text: str) -> list[list[str]]:
    """The words after `asr` of each example line (a line that is indented, in a code block or a help text's example)."""
    lines = re.findall(r"^ +(?:\.venv(?:-dev)?/bin/)?asr ((?:[a-z]|--).*)$", text, flags=re.MULTILINE)
    return [shlex.split(re.split(r"  +|\s+#|\s\|\s", line)[0]) for line in lines]


def check_example(words: list[str]) -> None:
    """Every command and option of an example exists."""
    name, *rest = words
    assert name in COMMANDS, words
    command = command_of(name)
    if isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        command, rest = command.commands[rest[0]], rest[1:]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    for word in rest:
        if word.startswith("-"):
            assert word.partition("=")[0] in options, words


def test_readme_examples_exist():
    """Each `asr` line of the README names a command that exists, with options that exist."""
    examples = asr_lines(README)
    assert len(examples) >= 4
    for words in examples:
        if words[0] != "COMMAND":
            check_example(words)


@pytest.mark.parametrize("name", COMMANDS)
def test_command_has_help_with_examples_and_a_place_in_the_readme(name):
    """Each command, and each that it holds, has a help text with examples that would run; the README names it."""
    command = command_of(name)
    assert command.name == name
    assert f"asr {name}" in README or f"make {name}" in README
    for held in [command, *getattr(command, "commands", {}).values()]:
        check_help(name, held)


def check_help(name: str, command: click.Command) -> None:
    """The help of a command, or of one that `name` holds."""
    assert command.help
    examples = [words for words in asr_lines(command.help) if words[0] == name]
    assert examples
    for words in examples:
        check_example(words)
    assert r"\b" not in command.help                # of a raw docstring: shown as it stands, and examples run into one paragraph
    undescribed = [parameter.name for parameter in command.params if isinstance(parameter, click.Option) and not parameter.help]
    assert undescribed == []


@pytest.mark.parametrize("module", sorted({path.stem for path in (ROOT / "asr" / "commands").glob("*.py")} - {"__init__"}))
def test_every_command_file_is_in_the_table_or_serves_one(module):
    """A file with a click command is in the table."""
    code = (ROOT / "asr" / "commands" / f"{module}.py").read_text(encoding="utf-8")
    assert (module in COMMANDS) == bool(re.search(r"^@click\.(command|group)\(", code, re.MULTILINE))


def test_readme_make_targets_exist():
    """Each `make TARGET` of README and .ci/run is a target with a line of help."""
    named = set(re.findall(r"\bmake ([a-z-]+)", README + (ROOT / ".ci" / "run").read_text(encoding="utf-8")))
    targets = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, flags=re.MULTILINE))
    assert {"captions", "test", "lint"} <= named <= targets


def test_make_help_lists_the_targets():
    """`make` alone lists every target."""
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[1] for line in done.stdout.splitlines()}
    assert listed == set(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)[0].split())


def test_readme_has_python_examples():
    """The examples of the Python API are found, so that the next test runs them."""
    assert len(PYTHON_BLOCKS) == 2
    for block in PYTHON_BLOCKS:
        ast.parse(block)


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=lambda block: re.search(r"import (\w*Recognizer)", block)[1])
def test_readme_python_example_runs(block):
    """Each example runs as it stands with the shipped bundle, and prints words."""
    if not SHIPPED.is_file():
        pytest.skip("the shipped bundle is not there")
    done = subprocess.run([sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "eyes" in done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document):
    """Each relative link or picture of a document exists."""
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


def test_acceptance_table_names_tests_and_figures_that_exist():
    """Each need of the table is shown by tests and metrics that there are, or has a state that says what is missing."""
    rows = [line.split("|")[1:-1] for line in (ROOT / "tests/ACCEPTANCE.md").read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    measured = {row.metric for row in read_rows(ROOT / "recordings/benchmark.json")}
    assert len(rows) > 20
    for need, state, shown in rows:
        for file, name in re.findall(r"(test_\w+\.py)::(test_\w+)", shown):
            assert f"def {name}(" in (ROOT / "tests" / file).read_text("utf-8"), need
        assert set(re.findall(r"`(\w+)`", shown)) <= measured, need
        assert state.strip(), need


def test_readme_tree_is_the_tree():
    """The README's tree names each folder of the package, and nothing that is not there."""
    tree = README.split("## Where things are")[1].split("```")[1]
    named = {line.split()[0].rstrip("/") for line in tree.strip().splitlines()}
    holds_code = {path.parent for folder in ("asr", "export") for path in (ROOT / folder).rglob("*.py")}
    rooms = {str(Path(*path.relative_to(ROOT).parts[:2])) for path in holds_code} | {"asr/models", "recordings", "tests"}
    assert named == rooms


def test_changelog_bullets_are_short():
    """A bullet of the changelog is at most 200 characters, and the version is in it or unreleased."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    bullets = re.findall(r"^- .*(?:\n  .*)*", text, flags=re.MULTILINE)
    assert bullets
    assert [bullet for bullet in bullets if len(bullet) > 200] == []
    assert f"## [{asr.__version__}]" in text or "## [Unreleased]" in text


def test_recordings_are_named_with_licence_and_text(recordings):
    """Every clip has a row with its text and a free licence, every row its clip, and together they are small."""
    header, *rows = [line.split("\t") for line in (recordings / "recordings.tsv").read_text(encoding="utf-8").splitlines()]
    assert header == ["utterance", "file", "speaker", "seconds", "source", "licence", "text"]
    assert {row[1] for row in rows} == {path.name for path in recordings.glob("*.opus")}
    assert len(rows) == 12
    assert all(row[5] in ("CC0 1.0", "CC BY 4.0") and row[6].strip() and 2 <= float(row[3]) <= 10 for row in rows)
    assert sum(path.stat().st_size for pattern in ("*.opus", "*.flac") for path in recordings.glob(pattern)) < 1_000_000


def test_wheel_holds_code_recipes_and_models(tmp_path):
    """The wheel has each tracked kind of file: code, the kernel's source, recipes, and all files of the shipped bundle."""
    hatchling = pytest.importorskip("hatchling.builders.wheel")
    [wheel] = hatchling.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(wheel).namelist())
    data = {str(path.relative_to(ROOT)) for folder in ("asr", "export") for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts}
    assert {"asr/training/recipes/toy.toml", "asr/cli.py", "export/graph.py"} <= data
    assert data - names == set()
    assert not any(name.startswith(("tests/", "recordings/")) for name in names)


def test_version_and_licence_are_in_one_place():
    """The version stands in asr/__init__ alone, and the licence's text is shipped."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" in project["dynamic"]
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
