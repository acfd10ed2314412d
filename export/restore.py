"""The way back: a bundle becomes a checkpoint that `asr train --start` begins with, so a shipped model can be taught further.

Weights come from acoustic.onnx, exactly as they were exported (tests compare them bit by bit), the pieces' segmentation from
pieces.model. The optimiser's state is not in a bundle: a run that starts from one warms up anew.
"""

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from asr.bundle import Bundle
from asr.client.acoustic import FILES
from asr.errors import BundleError
from asr.training.checkpoint import Checkpoint
from asr.training.model import AcousticModel
from export.packaging import PIECES_FILE


def checkpoint_of(bundle: Bundle) -> Checkpoint:
    """A checkpoint without training state, of the bundle's float weights. Raises BundleError where the bundle lacks a file for it."""
    for file in (FILES["float"], PIECES_FILE):
        if not bundle.has(file):
            raise BundleError(f"the bundle {bundle.folder} has no {file}, which training needs: start from a bundle that `asr export` made")
    graph = onnx.load(bundle.path(FILES["float"])).graph
    constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    model = AcousticModel(bundle.model)
    try:
        model.load_state_dict(_weights(constants, bundle.model.layers))
    except (KeyError, RuntimeError) as error:
        raise BundleError(f"{bundle.path(FILES['float'])} is not of the model that bundle.json tells ({error}): export it again") from None
    return Checkpoint(bundle.model, list(bundle.phones), list(bundle.pieces), bundle.path(PIECES_FILE).read_bytes(),
                      model.state_dict(), recipe={}, progress={"bundle": bundle.name})


def _weights(constants: dict[str, np.ndarray], layers: int) -> dict[str, Tensor]:
    """The constants of export.acoustic's float graph under the names of AcousticModel.state_dict()."""
    found = {f"features.{name}": constants[f"features.{name}"][:, 0] for name in ("mean", "scale")}
    for conv in ("conv1", "conv2"):
        found[f"front.{conv}.weight"] = constants[f"{conv}.weight"].swapaxes(2, 3)
        found[f"front.{conv}.bias"] = constants[f"{conv}.bias"]
    for linear, name in (("project", "front.project"), ("phones", "phones"), ("pieces", "pieces")):
        found[f"{name}.weight"], found[f"{name}.bias"] = constants[f"{linear}.weight"].T, constants[f"{linear}.bias"]
    found["norm.weight"], found["norm.bias"] = constants["norm.weight"], constants["norm.bias"]
    for number in range(layers):
        layer = f"layer{number}"
        found.update({f"layers.{number}.norm.{kind}": constants[f"{layer}.norm.{kind}"] for kind in ("weight", "bias")})
        inner, outer = np.split(constants[f"{layer}.bias"], 2, axis=1)
        parameters = {"weight_ih_l0": constants[f"{layer}.weight"], "weight_hh_l0": constants[f"{layer}.recurrent"],
                      "bias_ih_l0": inner, "bias_hh_l0": outer}
        for row, direction in enumerate(("forwards", "backwards")):
            for parameter, value in parameters.items():
                update, reset, candidate = np.split(value[row], 3)                      # ONNX's order; torch has reset first
                found[f"layers.{number}.{direction}.{parameter}"] = np.concatenate([reset, update, candidate])
    return {name: torch.tensor(np.ascontiguousarray(value)) for name, value in found.items()}
