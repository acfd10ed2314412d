"""asr/bundle.py: a bundle is used only when every file in it is the one that was exported."""

import dataclasses
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from asr.bundle import FORMAT, MANIFEST, install, load_bundle, replacing, revise, write_manifest
from asr.config import LATENCIES, ModelConfig
from asr.errors import BundleError

MODEL = ModelConfig(phones=3, pieces=2)
FILES = {"acoustic.onnx": b"float" * 1000, "acoustic.int8.onnx": b"int8" * 1000, "phones.txt": b"<blank>\nAH\n|\n",
         "pieces.txt": "<blank>\n▁a\n".encode()}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads what another remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write_files(folder: Path) -> None:
    """Files that look like a bundle's, and its bundle.json."""
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    write_manifest(folder, name="test", created="2026-01-01T00:00:00+00:00", model=MODEL.to_dict(), decoding={"lm_weight": 2.0}, wer={},
                   licence="CC0-1.0")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A bundle folder."""
    path = tmp_path / "bundle"
    path.mkdir()
    write_files(path)
    return path


@pytest.fixture
def archive(tmp_path) -> Path:
    """The same bundle as one file."""
    with replacing(tmp_path / "bundle.asr") as new:
        write_files(new)
    return tmp_path / "bundle.asr"


def refusal(path: Path | str | None) -> str:
    """The one line that loading `path` is refused with."""
    with pytest.raises(BundleError) as caught:
        load_bundle(path)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return text


def edit_manifest(folder: Path, change: Callable[[dict], None]) -> None:
    """Change bundle.json in place."""
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_bundle_tells_everything_about_itself(folder):
    """Model sizes, units, latencies and settings come back as they were written."""
    bundle = load_bundle(folder)
    assert (bundle.name, bundle.licence, bundle.decoding) == ("test", "CC0-1.0", {"lm_weight": 2.0})
    assert bundle.model == MODEL
    assert bundle.phones == ("<blank>", "AH", "|")
    assert bundle.pieces == ("<blank>", "▁a")
    assert bundle.latencies == LATENCIES
    assert bundle.path("acoustic.onnx").read_bytes() == FILES["acoustic.onnx"]


def test_missing_part_is_named(folder):
    """Asking for a file that a bundle does not hold says which one."""
    bundle = load_bundle(folder)
    assert not bundle.has("language.binary")
    with pytest.raises(BundleError, match=r"language\.binary"):
        bundle.path("language.binary")


def damage_byte(folder: Path) -> None:
    """One byte differs, size and modification time are as before."""
    path = folder / "acoustic.onnx"
    times = path.stat()
    path.write_bytes(b"F" + FILES["acoustic.onnx"][1:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def declare(folder: Path, name: str, content: bytes) -> None:
    """Put another file in under its right sum."""
    (folder / name).write_bytes(content)
    write_manifest(folder, name="test", created="", model=MODEL.to_dict())


DAMAGES = {
    "no manifest": (lambda f: (f / MANIFEST).unlink(), "no readable bundle.json"),
    "manifest cut off": (lambda f: (f / MANIFEST).write_bytes((f / MANIFEST).read_bytes()[:200]), "corrupt"),
    "manifest of another kind": (lambda f: (f / MANIFEST).write_text("[1, 2]"), "corrupt"),
    "manifest without a model": (lambda f: edit_manifest(f, lambda m: m.pop("model")), "corrupt"),
    "model sizes of an unknown name": (lambda f: edit_manifest(f, lambda m: m["model"].update(depth=3)), "corrupt"),
    "newer format": (lambda f: edit_manifest(f, lambda m: m.update(format=FORMAT + 1)), "update the program"),
    "other frames": (lambda f: edit_manifest(f, lambda m: m["time"].update(frame_samples=320)), "other frames"),
    "name that leads out": (lambda f: edit_manifest(f, lambda m: m["files"].update({"../x": {"bytes": 1, "sha256": ""}})), "cannot hold"),
    "missing file": (lambda f: (f / "acoustic.int8.onnx").unlink(), "acoustic.int8.onnx is missing"),
    "truncated file": (lambda f: (f / "acoustic.onnx").write_bytes(b"float"), "5 bytes"),
    "changed byte": (damage_byte, "SHA-256"),
    "units that do not fit": (lambda f: declare(f, "phones.txt", b"<blank>\n|\n"), "2 units, the model has 3"),
    "units without a blank": (lambda f: declare(f, "pieces.txt", b"a\nb\n"), "pieces.txt:1"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_folder_is_refused_in_one_line(folder, name):
    """Whatever is wrong is found, also when the bundle was loaded (and its sums remembered) before."""
    damage, words = DAMAGES[name]
    load_bundle(folder)
    damage(folder)
    assert words in refusal(folder)


def test_bundle_without_acoustic_model_is_refused(folder):
    """A bundle needs one of the two graphs."""
    for name in ("acoustic.onnx", "acoustic.int8.onnx"):
        (folder / name).unlink()
    write_manifest(folder, name="test", created="", model=MODEL.to_dict())
    assert "no acoustic model" in refusal(folder)


def test_wrong_paths_are_refused_in_one_line(tmp_path):
    """No such path, an empty folder, a file that is no bundle, an empty file."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "noise.asr").write_bytes(os.urandom(3000))
    (tmp_path / "nothing.asr").write_bytes(b"")
    assert "no bundle at" in refusal(tmp_path / "absent")
    assert "is no bundle" in refusal(tmp_path / "empty")
    assert "no readable bundle" in refusal(tmp_path / "noise.asr")
    assert "no readable bundle" in refusal(tmp_path / "nothing.asr")


def test_archive_gives_the_same_bundle_as_a_folder(folder, archive):
    """One file or a folder: nothing but the place differs."""
    packed, plain = load_bundle(archive), load_bundle(folder)
    assert dataclasses.replace(packed, folder=plain.folder) == plain
    assert packed.path("acoustic.onnx").read_bytes() == FILES["acoustic.onnx"]
    assert load_bundle(archive).folder == packed.folder


@pytest.mark.parametrize("part", [0.02, 0.5, 0.98])
def test_truncated_archive_is_refused(archive, part):
    """A file cut off anywhere is refused, also after it was once whole."""
    load_bundle(archive)
    whole = archive.read_bytes()
    archive.write_bytes(whole[:int(part * len(whole))])
    assert "install the bundle again" in refusal(archive)


def test_tampered_archive_is_refused(folder, tmp_path):
    """A zip that is in order, with another file in it than bundle.json says."""
    (folder / "acoustic.onnx").write_bytes(b"FLOAT" * 1000)
    with zipfile.ZipFile(tmp_path / "tampered.asr", "w") as packed:
        for path in folder.iterdir():
            packed.write(path, path.name)
    assert "SHA-256" in refusal(tmp_path / "tampered.asr")
    with zipfile.ZipFile(tmp_path / "tampered.asr", "w") as packed:
        packed.write(folder / MANIFEST, MANIFEST)
    assert "no whole bundle" in refusal(tmp_path / "tampered.asr")


def test_damaged_copy_in_the_cache_is_unpacked_again(archive):
    """What was unpacked is checked like any folder, and the archive still has what belongs there."""
    (load_bundle(archive).folder / "acoustic.onnx").write_bytes(b"x")
    assert load_bundle(archive).path("acoustic.onnx").read_bytes() == FILES["acoustic.onnx"]


def test_failure_leaves_the_old_bundle_and_no_litter(folder):
    """Ctrl-C while a new bundle is written changes nothing."""
    before = sorted(folder.parent.iterdir())

    def interrupted():
        with replacing(folder) as new:
            (new / "acoustic.onnx").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert load_bundle(folder).name == "test"
    assert set(folder.parent.iterdir()) - set(before) <= {folder.parent / "cache"}


def test_other_folder_is_never_replaced(tmp_path):
    """A folder that is no bundle, such as a home folder given by mistake, is left alone."""
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mother.txt").write_text("dear")
    with pytest.raises(BundleError, match="something else"), replacing(tmp_path / "letters"):
        pass
    assert (tmp_path / "letters" / "mother.txt").read_text() == "dear"


@pytest.mark.parametrize("name", ["installed", "installed.asr"])
def test_install_replaces_an_older_bundle(folder, tmp_path, name):
    """Installing twice, as folder or as file, leaves the newer one; a broken source leaves what was there."""
    target = tmp_path / "place" / name
    install(folder, target)
    edit_manifest(folder, lambda m: m.update(name="newer"))
    assert install(folder, target).name == "newer"
    (folder / "acoustic.onnx").unlink()
    with pytest.raises(BundleError, match="missing"):
        install(folder, target)
    assert load_bundle(target).name == "newer"
    assert [path.name for path in target.parent.iterdir()] == [name]


def test_revise_changes_entries_and_no_file(archive):
    """Figures measured later are added to an installed bundle."""
    bundle = revise(archive, wer={"dev": {"int8": {"full beam": 12.3}}})
    assert bundle.wer["dev"]["int8"]["full beam"] == 12.3
    assert load_bundle(archive) == bundle
    assert bundle.decoding == {"lm_weight": 2.0}


def test_bundle_loads_without_a_writable_home(folder, archive, tmp_path, monkeypatch):
    """Where nothing can be remembered, all works the same."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert load_bundle(folder).name == load_bundle(archive).name == "test"
