#!/usr/bin/env python3
"""Captions on a small device from a bundle's graph alone: no package but numpy and onnxruntime, no lexicon, no language model.

    python stream.py asr/models/english speech.wav          a file, 16 kHz mono, 16 bits
    arecord -q -r 16000 -f S16_LE -t raw | python stream.py asr/models/english -
    python stream.py BUNDLE FILE --chunk 640 --float        fewer mistakes, later; float where a CPU is slow at int8

This is the whole contract between a bundle and whoever runs it, to be copied into another program or language:

    block       chunk + right frames of 640 samples, and 240 more that the last one reaches; bundle.json has chunk and right of each latency
    inputs      samples (1, n), history (1, 480), hidden (layers, 1, hidden) float32, zeros at first; keep () int64 = chunk
    outputs     phones (1, T, P), pieces (1, T, V): log-probabilities, of which the first `chunk` frames stand; next_history, next_hidden
    next block  begins `chunk` frames after this one, with next_history and next_hidden
    text        best piece of each frame, repeats and blanks (id 0) dropped, put together; "▁" begins a word

A piece's best path knows no words, so it makes two to four times the errors of `asr live`, whose lexicon and n-gram are asr/decoding.
"""

import argparse
import json
import sys
import wave
from pathlib import Path

import numpy as np
import onnxruntime


class Stream:
    """Feed samples (n,) float32 in [-1, 1]; get text."""

    def __init__(self, bundle: Path, chunk_ms: int, file: str):
        told = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
        self.frame, self.reach = told["time"]["frame_samples"], told["time"]["reach_samples"]
        self.chunk, right = (told["latencies"][str(chunk_ms)][key] for key in ("chunk", "right"))
        self.block = (self.chunk + right - 1) * self.frame + self.reach
        self.pieces = (bundle / told["units"]["pieces"]).read_text(encoding="utf-8").splitlines()
        self.session = onnxruntime.InferenceSession(str(bundle / file), providers=["CPUExecutionProvider"])
        self.history = np.zeros((1, told["time"]["history_samples"]), np.float32)
        self.hidden = np.zeros((told["model"]["layers"], 1, told["model"]["hidden"]), np.float32)
        self.samples, self.last = np.zeros(0, np.float32), 0

    def feed(self, samples: np.ndarray) -> str:
        """The text of the chunks that these samples complete."""
        self.samples, text = np.concatenate([self.samples, samples]), ""
        while len(self.samples) >= self.block:
            text += self._step(self.samples[:self.block], self.chunk)
            self.samples = self.samples[self.chunk * self.frame:]
        return text

    def finish(self) -> str:
        """The text of the rest, as if silence followed."""
        frames = -(-len(self.samples) // self.frame) + 1
        need = (frames - 1) * self.frame + self.reach
        return self._step(np.pad(self.samples, (0, max(0, need - len(self.samples)))), frames)

    def _step(self, samples: np.ndarray, keep: int) -> str:
        inputs = {"samples": samples[None], "history": self.history, "hidden": self.hidden, "keep": np.array(keep, np.int64)}
        pieces, self.history, self.hidden = self.session.run(["pieces", "next_history", "next_hidden"], inputs)
        text = ""
        for best in pieces[0, :keep].argmax(1).tolist():
            if best not in (0, self.last):
                text += self.pieces[best]
            self.last = best
        return text.replace("▁", " ")


def blocks(source: str, samples: int = 1600):
    """(n,) float32 of a WAV file, or of raw 16-bit samples on standard input ("-")."""
    if source == "-":
        while raw := sys.stdin.buffer.read(2 * samples):
            yield np.frombuffer(raw[:len(raw) // 2 * 2], "<i2").astype(np.float32) / 32768
        return
    with wave.open(source) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (16_000, 1, 2):
            sys.exit(f"{source}: not 16 kHz, mono, 16 bits: convert it, ffmpeg -i IN -ar 16000 -ac 1 -c:a pcm_s16le OUT.wav")
        while raw := file.readframes(samples):
            yield np.frombuffer(raw, "<i2").astype(np.float32) / 32768


def main() -> None:
    """Print the text as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="folder of a bundle")
    parser.add_argument("source", help="WAV file, or - for raw samples on standard input")
    parser.add_argument("--chunk", type=int, default=320, choices=(160, 320, 640, 1280), help="milliseconds")
    parser.add_argument("--float", action="store_true", help="the float32 graph")
    args = parser.parse_args()
    stream = Stream(args.bundle, args.chunk, "acoustic.onnx" if args.float else "acoustic.int8.onnx")
    for samples in blocks(args.source):
        print(stream.feed(samples), end="", flush=True)
    print(stream.finish())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print()
    except (OSError, wave.Error, EOFError) as error:
        sys.exit(f"stream.py: {str(error) or 'the file ends before its sound begins'}")
