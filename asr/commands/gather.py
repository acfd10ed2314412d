"""`asr gather`: sets of openly licensed speech, and text for language models, made from public repositories."""

import os
from pathlib import Path

import click

from asr.errors import DataError


def _given(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Path]:
    pairs = [value.partition("=") for value in values]
    if any(not folder for _, _, folder in pairs):
        raise click.BadParameter("expected NAME=GIT_DIR")
    return {name: Path(folder) for name, _, folder in pairs}


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("speech"), show_default=True,
              help="Folder of sets and texts.")
@click.option("--clones", type=click.Path(path_type=Path, file_okay=False), default=Path("runs/clones"), show_default=True,
              help="Where repositories are fetched to, without their history; 0.1 to 1 GB each.")
@click.option("--git", "given", multiple=True, callback=_given, metavar="NAME=GIT_DIR",
              help="A clone that you have of its repository, with the ref that the list names. Repeatable.")
@click.option("--held-out", multiple=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="MANIFEST",
              help="Development or test set (.tsv): a text that shares six words in a row with it is left out. Repeatable.")
@click.option("--teacher", type=click.Path(path_type=Path), help="Folder with Moonshine's graphs, for speech without texts.")
@click.option("--tokenizer", type=click.Path(path_type=Path), help="Its tokenizer.json.")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Threads.  [default: one a core]")
def gather(names: tuple[str, ...], out: Path, clones: Path, given: dict[str, Path], held_out: tuple[Path, ...], teacher: Path | None,
           tokenizer: Path | None, jobs: int) -> None:
    """Make sets of openly licensed speech, and texts, from public repositories.

    A set is NAME.tar and NAME.tsv, for `asr train`; a text is NAME.txt, a sentence a line, for `asr language` and `asr rescorer`. Without
    a NAME all are listed, with licences. What is there already is left alone; delete its .tsv or .txt to make it again. Speech that
    nobody has transcribed is written down by Moonshine, at 35 times real time on two cores, and kept where it is sure enough:

    \b
    npm pack @usefulsensors/moonshine-js@0.1.10 && tar xzf usefulsensors-moonshine-js-0.1.10.tgz package/dist/model/base
    pip download --no-deps useful-moonshine-onnx==20251121 && unzip -j useful_moonshine_onnx-*.whl '*/tokenizer.json'

    \b
    Examples:
      asr gather
      asr gather train-libri-4 train-kathleen --held-out ../shared/speech/dev-libri.tsv
      asr gather encyclopaedia books podcasts --out text --held-out ../shared/speech/dev-libri.tsv
      asr gather speech --teacher package/dist/model/base/quantized --tokenizer tokenizer.json
    """
    from asr.training.gathering import gather, spans_of
    from asr.training.git_files import GitFiles, fetch
    from asr.training.manifests import read_table
    from asr.training.sources import SOURCES
    from asr.training.text_gathering import gather_text
    from asr.training.texts import TEXTS
    from asr.training.transcriber import Transcriber

    known = SOURCES | TEXTS
    if not names:
        width = max(map(len, known))
        for name, source in known.items():
            ref = "" if source.ref == "HEAD" else f" ({source.ref})"
            click.echo(f"{name:{width}}  {source.what}; {source.licence}; {source.url}{ref}")
        return
    names = {("speech",): tuple(SOURCES), ("text",): tuple(TEXTS)}.get(names, names)
    unknown = next((name for name in (*names, *given) if name not in known), None)
    if unknown is not None:
        raise DataError(f"{unknown!r}: no such set or text; there are {', '.join(known)}; or speech, or text, for all of a kind")
    if bool(teacher) != bool(tokenizer):
        raise click.UsageError("--teacher and --tokenizer go together")
    listen = Transcriber(teacher, tokenizer) if teacher else None
    spans = spans_of(row["text"] for path in held_out for _, row in read_table(path, ("text",)))
    for name in names:
        made = out / f"{name}.{'tsv' if name in SOURCES else 'txt'}"
        if made.exists():
            click.echo(f"{made}: there already", err=True)
            continue
        source = known[name]
        clone = clones / source.repository.replace("/", "+")
        with GitFiles(given[name], source.ref) if name in given else fetch(source.url, source.ref, clone) as files:
            if name in TEXTS:
                found = gather_text(name, source, files, out, spans)
                told = f"{made}: {found.words:,} words in {found.documents:,} documents"
            else:
                found = gather(name, source, files, out, spans, listen, jobs)
                speakers = {0: "speakers not named", 1: "1 speaker"}.get(len(found.speakers), f"{len(found.speakers)} speakers")
                told = f"{out / name}.tar: {found.utterances:,} utterances, {found.seconds / 3600:.2f} h, {speakers}"
        click.echo(f"{told}; {source.what}; {source.licence}")
        for reason, count in found.left_out.most_common():
            click.echo(f"left out: {count:,} {reason}")
