"""Before weeks of training: can a network of this architecture be packaged at all, and what would serve it?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from archive.convert import REFERENCE, Candidates
from archive.engines.convert import CONVERTERS
from archive.engines.parity import parity_inputs
from archive.store import MODEL_NAME
from handler.card import Architecture, FileRecord, InputSpec, ModelCard
from handler.engines import installed, open_engine


def rehearse(network: torch.nn.Module, architecture: Architecture, spec: InputSpec) -> list[str]:
    """Packages ``network`` as it is, with random weights, for the first engine that takes it: seconds. What there is to
    tell, a line each. Raises ``ValueError`` where not even PyTorch can serve it."""
    with tempfile.TemporaryDirectory(prefix="brainseg-rehearsal-") as name:
        folder = Path(name) / "release"
        folder.mkdir()
        state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
        save_file(state, folder / "weights.safetensors")
        weights = FileRecord.of(folder / "weights.safetensors")
        card = ModelCard(MODEL_NAME, "0", weights, architecture, spec)
        reference = open_engine(REFERENCE, card, folder, torch.get_num_threads())
        for image in parity_inputs(card)[:2]:
            found = reference.logits(image).shape
            if found != (1, *image.shape[2:]):
                raise ValueError(f"{architecture.label} answers {found} for {image.shape}: expected a logit a pixel")
        tried = Candidates()
        for engine in filter(installed, CONVERTERS):
            tried.add(engine, card, folder, reference)
            if tried.engines:
                break
    lines = [f"{engine} cannot serve this network: {reason}" for engine, reason in tried.left_out.items()]
    chosen = next(iter(tried.engines), REFERENCE)
    return [*lines, f"rehearsed: {architecture.label} can be packaged; {chosen} would serve it"]
