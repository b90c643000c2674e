"""``scripts/package``: archives from release folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from archive.convert import ParityError
from archive.inputs import why_stale
from archive.mar import package
from archive.store import MODEL_STORE, archive_path, release_folder, released_versions
from archive.verify import check_number
from handler.card import read_card
from handler.files import sha256_of

console = Console(soft_wrap=True, highlight=False)


def main(
    versions: Annotated[
        list[str] | None, typer.Argument(help="Versions to package; all that are released if none.")
    ] = None,
    model_store: Annotated[
        Path, typer.Option(help="Holds the release folders; archives are written here.")
    ] = MODEL_STORE,
    as_version: Annotated[
        str | None,
        typer.Option("--as", help="Package the one version named under this number: the same weights, today's code."),
    ] = None,
    if_stale: Annotated[bool, typer.Option("--if-stale", help="Leave archives alone that are up to date.")] = False,
) -> None:
    """Make model_store/brainseg-<version>.mar from the released weights. Equal inputs give equal bytes."""
    if as_version is not None and len(versions or ()) != 1:
        given = len(versions or ())
        console.print(
            f"[red]not packaged:[/red] --as is for one version, such as 2.0 --as 2.0.1; {escape(str(given))} were given"
        )
        raise typer.Exit(1)
    for version in versions or released_versions(model_store):
        release, archive = release_folder(version, model_store), archive_path(as_version or version, model_store)
        if not (release / "model-card.json").exists():
            console.print(f"[red]no release {escape(version)}[/red]: expected {escape(str(release))}/model-card.json")
            raise typer.Exit(1)
        if if_stale:
            if not (reason := why_stale(archive, release)):
                console.print(f"{escape(archive.name)} is up to date")
                continue
            console.print(f"{escape(archive.name)} is made anew: {escape(reason)}")
        try:
            check_number(as_version or version)
            if (named := read_card(release).version) != version:
                raise ValueError(
                    f"{release} holds version {named}, as its model card says; rename the folder to brainseg-{named}, "
                    f"or release it as {version}"
                )
            with console.status(f"packaging {escape(version)}"):
                package(release, archive, as_version or "")
        except (ValueError, RuntimeError, ParityError, OSError) as error:
            console.print(f"[red]not packaged:[/red] {escape(str(error))}")
            raise typer.Exit(1) from error
        console.print(escape(f"{archive} {sha256_of(archive)}"))


if __name__ == "__main__":
    typer.run(main)
