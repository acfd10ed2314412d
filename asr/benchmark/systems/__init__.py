"""What is measured: this recogniser and its peers, each behind the same few methods.

A system is loaded once. `transcribe(samples) -> text` recognises a whole utterance; `start() -> stream` begins one that is fed:
`stream.feed(samples)`, then `stream.finish() -> text`. Samples are (n,) float32, 16 kHz mono. It has a `name`, a `precision`, a
`mode` and a `stream_mode` (what rows call these two ways), `model_files` (paths, for their size), and `streams`: False where nothing is
recognised before `finish`.

Adding a peer takes one file here and one line in PEERS.
"""

from importlib import import_module

PEERS = {                                    # name -> class; a module is imported when its system is loaded
    "pocketsphinx": "asr.benchmark.systems.pocketsphinx:PocketSphinx",
    "moonshine-tiny": "asr.benchmark.systems.moonshine:MoonshineTiny",
    "whisper-tiny.en": "asr.benchmark.systems.whisper:WhisperTiny",
}


def load_peer(name: str):
    """A loaded peer. Raises ModuleNotFoundError where its package (extra `peers`) is not installed."""
    module, _, attribute = PEERS[name].partition(":")
    return getattr(import_module(module), attribute)()
