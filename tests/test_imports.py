"""Who may import whom: the client lives without torch, and starting costs nothing. Each case is a fresh interpreter."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from asr.cli import COMMANDS

ROOT = Path(__file__).parents[1]
MODULES = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
                 for folder in ("asr", "export") for path in (ROOT / folder).rglob("*.py")
                 if path.name != "__main__.py" and "examples" not in path.parts)
TRAINING = {"torch", "torchaudio", "librosa", "tensorboard", "sentencepiece", "matplotlib", "asr.training", "export", "ray"}
NEVER = {                            # room -> what importing its modules must never load
    "asr": TRAINING | {"onnxruntime", "sounddevice", "rich", "flashlight", "asr.client", "asr.decoding"},
    "asr.decoding": TRAINING | {"onnxruntime", "sounddevice", "asr.client"},
    "asr.client": TRAINING,
    "asr.commands": TRAINING | {"onnxruntime", "sounddevice", "flashlight"},
    "asr.benchmark": {"torch", "torchaudio", "sounddevice"},
    "asr.training": {"sounddevice", "asr.client"},
    "export": {"sounddevice", "asr.client.microphone", "asr.client.display", "asr.client.server"},
}
IN_ONE_PLACE = {                     # a package that a single file may import
    "ray": "asr/client/cluster.py",
    "sounddevice": "asr/client/microphone.py",
    "starlette": "asr/client/server.py",
}


def run_python(program: str) -> str:
    """What a program prints in a fresh interpreter; it must end well and say nothing else."""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(module: str) -> set[str]:
    """The modules that importing `module` loads, beyond those of an empty program."""
    return set(run_python(f"import sys; before = set(sys.modules)\nimport {module}\nprint(*set(sys.modules) - before)").split())


def room(module: str) -> str:
    """The entry of NEVER that a module is under: the longest that fits."""
    return max((name for name in NEVER if module == name or module.startswith(name + ".")), key=len)


@pytest.mark.parametrize("name", NEVER)
def test_room_loads_only_what_it_may(name):
    """Importing every module of a room loads nothing that the room must not know."""
    modules = [module for module in MODULES if room(module) == name]
    assert modules
    loops = f"for name in {modules!r}:\n    before = set(sys.modules); import_module(name); print(name, *set(sys.modules) - before)"
    lines = run_python(f"import sys\nfrom importlib import import_module\n{loops}").splitlines()
    assert len(lines) == len(modules)
    forbidden = {(line.split()[0], loaded) for line in lines for loaded in line.split()[1:]
                 for banned in NEVER[name] if loaded == banned or loaded.startswith(banned + ".")}
    assert forbidden == set()


def test_import_asr_costs_numpy_at_most():
    """`import asr` loads no package but the standard library and numpy, and no other module of its own."""
    loaded = {name.partition(".")[0] for name in loaded_by("asr")}
    assert loaded - set(sys.stdlib_module_names) <= {"asr", "numpy"}


def test_command_line_costs_click_at_most():
    """The command table loads no package but click, so that `asr --help` answers at once."""
    loaded = {name.partition(".")[0] for name in loaded_by("asr.cli")}
    assert loaded - set(sys.stdlib_module_names) <= {"asr", "click", "colorama"}


def test_help_works_without_the_optional_packages():
    """A command's help needs neither torch nor any other package of an extra."""
    blocker = "for name in ('torch', 'torchaudio', 'sounddevice', 'rich', 'onnx', 'librosa', 'jiwer', 'ray'): sys.modules[name] = None"
    for name in COMMANDS:
        assert "Usage: asr" in run_python(f"import sys\n{blocker}\nfrom asr.cli import main\nmain([{name!r}, '--help'])")


@pytest.mark.parametrize("package", IN_ONE_PLACE)
def test_package_is_imported_in_one_file_alone(package):
    """What touches the machine's devices or network is confined to one file, wherever in it the import stands."""
    files = [path for folder in ("asr", "export") for path in (ROOT / folder).rglob("*.py")]
    users = {str(path.relative_to(ROOT)) for path in files if package in imported_packages(path)}
    assert users <= {IN_ONE_PLACE[package]}


def imported_packages(path: Path) -> set[str]:
    """The top-level packages that a file imports anywhere, inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {name.partition(".")[0] for name in names}
