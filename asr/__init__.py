"""Speech recognition that runs wholly on the user's own machine."""

__version__ = "0.1.0"

_LAZY = {
    "Recognizer": "asr.client.recognizer",
    "StreamingRecognizer": "asr.client.recognizer",
    "Transcript": "asr.client.recognizer",
    "Word": "asr.decoding.hypothesis",
    "AsrError": "asr.errors",
}
__all__ = [*_LAZY, "__version__"]


def __getattr__(name: str):
    """Load public names on first use, so that `import asr` costs nothing."""
    if name in _LAZY:
        from importlib import import_module
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'asr' has no attribute '{name}'")
