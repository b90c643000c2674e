"""``scripts/dicom-node``: takes studies by C-STORE, has them segmented, sends SEG and reports on."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from archive.store import STATE
from brainseg_client.api import Client
from brainseg_client.keys import find_key
from brainseg_client.wire import DEFAULT_URL
from pacs.destination import Destination
from pacs.node import Node
from pacs.spool import Spool
from pacs.work import Work

SPOOL = STATE / "dicom"
NOTICE = "Research use only. Not a medical device."


def main(
    destination: Annotated[str, typer.Option(help="Where SEG and reports go: TITLE@HOST:PORT.")],
    caller: Annotated[list[str], typer.Option(help="An AE title that may send; once for each.")],
    title: Annotated[str, typer.Option(help="The AE title of this node.")] = "BRAINSEG",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens; 0: a free one.")] = 11112,
    host: Annotated[str, typer.Option(help="The address it listens on.")] = "127.0.0.1",
    spool: Annotated[Path, typer.Option(help="Folder of the queue; holds studies until they are sent.")] = SPOOL,
    url: Annotated[str, typer.Option(help="The front door.", envvar="BRAINSEG_URL")] = DEFAULT_URL,
    api_key_file: Annotated[Path | None, typer.Option(exists=True, help="Else BRAINSEG_API_KEY.")] = None,
    settle: Annotated[float, typer.Option(min=0, help="A study is complete after so many seconds without news.")] = 30,
) -> None:
    """Run a DICOM node until Ctrl-C. Research use only: not a medical device."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("pynetdicom").setLevel(logging.ERROR)  # it tells of associations, objects and their patients
    stop = threading.Event()

    def tell(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, tell)
    try:
        where = Destination.parse(destination, title)
        door = Client(url, find_key(api_key_file, lambda line: print(line, file=sys.stderr)), patience=30.0)
        queue = Spool(spool)
        node = Node(queue, title, caller, host, port)
    except (ValueError, OSError) as error:
        print(f"dicom-node: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"BrainSeg listens as {title} on {host}:{node.port}, sends to {destination}. {NOTICE}", flush=True)
    try:
        Work(queue, door, where, settle).run(stop)
    finally:
        node.close()
        queue.close()


if __name__ == "__main__":
    typer.run(main)
