"""scripts/supply: what serving runs on, under which licences, with which known faults."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from archive.audit import AuditError, audit
from archive.licences import not_allowed
from archive.pins import serving_pins
from archive.shipped import Shipped, shipped

NOT_AUDITED = 3
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True, soft_wrap=True, highlight=False)


@app.command()
def main(
    listed: Annotated[bool, typer.Option("--list", help="Print every part: name, version, licence.")] = False,
    pins: Annotated[bool, typer.Option("--pins", help="Print name==version of what the image installs.")] = False,
    faults: Annotated[
        bool, typer.Option("--audit", help="Ask the package index for known faults (pip-audit).")
    ] = False,
) -> None:
    """Checks what serving runs on: licences, and with --audit known faults. Status 1: a licence is not allowed or a
    fault is known; 3: the index could not be asked about some."""
    if pins:
        typer.echo("\n".join(serving_pins()))
        return
    parts = shipped()
    if listed:
        for part in parts:
            typer.echo(f"{part.name} {part.version} {part.licence or '-'}")
    refused = [f"{part.name} {part.version}: {why}" for part in parts if (why := not_allowed(part))]
    _told(f"{len(parts)} parts, {len(refused)} whose licence is not allowed", refused)
    audited = _audited(parts) if faults else 0
    raise typer.Exit(1 if refused else audited)


def _audited(parts: tuple[Shipped, ...]) -> int:
    try:
        found = audit(parts)
    except AuditError as error:
        _told("not audited", [str(error)])
        return NOT_AUDITED
    _told(f"{found.audited} packages audited, {len(found.faults)} known faults", found.faults)
    _told(f"{len(found.shielded)} known faults that are shielded", found.shielded)
    _told(f"{len(found.skipped)} packages that the index was not asked about", found.skipped)
    if found.faults:
        return 1
    return NOT_AUDITED if found.skipped else 0


def _told(title: str, lines: list[str] | tuple[str, ...]) -> None:
    console.print(escape(title))
    for line in lines:
        console.print(f"  {escape(line)}")


if __name__ == "__main__":
    app()
