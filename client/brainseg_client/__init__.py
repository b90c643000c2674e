"""The Python client of the front door, and the command for files and folders. Imports nothing of ours."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from brainseg_client.api import Client
    from brainseg_client.errors import (
        AccessError,
        BrainSegError,
        BusyError,
        NotFoundError,
        ScanError,
        ServerError,
        UnreachableError,
    )
    from brainseg_client.later import JobState, RemoteJob
    from brainseg_client.reasons import Explanation
    from brainseg_client.results import Model, Notice, Scan, Segmentation, Slice, Version
    from brainseg_client.types import Classification
    from brainseg_client.windows import in_windows

__all__ = [
    "AccessError",
    "BrainSegError",
    "BusyError",
    "Classification",
    "Client",
    "Explanation",
    "JobState",
    "Model",
    "NotFoundError",
    "Notice",
    "RemoteJob",
    "Scan",
    "ScanError",
    "Segmentation",
    "ServerError",
    "Slice",
    "UnreachableError",
    "Version",
    "in_windows",
]
_MODULES = ("api", "errors", "later", "reasons", "results", "types", "windows")


def __getattr__(name: str) -> object:
    """Imported when it is asked for: the installed command comes by here before its path is safe."""
    if name in __all__:
        from importlib import import_module

        for module in _MODULES:
            found = vars(import_module(f"{__name__}.{module}"))
            if getattr(found.get(name), "__module__", None) == f"{__name__}.{module}":
                globals()[name] = found[name]
                return found[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
