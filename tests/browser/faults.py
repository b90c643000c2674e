"""What axe finds on a page."""

from __future__ import annotations

from playwright.sync_api import Page

GRAVE = ("serious", "critical")


def faults(page: Page, axe: str) -> list[str]:
    """Serious faults of accessibility, in words; ``axe``: the source of axe-core. Targets of a finger count too."""
    page.evaluate(axe)
    report = page.evaluate("async () => await axe.run({ rules: { 'target-size': { enabled: true } } })")
    return [
        f"{found['id']}: {found['nodes'][0]['html'][:160]} {found['nodes'][0]['failureSummary'][:200]}"
        for found in report["violations"]
        if found["impact"] in GRAVE
    ]
