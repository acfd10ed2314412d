"""Openly licensed English text in public git repositories, and how each of them keeps its sentences: what language models learn from.

A reader gives the documents of one file (articles, books, talks), each as its paragraphs.
"""

import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

LEAST_WORDS = 5                      # of a paragraph of an article; shorter ones are headings and captions

_ASIDE = re.compile(r"\s*\([^()]*\)")                                     # dates and pronunciations, which nobody reads aloud
_HOLE = re.compile(r"\s[,.;:]|\(\s*\)"                                   # where the words of a link are lacking
                   r"|\b(?:the|an?) (?:and|of|the|in|by|is|was|are|were|has|had)\b|\bof (?:and|is|was)\b")
_NO_PROSE = re.compile(r"[-+|=*#!<\[\]\d]|.*formula_\d")


@dataclass(frozen=True)
class TextSource:
    """A text that can be made: where it comes from, under which licence, which files of it, and the reader of one."""

    repository: str                  # on GitHub, OWNER/NAME
    what: str
    licence: str
    pattern: str                     # of the files' paths
    read: Callable[[str], Iterator[list[str]]]
    ref: str = "HEAD"

    @property
    def url(self) -> str:
        """Where git fetches it."""
        return f"https://github.com/{self.repository}"


def book(content: str) -> Iterator[list[str]]:
    """One document; paragraphs, some of them of several lines, apart by empty lines; short ones and headings are left out."""
    yield [part.replace("\n", " ") for part in re.split(r"\n\s*\n", content) if len(part) > 40 and not part.lstrip().startswith("#")]


def marked_up_book(content: str) -> Iterator[list[str]]:
    """A book in TEI's XML, without its header."""
    text = re.sub(r"<teiHeader.*?</teiHeader>", "", content, flags=re.DOTALL)
    yield from book(html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"</?(?:p|head|l|div)\b[^>]*>", "\n\n", text))))


def talk(content: str) -> Iterator[list[str]]:
    """A transcript, a turn a line, some with the speaker's name in bold before it."""
    lines = (re.sub(r"^\*\*[^*]{1,60}:\*\* *", "", line.strip()) for line in content.split("\n"))
    yield [line for line in lines if line and not line.startswith("#")]


def story(content: str) -> Iterator[list[str]]:
    """A paragraph a line, but headings and credits."""
    yield [line for line in content.split("\n") if line and line[0] not in "#*"]


def dialogues(content: str) -> Iterator[list[str]]:
    """Dialogues of DSTC8, a paragraph a turn."""
    for dialogue in json.loads(content):
        yield [turn["utterance"] for turn in dialogue["turns"]]


def extracted_articles(content: str) -> Iterator[list[str]]:
    """Articles as WikiExtractor writes them: in <doc>, title first, a paragraph a line."""
    for document in re.findall(r"^<doc [^>]*>\n[^\n]*\n(.*?)^</doc>", content, flags=re.DOTALL | re.MULTILINE):
        yield _prose(document.split("\n"))


def extracted_news(content: str) -> Iterator[list[str]]:
    """Articles as WikiExtractor writes them as JSON, one a line. Paragraphs where the words of a link are lacking are left out."""
    for line in content.splitlines():
        yield [paragraph for paragraph in _prose(json.loads(line)["text"].split("\n")) if not _HOLE.search(paragraph)]


def _prose(lines: list[str]) -> list[str]:
    found = (_ASIDE.sub("", _ASIDE.sub("", re.sub(r"\[\d+\]", "", line.strip()))) for line in lines if not _NO_PROSE.match(line))
    return [line for line in found if line.endswith((".", "!", "?", '."', ".”")) and len(line.split()) >= LEAST_WORDS]


_WIKIPEDIA, _FREE = "CC BY-SA 3.0", "public domain"
TEXTS = {                            # name -> where it comes from
    "podcasts": TextSource("thechangelog/transcripts", "podcasts about programming", "CC BY-SA 4.0", r"^(?!bigtent/).+/.+\.md$", talk),
    "books": TextSource("mlschmitt/classic-books-markdown", "books, mostly of the 19th century", _FREE, r"/.+\.md$", book),
    "novels": TextSource("computationalstylistics/100_english_novels", "a hundred novels", _FREE, r"corpus/.*\.txt$", book),
    "fiction": TextSource("dbamman/litbank", "a hundred works of fiction", _FREE, r"^original/.*\.txt$", book),
    "eltec": TextSource("COST-ELTeC/ELTeC-eng", "a hundred novels of 1840 to 1920", "CC BY 4.0", r"level1/.*\.xml$", marked_up_book),
    "stories": TextSource("global-asp/asp-source", "stories for children", "CC BY 3.0 and 4.0", r"^en/.+\.md$", story),
    "dialogues": TextSource("google-research-datasets/dstc8-schema-guided-dialogue", "dialogues with assistants", "CC BY-SA 4.0",
                            r"^(train|dev)/dialogues.*json$", dialogues),
    "encyclopaedia": TextSource("jason-feng/wikiVisual", "English Wikipedia in 2015, 30,000 articles", _WIKIPEDIA, r"^text/../wiki_\d+$",
                                extracted_articles, "1c0fac92f29f17c1603bfffbe864e0dfdff66897"),
    "encyclopaedia-2": TextSource("ZhouYii/PatchedDistro", "English Wikipedia in 2014, short articles", _WIKIPEDIA, r"^data/../wiki_\d+$",
                                  extracted_articles, "6433a90cc5a1311a4995e8944c7d6d25fb9bc811"),
    "encyclopaedia-3": TextSource("hudsonmiears/Automatic-Text-Selector", "Simple English Wikipedia in 2017", _WIKIPEDIA,
                                  r"^extracted/../wiki_\d+$", extracted_articles, "30bd6835ae1d356fb70b2897ca0f38b08747979c"),
    "news": TextSource("jshepp27/countaBot", "Wikinews up to 2022", "CC BY 2.5", r"^text/../wiki_\d+$", extracted_news,
                       "eac9439eff525f2f4c753983fe2a2973e22e2e7f"),
}
