"""Moonshine (MIT) as a teacher that writes down what it hears, with a score, for speech that nobody has transcribed.

    npm pack @usefulsensors/moonshine-js@0.1.10 && tar xzf usefulsensors-moonshine-js-0.1.10.tgz package/dist/model/base
    pip download --no-deps useful-moonshine-onnx==20251121 && unzip -j useful_moonshine_onnx-*.whl '*/tokenizer.json'

Greedy, one utterance at a time: the export takes no padding mask. Its base size errs in one word of ten on Common Voice; where the score is
above -0.1 it is nearly always right, below -0.4 seldom.
"""

import json
from pathlib import Path

import numpy as np

from asr.config import RATE_HZ
from asr.errors import DataError
from asr.inference import open_session

START, END = 1, 2
MOST_TOKENS_S = 6.5                  # the model's own limit
FILES = ("encoder_model.onnx", "decoder_model_merged.onnx")


class Transcriber:
    """Raises DataError where the folder lacks the graphs or the tokenizer is not one, BundleError for a graph that cannot be loaded."""

    def __init__(self, folder: Path, tokenizer: Path):
        for name in FILES:
            if not (folder / name).is_file():
                raise DataError(f"{folder / name}: no such teacher; npm pack @usefulsensors/moonshine-js@0.1.10 brings it")
        try:
            vocabulary = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
            self._tokens = {number: token for token, number in vocabulary.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise DataError(f"{tokenizer}: not the teacher's tokenizer.json; pip download --no-deps useful-moonshine-onnx==20251121 "
                            "brings it, zipped") from None
        self._encoder, self._decoder = (open_session(folder / name) for name in FILES)
        self._inputs = {node.name: node.shape for node in self._decoder.get_inputs()}
        self._past = [name for name in self._inputs if name.startswith("past_key_values")]

    def __call__(self, samples: np.ndarray) -> tuple[str, float]:
        """samples (n,) float32 at 16 kHz -> text, and the mean log probability of its tokens. Safe from several threads."""
        states, = self._encoder.run(None, {self._encoder.get_inputs()[0].name: samples[None].astype(np.float32)})    # (1, frames, width)
        cache = {name: np.zeros((0, self._inputs[name][1], 1, self._inputs[name][3]), np.float32) for name in self._past}
        ids, step, score = [], START, 0.0
        for place in range(int(len(samples) / RATE_HZ * MOST_TOKENS_S) + 4):
            feed = {"input_ids": np.array([[step]], np.int64), "encoder_hidden_states": states,
                    "use_cache_branch": np.array([place > 0]), **cache}
            logits, *past = self._decoder.run(None, {name: value for name, value in feed.items() if name in self._inputs})
            logits = logits[0, -1].astype(np.float64)
            step = int(logits.argmax())
            score -= np.log(np.exp(logits - logits[step]).sum())
            if step == END:
                break
            ids.append(step)
            cache.update((name, value) for name, value in zip(self._past, past, strict=True)
                         if place == 0 or ".decoder." in name)             # the encoder's keys are made once
        return self._text(ids), score / (len(ids) + 1)

    def _text(self, ids: list[int]) -> str:
        """Of a sentencepiece vocabulary in which bytes have tokens of their own."""
        parts = []
        for token in (self._tokens.get(number, "") for number in ids):
            is_byte = len(token) == 6 and token.startswith("<0x")
            parts.append(bytes([int(token[3:5], 16)]) if is_byte else b"" if token.startswith("<") else token.encode())
        return b"".join(parts).decode("utf-8", "replace").replace("\u2581", " ").strip()
