"""One training of a classifier in a folder: begun, or gone on with after its last whole epoch, and its held-out part
judged."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from handler.classifier import Classifier
from handler.files import sha256_of, write_atomic
from settings.mapping import SettingsError
from training.data.split import Fold
from training.fit.alone import alone_in
from training.fit.convolution import weights_gradient_by_products
from training.fit.depthwise import depthwise_in_full_precision
from training.fit.diverged import TrainingDivergedError
from training.fit.log import OneLog
from training.fit.origin import RunError
from training.fit.schedule import factor
from training.fit.start import HUBS, encoder_state, name_of, weights_file
from training.types.features import Features, Pictures, bfloat16, digest_of, frozen_features, tensor_of_grids
from training.types.recipe import TypesRecipe
from training.types.slices import TypeSlice, find_slices, read_grids
from training.types.split import By, drawn, parts_of
from training.types.stages import cut

RUN_FILE, LAST, WEIGHTS, PREDICTIONS = "run.json", "last.pt", "weights.safetensors", "predictions.csv"
LOG_FILE = "metrics.csv"


@dataclass(frozen=True)
class TypesRun:
    """What is trained on what: `fold` is left out and judged (None: all is trained on, none judged), dealt by
    patient or slice; the encoder starts from `start`, a safetensors file, "imagenet" or "none"; `cache`: a folder for
    what frozen stages make."""

    recipe: TypesRecipe
    data: Path
    fold: Fold | None = None
    by: By = "patient"
    start: str = "none"
    cache: Path | None = None

    def described(self) -> dict[str, object]:
        """What is written beside the weights; no paths of this machine."""
        started = None if self.start in HUBS else weights_file(self.start)
        return {
            "recipe": asdict(self.recipe),
            "fold": None if self.fold is None else [self.fold.which, self.fold.parts],
            "by": self.by,
            "start": {"name": self.start}
            if started is None
            else {"name": name_of(started), "sha256": sha256_of(started)},
        }


def train_types(run: TypesRun, folder: Path, say: Callable[[str], None] = lambda _: None) -> Path:
    """Trains into `folder`, or goes on after its last whole epoch; writes the weights and, with a fold, what the
    network says of each slice that it was not trained on. Returns the folder.

    Raises RunError if the folder was begun with another run, SettingsError, DataError, StartWeightsError,
    TrainingDivergedError, InUseError."""
    with alone_in(folder):
        described = _described(run, folder)
        slices = find_slices(run.data, run.recipe.classes)
        kinds = [item.kind for item in slices]
        if missing := [kind for kind in run.recipe.classes if kind not in kinds]:
            raise SettingsError(f"no slice of {', '.join(missing)} in the data folder")
        held = _held(run, slices)
        network = _fresh(run)
        source = _source(run, network, slices, say)
        draws = [[index for index in drawn if index not in held] for drawn in _draws(run.recipe, slices)]
        # After all that may refuse: else the folder was taken for the next, right call.
        write_atomic(folder / RUN_FILE, described)
        _fit(run.recipe, network, source, draws, kinds, folder, say)
        if held:
            judged = [slices[index] for index in sorted(held)]
            logits = judge(network, run.recipe, run.data, judged)
            write_atomic(folder / PREDICTIONS, _table(judged, logits, run.recipe.classes).encode())
        _write_weights(network, folder / WEIGHTS)
    return folder


def _described(run: TypesRun, folder: Path) -> bytes:
    """What is written of `run`. Raises RunError where `folder` has another."""
    file, text = folder / RUN_FILE, json.dumps(run.described(), indent=1)
    if file.is_file() and file.read_text("utf-8") != text:
        raise RunError(
            f"{folder} was begun with another recipe, fold or start weights; resume with those or take a new folder"
        )
    return text.encode()


def _held(run: TypesRun, slices: Sequence[TypeSlice]) -> set[int]:
    if run.fold is None:
        return set()
    parts = parts_of(slices, run.fold.parts, run.recipe.seed, run.by)
    return {index for index, part in enumerate(parts) if part == run.fold.which - 1}


def _fresh(run: TypesRun) -> Classifier:
    torch.manual_seed(run.recipe.seed)
    network = Classifier(run.recipe.architecture, run.recipe.network.dropout)
    network.load_state_dict(encoder_state(network, run.start, run.recipe.network.encoder))
    network = network.to(memory_format=torch.channels_last)
    depthwise_in_full_precision(network)
    weights_gradient_by_products(network)
    return network


def _source(
    run: TypesRun, network: Classifier, slices: Sequence[TypeSlice], say: Callable[[str], None]
) -> Features | Pictures:
    recipe = run.recipe
    first, _ = cut(network, recipe.network.frozen)
    if not recipe.network.frozen:
        return Pictures(read_grids(run.data, slices, recipe.input), recipe)
    start = run.start if run.start in HUBS else sha256_of(weights_file(run.start))
    folder = run.cache or run.data
    file = folder / f"frozen-{digest_of(recipe, start, slices)}.npy"
    if not file.is_file():
        say(f"calculating what {recipe.network.frozen} frozen stages make of {len(slices)} slices")
    return frozen_features(
        first, recipe, _draws(recipe, slices), lambda: read_grids(run.data, slices, recipe.input), file
    )


def _draws(recipe: TypesRecipe, slices: Sequence[TypeSlice]) -> list[list[int]]:
    return [drawn(slices, recipe.per_patient, (recipe.seed, epoch)) for epoch in range(recipe.epochs)]


def _fit(
    recipe: TypesRecipe,
    network: Classifier,
    source: Features | Pictures,
    draws: Sequence[Sequence[int]],
    kinds: Sequence[str],
    folder: Path,
    say: Callable[[str], None],
) -> None:
    _, rest = cut(network, recipe.network.frozen)
    # No half batch at the end: batch statistics of one or two samples would upset BatchNorm.
    steps = [max(1, len(drawn) // recipe.batch) for drawn in draws]
    total = sum(steps)
    head = {id(parameter) for parameter in network.head.parameters()}
    learning = [parameter for parameter in rest.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in learning if id(p) not in head], "lr": recipe.rate * recipe.encoder_rate},
            {"params": [p for p in learning if id(p) in head], "lr": recipe.rate},
        ],
        weight_decay=recipe.decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: factor("onecycle", step, total, recipe.warm_up)
    )
    truth = torch.tensor([recipe.classes.index(kind) for kind in kinds])
    loss_of = torch.nn.CrossEntropyLoss(_weights(recipe, truth[draws[0]]), label_smoothing=recipe.loss.smoothing)
    done = _resume(folder, network, optimiser, schedule)
    log = OneLog(folder / LOG_FILE, sum(steps[:done]))
    for epoch in range(done, recipe.epochs):
        rest.train()
        order = np.random.default_rng((recipe.seed, epoch)).permutation(draws[epoch])
        torch.manual_seed(int(np.random.SeedSequence((recipe.seed, epoch)).generate_state(1)[0]))
        losses = []
        for step in range(steps[epoch]):
            chosen = order[step * recipe.batch : (step + 1) * recipe.batch].tolist()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16()):
                logits = rest(source.batch(epoch, chosen))
            loss = loss_of(logits.float(), truth[chosen])
            if not torch.isfinite(loss):
                raise TrainingDivergedError(f"loss is {loss.item()} in epoch {epoch}; lower the recipe's rate")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        log.log_metrics({"epoch": epoch, "train/loss": float(np.mean(losses))}, sum(steps[: epoch + 1]) - 1)
        log.save()
        _keep(folder, epoch + 1, network, optimiser, schedule)
        say(f"epoch {epoch + 1}/{recipe.epochs}: loss {np.mean(losses):.4f}")


def _weights(recipe: TypesRecipe, truth: Tensor) -> Tensor | None:
    if recipe.loss.weights == "none":
        return None
    counts = torch.bincount(truth, minlength=len(recipe.classes)).clamp(min=1)
    return len(truth) / (len(recipe.classes) * counts.float())


def _keep(
    folder: Path,
    epochs: int,
    network: Classifier,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
) -> None:
    buffer = io.BytesIO()
    state = {
        "epochs": epochs,
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": schedule.last_epoch,
    }
    torch.save(state, buffer)
    write_atomic(folder / LAST, buffer.getvalue())


def _resume(
    folder: Path,
    network: Classifier,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
) -> int:
    """Epochs done before; 0 for a folder just begun."""
    if not (folder / LAST).is_file():
        return 0
    state = torch.load(folder / LAST, map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.last_epoch = state["step"]
    epochs: int = state["epochs"]
    return epochs


def judge(network: Classifier, recipe: TypesRecipe, data: Path, slices: Sequence[TypeSlice]) -> np.ndarray:
    """Logits float32 (n, classes) of whole slices, unchanged, in float32: as they would be served."""
    network.eval()
    made = []
    with torch.inference_mode():
        for begin in range(0, len(slices), 32):
            grids = read_grids(data, slices[begin : begin + 32], recipe.input)
            made.append(network(tensor_of_grids(grids, recipe))[:, 0, 0].numpy())
    return np.concatenate(made)


def _table(slices: Sequence[TypeSlice], logits: np.ndarray, classes: Sequence[str]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["slice", "class", "patient", *(f"logit_{kind}" for kind in classes)])
    for item, row in zip(slices, logits, strict=True):
        writer.writerow([item.name, item.kind, item.patient or "", *(f"{value:.5f}" for value in row)])
    return buffer.getvalue()


def _write_weights(network: Classifier, path: Path) -> None:
    """Float32 and whole, as :func:`training.types.heat` and a release read them."""
    state = {k: v.contiguous() for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    part = path.with_name(f"{path.name}.part")
    save_file(state, part)
    part.replace(path)
