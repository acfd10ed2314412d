"""Checkpoint -> bundle: graphs, units, language files and card, checked against the model before anything is put in place."""

import datetime
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import torch

from asr.bundle import MANIFEST, WRITTEN, Bundle, load_bundle, replacing, revise, write_manifest
from asr.client.acoustic import FILES
from asr.config import ENCODERS
from asr.decoding.rescoring import FILES as RESCORER_FILES  # may be in the language folder
from asr.errors import BundleError
from asr.training.checkpoint import Checkpoint
from asr.training.model import AcousticModel
from asr.units import Units
from export.acoustic import acoustic_graph
from export.parity import LENGTHS_S, Case, check, compare

LANGUAGE_FILES = ("lexicon.txt.gz", "language.binary")
FEATURES_FILE = "acoustic.features.onnx"
PIECES_FILE = "pieces.model"         # sentencepiece's, for those who train on; the client never reads it


def export_bundle(checkpoint: Checkpoint, target: Path, name: str, language: Path | None = None, card: Path | None = None,
                  licence: str = "", features_input: bool = False, lengths_s: Sequence[float] = LENGTHS_S,
                  advance: Callable[[Case], None] = lambda case: None) -> tuple[Bundle, list[Case]]:
    """Make the bundle `target` (a folder, or one file if it ends in .asr) -> the bundle and what the parity check found.

    `language` is a folder with lexicon.txt.gz, language.binary and perhaps rescorer.onnx (None: a bundle for the greedy decoder alone),
    `card` a Markdown file (None: a short one is written). `advance` is called with each finished case. Raises BundleError where a graph
    differs from the model or a file is missing; an older bundle then stays as it was.
    """
    if checkpoint.config.encoder != ENCODERS[0]:
        raise BundleError(f"the encoder {checkpoint.config.encoder} is for comparison and cannot be exported; train one of {ENCODERS[0]}")
    for path in [card, *(language / file for file in LANGUAGE_FILES if language)]:
        if path and not path.is_file():
            raise BundleError(f"no file {path}: check the path (`asr language` makes {' and '.join(LANGUAGE_FILES)})")
    model, cases = with_half_weights(checkpoint.model()), []
    with replacing(target) as folder:
        _write_graphs(model, folder, features_input)
        Units(checkpoint.phones, "phones").write(folder / "phones.txt")
        Units(checkpoint.pieces, "pieces").write(folder / "pieces.txt")
        (folder / PIECES_FILE).write_bytes(checkpoint.piece_model)
        if language:
            _copy_language(language, folder)
        text = card.read_text(encoding="utf-8") if card else _short_card(checkpoint, name, licence)
        (folder / "MODEL_CARD.md").write_text(text, encoding="utf-8", newline="\n")
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        write_manifest(folder, name=name, created=created, model=checkpoint.config.to_dict(),
                       units={"phones": "phones.txt", "pieces": "pieces.txt"}, decoding={}, wer={}, licence=licence, card="MODEL_CARD.md")
        bundle = load_bundle(folder)
        for case in compare(model, bundle, lengths_s):
            cases.append(case)
            advance(case)
        check(cases, bundle)
    return load_bundle(target), cases


def with_language(source: Path, target: Path, language: Path) -> Bundle:
    """Make the bundle `target` of the bundle `source` and the language files in the folder `language`, those that it has.

    Its decoding weights stay, for `asr tune` to choose anew; its error rates go, they were others'. Raises BundleError.
    """
    bundle = load_bundle(source)
    if not any((language / file).is_file() for file in (*LANGUAGE_FILES, *RESCORER_FILES)):
        raise BundleError(f"{language}: none of {', '.join((*LANGUAGE_FILES, *RESCORER_FILES))} in it: give the folder that `asr language` "
                          "or `asr rescorer` filled")
    kept = json.loads((bundle.folder / MANIFEST).read_text(encoding="utf-8"))
    with replacing(target) as folder:
        for file in bundle.files:
            shutil.copyfile(bundle.path(file), folder / file)
        _copy_language(language, folder)
        write_manifest(folder, **{name: value for name, value in kept.items() if name not in WRITTEN} | {"wer": {}})
    return load_bundle(target)


def _copy_language(language: Path, folder: Path) -> None:
    for file in (*LANGUAGE_FILES, *RESCORER_FILES):
        if (language / file).is_file():
            shutil.copyfile(language / file, folder / file)


def add_error_rates(target: Path, speech: Path, limit: int | None = None) -> Bundle:
    """Measure the bundle's word error rates on the dev sets of `speech` and write them into its bundle.json."""
    from asr.benchmark.wer import measure
    return revise(target, wer=measure(target, speech, limit))


@torch.no_grad()
def with_half_weights(model: AcousticModel) -> AcousticModel:
    """The model, its matrices rounded in place to what float16 holds, so that the float32 graph takes half the room."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.copy_(parameter.half())
    return model


def _write_graphs(model: AcousticModel, folder: Path, features_input: bool) -> None:
    with torch.inference_mode():
        onnx.save(acoustic_graph(model), folder / FILES["float"])
        onnx.save(acoustic_graph(model, int8=True), folder / FILES["int8"])
        if features_input:
            onnx.save(acoustic_graph(model, features_input=True), folder / FEATURES_FILE)


def _short_card(checkpoint: Checkpoint, name: str, licence: str) -> str:
    millions = sum(tensor.numel() for tensor in checkpoint.weights.values()) / 1e6
    sets = checkpoint.recipe.get("data", {}).get("sets", [])
    lines = [
        f"# {name}", "",
        f"English speech recognition, {millions:.1f} million parameters, 25 frames a second, two CTC heads (phones, word pieces).", "",
        f"- Licence: {licence or 'not stated'}",
        f"- Trained on: {', '.join(sets) or 'not stated'}",
        *(f"- {key}: {value}" for key, value in checkpoint.progress.items() if isinstance(value, int | float | str)),
    ]
    return "\n".join(lines) + "\n"
