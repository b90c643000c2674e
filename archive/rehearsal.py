"""Before weeks of training: can a network of this architecture be packaged at all, and what would serve it?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from archive.convert import REFERENCE, Candidates
from archive.engines.convert import CONVERTERS
from archive.engines.parity import parity_inputs
from archive.store import MODEL_NAME
from handler.card import Architecture, FileRecord, InputSpec, ModelCard
from handler.engines import Engine, installed, open_engine
from handler.engines.files import SIDE_STEP


def stage(network: torch.nn.Module, architecture: Architecture, spec: InputSpec, folder: Path) -> ModelCard:
    """Writes the weights of ``network`` into ``folder``, as a release has them; their card. BatchNorm's statistics are
    taken from the pictures of the parity proof: with those of a new network activations grow from layer to layer until
    rounding alone moves the result, which says nothing about a trained one."""
    _settle(network, ModelCard(MODEL_NAME, "0", FileRecord("", "", 0), architecture, spec))
    state = {
        key: tensor.half().contiguous()
        for key, tensor in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    save_file(state, folder / "weights.safetensors")
    return ModelCard(MODEL_NAME, "0", FileRecord.of(folder / "weights.safetensors"), architecture, spec)


def _settle(network: torch.nn.Module, card: ModelCard) -> None:
    images = torch.from_numpy(np.concatenate(parity_inputs(card)[:8:2]))
    for layer in network.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = None  # the plain mean over the batches
    with torch.no_grad():
        network.train()(images)
    network.eval()


def check_answers(architecture: Architecture, reference: Engine, card: ModelCard) -> None:
    """Raises ``ValueError`` unless ``reference`` gives a logit a pixel, at the sizes that are compared and at the
    smallest, which the box around a small head may have."""
    smallest = parity_inputs(card)[0][..., :SIDE_STEP, :SIDE_STEP]
    for image in (*parity_inputs(card)[:2], smallest):
        try:
            found = reference.logits(image).shape
        except RuntimeError as error:
            raise ValueError(f"{architecture.label} cannot see {image.shape}: {str(error)[:200]}") from error
        several = () if architecture.classes == 1 else (architecture.classes,)
        if found != (1, *several, *image.shape[2:]):
            raise ValueError(
                f"{architecture.label} answers {found} for {image.shape}: expected a logit a pixel and class"
            )


def rehearse(network: torch.nn.Module, architecture: Architecture, spec: InputSpec) -> list[str]:
    """Packages ``network`` with the random weights that it has, for the first engine that takes it: seconds. What there
    is to tell, a line each. Raises ``ValueError`` where not even PyTorch can serve it."""
    with tempfile.TemporaryDirectory(prefix="brainseg-rehearsal-") as name:
        folder = Path(name) / "release"
        folder.mkdir()
        card = stage(network, architecture, spec, folder)
        reference = open_engine(REFERENCE, card, folder, torch.get_num_threads())
        check_answers(architecture, reference, card)
        tried = Candidates()
        for engine in filter(installed, CONVERTERS):
            tried.add(engine, card, folder, reference)
            if tried.engines:
                break
    lines = [f"{engine} cannot serve this network: {reason}" for engine, reason in tried.left_out.items()]
    chosen = next(iter(tried.engines), REFERENCE)
    return [*lines, f"rehearsed: {architecture.label} can be packaged; {chosen} would serve it"]
