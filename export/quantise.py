"""int8 weights, one scale an output unit, that give the same sums on every x86 CPU.

Activations are unsigned 8 bits (0 ... 255), scaled anew for each product by DynamicQuantizeLinear. CPUs without VNNI multiply unsigned by
signed bytes with `vpmaddubsw`, which adds the products of two neighbouring rows in 16 bits and saturates silently: 255 * (127 + 127)
does not fit. The usual ways out cost something: 7-bit weights double the rounding error, unsigned weights are slower where there is VNNI,
since ONNX Runtime 1.32 has no such kernel for them (250 rows x 512 x 1536: 2.6 against 1.0 ms).

Here each column's scale is chosen so that no neighbouring pair can saturate: 255 * 128 = 32640 < 32767. Large weights seldom stand next to
each other with the same sign, so that costs a part of a bit, and signed weights keep their fast kernels. Error of log-probabilities (rms; a
random model of four layers with weights as heavy-tailed as trained ones), on a CPU with VNNI and on an emulated Haswell without it:

| weights             | VNNI   | Haswell |
| ------------------- | ------ | ------- |
| these               | 0.0242 | 0.0242  |
| unsigned 8 bits     | 0.0189 | 0.0189  |
| signed, -127 to 127 | 0.0204 | 0.0864  |

On real speech through a model in training: these 0.0198, full range (with VNNI) 0.0185, 7 bits 0.0240.
"""

import numpy as np

PAIR_LIMIT = 128                     # 255 * 128 fits in a signed 16-bit integer


def quantise(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """weight (K, N) float32 -> int8 (K, N) and scale (N,) float32 with weight ~ int8 * scale and no pair of rows that saturates."""
    largest = np.abs(weight).max(0)                                         # (N,)
    pairs = np.maximum(largest_pair(weight), largest)                       # (N,)
    scale = np.where(pairs > 0, pairs / (PAIR_LIMIT - 1), 1.0).astype(np.float32)        # - 1: rounding adds a half to each of the two
    return np.rint(weight / scale).astype(np.int8), scale


def largest_pair(weight: np.ndarray) -> np.ndarray:
    """weight (K, N) -> for each column the largest sum of two neighbouring rows (0 and 1, 2 and 3, ...) that have the same sign, (N,)."""
    even = np.pad(weight, ((0, len(weight) % 2), (0, 0)))                   # (K or K + 1, N)
    above, below = np.maximum(even, 0), np.maximum(-even, 0)
    return np.maximum(above[0::2] + above[1::2], below[0::2] + below[1::2]).max(0)
