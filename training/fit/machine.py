"""What a training run may use of the machine it is on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from settings.mapping import SettingsError

ACCELERATORS = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class Machine:
    """What the run may use. `threads` are per process (None: torch's choice); `workers` load data (0: the trainer).

    Raises SettingsError for an accelerator or precision that is not known, and for CUDA devices that are not there.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: str = "auto"
    threads: int | None = None
    workers: int = 0
    progress: bool = True

    def __post_init__(self) -> None:
        for option, given, known in (
            ("accelerator", self.accelerator, ACCELERATORS),
            ("precision", self.precision, PRECISIONS),
        ):
            if given not in known:
                raise SettingsError(f"--{option} {given}: expected one of {', '.join(known)}")
        there = torch.cuda.device_count()
        if self.devices > there and (self.accelerator == "cuda" or (self.accelerator == "auto" and there)):
            raise SettingsError(
                f"--accelerator {self.accelerator} --devices {self.devices}: torch sees {there} CUDA devices here; "
                "give fewer, or --accelerator cpu"
            )

    def lightning_precision(self) -> str:
        """bf16 on CUDA that has it (16 elsewhere on CUDA), full on CPU, unless `precision` says otherwise."""
        if self.precision != "auto":
            return self.precision
        if self.accelerator == "cpu" or not torch.cuda.is_available():
            return "32-true"
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
