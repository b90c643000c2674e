"""Names of a few real cases that the default release has never seen: ``python -m tests.real_cases``."""

from __future__ import annotations

from archive.store import default_version, release_folder
from handler.card import read_card

COUNT = 6


def unseen_cases() -> list[str]:
    """All test and validation cases of the default release."""
    data = read_card(release_folder(default_version())).data
    return [*data["validation"], *data["test"]]


if __name__ == "__main__":
    # Spread over the list, so that several institutions are among them.
    cases = unseen_cases()
    print(*cases[:: max(1, len(cases) // COUNT)][:COUNT], sep="\n")
