"""Elements that nothing depends on. Apart from what reads the others, which loads pydicom."""

from __future__ import annotations

from typing import Any


def as_written(dataset: Any, keyword: str) -> str:
    """As the source has it, to the letter: a PACS finds the patient by it. Empty where it is missing or unreadable."""
    try:
        found = dataset.get(keyword)
    except Exception:  # pydicom converts when asked, and a broken value raises whatever its conversion does
        return ""
    if found is None:
        return ""
    return found if isinstance(found, str) else "\\".join(map(str, found)) if isinstance(found, list) else str(found)
