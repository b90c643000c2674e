"""``scripts/package``: archives from release folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from archive.convert import AUTO, CHOICES, told
from archive.engines.convert import ConversionError
from archive.engines.parity import ParityError
from archive.errors import UntrustedError
from archive.inputs import why_stale
from archive.mar import package, sign_archive
from archive.store import MODEL_NAME, MODEL_STORE, MODELS, archive_path, release_folder, released_versions
from archive.verify import check_number, read_release
from handler.card import ModelCard, read_card
from handler.files import sha256_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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
    sign: Annotated[
        Path | None, typer.Option(help="Sign with the private key in this file; scripts/keys makes one.")
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(CHOICES)}; auto measures on this machine what is installed and takes the fastest."
        ),
    ] = AUTO,
    model: Annotated[str, typer.Option(help=f"{' or '.join(MODELS)}.")] = MODEL_NAME,
) -> None:
    """Make model_store/brainseg-<version>.mar (or that of another --model) from the released weights. Equal inputs give
    equal bytes, where the engine is named."""
    if as_version is not None and len(versions or ()) != 1:
        given = len(versions or ())
        console.print(
            f"[red]not packaged:[/red] --as is for one version, such as 2.0 --as 2.0.1; {escape(str(given))} were given"
        )
        raise typer.Exit(1)
    if model not in MODELS:
        console.print(f"[red]not packaged:[/red] --model {escape(model)}: expected {escape(' or '.join(MODELS))}")
        raise typer.Exit(1)
    key = _key(sign)
    chosen = versions or released_versions(model_store, model)
    if not chosen:
        console.print(
            f"[red]not packaged:[/red] no release of {escape(model)} in {escape(str(model_store))}: expected a folder "
            f"such as {escape(model)}-1.0 with its model card; for others give --model-store"
        )
        raise typer.Exit(1)
    for version in chosen:
        release = release_folder(version, model_store, model)
        archive = archive_path(as_version or version, model_store, model)
        _check_released(release, version, model_store, model)
        if if_stale and _is_fresh(release, archive, key):
            continue
        for line in told(_packaged(release, archive, version, as_version or "", key, engine)):
            console.print(escape(f"{version}: {line}"))
        console.print(escape(f"{archive} {sha256_of(archive)}"))


def _check_released(release: Path, version: str, store: Path, model: str) -> None:
    if not (release / "model-card.json").exists():
        there = ", ".join(released_versions(store, model)) or "none"
        console.print(
            f"[red]no release {escape(version)}[/red]: expected {escape(str(release))}/model-card.json. "
            f"Releases in {escape(str(store))}: {escape(there)}; for others give --model-store"
        )
        raise typer.Exit(1)


def _is_fresh(release: Path, archive: Path, key: Ed25519PrivateKey | None) -> bool:
    """Whether ``archive`` needs not be made anew, and says why; one that need not is signed where ``key`` has not."""
    if reason := why_stale(archive, release):
        console.print(f"{escape(archive.name)} is made anew: {escape(reason)}")
        return False
    resigned = key is not None and _sign_again(archive, key)
    console.print(f"{escape(archive.name)} is up to date{', and signed now' if resigned else ''}")
    return True


def _packaged(
    release: Path, archive: Path, version: str, as_version: str, key: Ed25519PrivateKey | None, engine: str
) -> ModelCard:
    try:
        check_number(as_version or version)
        if (named := read_card(release).version) != version:
            raise ValueError(
                f"{release} holds version {named}, as its model card says; rename the folder to end in -{named}, "
                f"or release it as {version}"
            )
        with console.status(f"packaging {escape(version)}"):
            return package(release, archive, as_version, key, engine)
    except (ValueError, RuntimeError, ParityError, ConversionError, OSError) as error:
        console.print(f"[red]not packaged:[/red] {escape(str(error))}")
        raise typer.Exit(1) from error


def _key(path: Path | None) -> Ed25519PrivateKey | None:
    if path is None:
        return None
    from signing.keys import KeyFileError, load_private

    try:
        return load_private(path)
    except (KeyFileError, OSError) as error:
        console.print(f"[red]not packaged:[/red] --sign: {escape(str(error))}")
        raise typer.Exit(1) from error


def _sign_again(archive: Path, key: Ed25519PrivateKey) -> bool:
    """Signs an archive that is up to date unless ``key`` has signed it; whether it did."""
    from archive.signature import check_signature
    from signing.keys import key_id

    try:
        check_signature(read_release(archive), {key_id(key.public_key()): key.public_key()}, archive.name)
    except UntrustedError:
        sign_archive(archive, key)
        return True
    return False


if __name__ == "__main__":
    typer.run(main)
