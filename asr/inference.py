"""ONNX graphs on this machine's CPU."""

from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import BundleError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(path: Path, threads: int = 1, graph: bytes | None = None) -> "InferenceSession":
    """The graph in a file, or `graph`, which was made of it, ready to run. Raises BundleError."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False                       # blocks come in many lengths, and a pattern of each would be kept
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph or str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:                               # ONNX Runtime's errors have no base of their own
        reason = str(error).splitlines()[0]
        raise BundleError(f"{path}: ONNX Runtime {onnxruntime.__version__} cannot load it ({reason}): update onnxruntime") from error
