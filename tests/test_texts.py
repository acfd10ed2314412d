"""Text from public repositories: sentences that can be said, read in each repository's own layout, without what is held out."""

import json

import pytest
from click.testing import CliRunner

from asr.cli import commands
from asr.errors import DataError
from asr.training import texts
from asr.training.gathering import spans_of
from asr.training.git_files import GitFiles
from asr.training.prose import sentences
from asr.training.text_gathering import gather_text
from asr.training.texts import TEXTS, TextSource
from tests.test_gather import repository


@pytest.mark.parametrize(("paragraph", "expected"), [
    ("It rained. We stayed in! Did you? Yes, we did.", ["It rained.", "We stayed in!", "Did you?", "Yes, we did."]),
    ("Mr. Brown met J. R. Smith at St. Ives. He left.", ["Mr. Brown met J. R. Smith at St. Ives.", "He left."]),
    ('“Come here,” she said. “Why?”', ['"Come here," she said.']),                  # one word is no sentence
    ("A *bold* [link](https://a.b/c) and a note[12] here — see.", ["A bold link and a note here - see."]),
    ("See https://a.b/c for more. All of it is there.", ["All of it is there."]),
    ("Call 555 123 4567 8910. She called at 5.", ["She called at 5."]),
    ("word " * 71 + "end.", []),
])
def test_sentences(paragraph, expected):
    """Split where they end, not after abbreviations; without markup; what nobody could say is left out."""
    assert sentences(paragraph) == expected


READERS = [                                                                # text, content of a file, documents
    ("podcasts", "# Title\n\n**Jo Doe:** Hello there.\nWell, hello.\n", [["Hello there.", "Well, hello."]]),
    ("books", "# Chapter\n\nIt was a day of the sort that nobody\nlikes at all.\n\nShort.\n",
     [["It was a day of the sort that nobody likes at all."]]),
    ("novels", "It was a day of the sort that nobody likes at all, they said.",
     [["It was a day of the sort that nobody likes at all, they said."]]),
    ("fiction", "\n\nIt was a day of the sort that nobody likes at all, they said.\n\n",
     [["It was a day of the sort that nobody likes at all, they said."]]),
    ("eltec", "<teiHeader><p>A header that is long enough to be a paragraph.</p></teiHeader><p>Long was the day, <hi>long</hi> &amp; hot "
     "in the valley.</p>", [["Long was the day, long & hot in the valley."]]),
    ("stories", "# The Cat\nA cat sat.\nIt ran.\n* License: [CC-BY]\n", [["A cat sat.", "It ran."]]),
    ("dialogues", json.dumps([{"turns": [{"utterance": "A table for two."}, {"utterance": "At what time?"}]}]),
     [["A table for two.", "At what time?"]]),
    *((name, '<doc id="1" title="Hetty">\nHetty\n\nHetty (1850–1901) is a village in Kent.[2]\nHistory.\n'
       'It has x and formula_3 in it, too.\n</doc>\n<doc id="2" title="No">\nNo\n\n</doc>\n', [["Hetty is a village in Kent."], []])
      for name in ("encyclopaedia", "encyclopaedia-2", "encyclopaedia-3")),
    ("news", json.dumps({"text": "The mayor of the town spoke today.\nThe vote in the was close today.\nSport"}) + "\n",
     [["The mayor of the town spoke today."]]),
]


@pytest.mark.parametrize(("name", "content", "documents"), READERS, ids=[name for name, _, _ in READERS])
def test_every_text_is_read_in_its_own_layout(name, content, documents):
    """Paragraphs of what people wrote, without headings, lists, notes and what lacks a link's words."""
    assert list(TEXTS[name].read(content)) == documents


def test_every_text_has_a_test():
    """The list above is of all of them."""
    assert {name for name, _, _ in READERS} == set(TEXTS)


COPIED = "one two three four five six seven eight nine ten"
SOURCE = TextSource("a/b", "talks", "CC0", r"\.md$", texts.talk)


def test_what_is_held_out_is_left_out(tmp_path):
    """A sentence that shares six words in a row, and a document that a set was read from; counted."""
    files = {
        "a.md": "A cat sat on the mat.\nSo one two three four five six went out.\nThe end came soon.\n",
        "b.md": "".join(f"Line {word}, {COPIED}.\n" for word in ("a", "b", "c")) + "This goes with the rest.\n",
        "c.txt": "Not of the pattern.\n",
    }
    with GitFiles(repository(tmp_path / "origin", files)) as found:
        made = gather_text("talks", SOURCE, found, tmp_path / "texts", spans_of([COPIED.upper()]), progress=False)
    assert (tmp_path / "texts" / "talks.txt").read_text() == "A cat sat on the mat.\nThe end came soon.\n"
    assert (made.words, made.documents) == (10, 1)
    assert made.left_out == {"sentences that share 6 words with a held-out set": 1, "documents that a held-out set was read from": 1}
    assert [path.name for path in (tmp_path / "texts").iterdir()] == ["talks.txt"]


@pytest.mark.parametrize(("files", "read", "complaint"), [
    ({"a.txt": "x"}, texts.talk, "a/b: no text in it of which talks is made"),
    ({"a.md": "no json"}, texts.dialogues, r"a/b: a\.md is not written as talks should be"),
])
def test_a_repository_that_is_another(tmp_path, files, read, complaint):
    """Told in one line, and nothing is left behind."""
    with GitFiles(repository(tmp_path / "origin", files)) as found, pytest.raises(DataError, match=complaint):
        gather_text("talks", TextSource("a/b", "talks", "CC0", r"\.md$", read), found, tmp_path / "texts", set(), progress=False)
    assert not list((tmp_path / "texts").iterdir())


def test_a_folder_that_cannot_be_written(tmp_path):
    """One line that names it."""
    (tmp_path / "texts").write_text("a file")
    with GitFiles(repository(tmp_path / "origin", {"a.md": "A cat sat.\n"})) as found, \
            pytest.raises(DataError, match=r"texts: cannot be written: .*; free some room"):
        gather_text("talks", SOURCE, found, tmp_path / "texts", set(), progress=False)


def test_the_command(tmp_path):
    """From a clone to a text; a second time it is there already; the list has it with its licence."""
    clone = repository(tmp_path / "clone", {"go/1.md": "**Jo:** Hello to all of you.\n"})
    arguments = ["gather", "podcasts", "--out", str(tmp_path / "texts"), "--git", f"podcasts={clone}"]
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 0, result.output
    assert "podcasts.txt: 5 words in 1 documents; podcasts about programming; CC BY-SA 4.0" in result.output
    assert (tmp_path / "texts" / "podcasts.txt").read_text() == "Hello to all of you.\n"
    assert "podcasts.txt: there already" in CliRunner().invoke(commands, arguments).output
    assert "CC BY-SA 3.0; https://github.com/jason-feng/wikiVisual" in CliRunner().invoke(commands, ["gather"]).output
