"""``brainseg verify``: is this passport genuine, is it of this scan, and does the same come out again?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from brainseg_client.api import Client
from brainseg_client.errors import BrainSegError
from brainseg_client.keys import find_key
from brainseg_client.names import shown
from brainseg_client.passport import (
    Passport,
    PassportError,
    check_scan,
    differences,
    load_keys,
    read_file,
    read_passport,
)
from brainseg_client.segment import DONE, NO_SERVER, SOME_FAILED, USAGE, say
from brainseg_client.volumes import Source, read_source

USUAL = "brainseg"  # the model that answers where none is named; servers of before know no other


@dataclass(frozen=True)
class VerifyOptions:
    """``scans``: files by part, ``file`` for one by itself. ``server``: None to check signature and scan alone;
    ``keys``: a public key or a folder of them, None for those that the server lists."""

    passport: Path
    scans: Mapping[str, Path]
    server: str | None
    keys: Path | None
    patience: float
    api_key_file: Path | None


def _scans(options: VerifyOptions) -> dict[str, bytes]:
    return {part: read_source(path) for part, path in options.scans.items()}


def _replayed(client: Client, passport: Passport, scans: Mapping[str, Source], keys: Mapping[str, str]) -> Passport:
    """Raises :class:`PassportError` or :class:`BrainSegError`."""
    name = passport.content["model"].get("name", USUAL)
    named = None if name == USUAL else str(name)
    scan = scans["file"] if set(scans) == {"file"} else scans
    return read_passport(client.replay(scan, passport.version, passport.settings, named), keys)


def verify(options: VerifyOptions) -> int:
    """Runs the command; the exit status."""
    try:
        client = None
        if options.server:
            client = Client(options.server, find_key(options.api_key_file, say), options.patience)
        if client is None and options.keys is None:
            say("brainseg: give --keys (the public keys that you trust), --server, or both")
            return USAGE
        scans = _scans(options)
        listed = client.passport_keys() if client else {}
        keys = load_keys(options.keys) if options.keys else listed
        passport = read_passport(read_file(options.passport), keys)
        check_scan(passport, scans)
        print(f"signed by key {passport.key} at {passport.issued}; of this scan; version {shown(passport.version)}")
        if options.keys is None:
            say("the key is the server's own word; --keys names those that you trust")
        if client is None:
            return DONE
        # What the server says now is signed by what it signs with now.
        after = _replayed(client, passport, dict(scans), {**listed, **keys})
    except PassportError as error:
        say(f"brainseg: {shown(str(error))}")
        return SOME_FAILED
    except BrainSegError as error:
        say(f"brainseg: {shown(str(error))}")
        return NO_SERVER
    except (OSError, ValueError) as error:
        say(f"brainseg: {shown(str(error))}")
        return USAGE
    if found := differences(passport, after):
        say(f"brainseg: replayed, and it is not the same: {shown('; '.join(found))}")
        return SOME_FAILED
    same = "no mask then, none now" if passport.mask is None else "the same mask, pixel for pixel"
    print(f"replayed: {same}, and the same figures")
    return DONE
