"""What of a client the questions beside segmentation are asked through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TypeVar

import requests

from brainseg_client.volumes import Source

T = TypeVar("T")


class Asking(ABC):
    """:class:`brainseg_client.api.Client` has both."""

    @abstractmethod
    def _segment(
        self,
        scan: Source | Mapping[str, Source],
        fields: dict[str, str],
        version: str | None,
        accept: str,
        method: str = "POST",
        path: str = "",
        model: str | None = None,
    ) -> requests.Response: ...

    @staticmethod
    @abstractmethod
    def _read(read: Callable[[], T]) -> T: ...
