"""``scripts/serve``: serves until it is told to stop."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer
from rich.markup import escape

from archive.store import MODEL_STORE, STATE
from rollout.signers import chosen, write_signers
from scripts.commands.options import PREFIX, from_file
from serving import torchserve
from serving.door import Door
from serving.instance import StateError, end_left_behind, owned
from serving.running import Running, StartError
from serving.serve import LOOPBACK, check_ports, console, run, until_told
from serving.torchserve import Ports
from web.access.who import StartError as UnguardedError
from web.access.who import check_start
from web.jobs.entrance import seconds_of

LogLevel: TypeAlias = Literal["info", "warning", "error"]
LogFormat: TypeAlias = Literal["text", "json"]
Profile: TypeAlias = Literal["latency", "throughput"]
app = typer.Typer(add_completion=False, context_settings={"auto_envvar_prefix": PREFIX})


def _port(port: int | None) -> int | None:
    if port is not None and not 1 <= port <= 65535:
        raise typer.BadParameter(f"port {port}; expected 1 to 65535")
    return port


def _span(text: str) -> str:
    try:
        seconds_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return text


@app.command()
def main(
    inference_port: Annotated[int, typer.Option(callback=_port, help="TorchServe's predictions.")] = 8080,
    management_port: Annotated[int, typer.Option(callback=_port, help="TorchServe's management.")] = 8081,
    metrics_port: Annotated[int, typer.Option(callback=_port, help="TorchServe's metrics.")] = 8082,
    port: Annotated[int, typer.Option(callback=_port, help="The front door: page and API.")] = 8000,
    grpc_port: Annotated[
        int | None,
        typer.Option(callback=_port, help="The front door: Open Inference Protocol over gRPC; none: off."),
    ] = None,
    host: Annotated[str, typer.Option(help="Where the front door listens; beyond loopback it needs keys.")] = LOOPBACK,
    api_keys: Annotated[
        Path | None, typer.Option(help="File of API keys: a line `name key` for each client.", exists=True)
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="A page elsewhere that may call the API, such as https://viewer.example.")
    ] = None,
    otlp: Annotated[
        str | None, typer.Option(help="Traces to a collector, such as http://127.0.0.1:4318; none: off.")
    ] = None,
    jobs: Annotated[
        Path | None,
        typer.Option(help="Folder of jobs (extra `jobs`); none: no jobs are taken.", file_okay=False),
    ] = None,
    jobs_keep: Annotated[
        str, typer.Option(callback=_span, help="How long results are kept, such as 1h; 0: until they are fetched.")
    ] = "0",
    webhook_host: Annotated[
        list[str] | None, typer.Option(help="A host that may be told the end of a job; none: nobody is told.")
    ] = None,
    drain_seconds: Annotated[float, typer.Option(help="For answers in work at the end.", min=0)] = 30.0,
    log_format: Annotated[LogFormat, typer.Option(help="Of web.log, a line a request.")] = "text",
    log_level: Annotated[LogLevel, typer.Option(help="What is less is left out of the front door's log.")] = "info",
    log_stdout: Annotated[
        bool, typer.Option("--log-stdout", help="The front door's lines to standard output, not into web.log.")
    ] = False,
    profile: Annotated[Profile | None, typer.Option(help="Taken as before, and without effect.", hidden=True)] = None,
    require_signed: Annotated[
        bool, typer.Option("--require-signed", help="Serve and deploy only archives that a trusted key signed.")
    ] = False,
    trusted_keys: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the public keys (*.pub), else MODEL_STORE/trusted-keys; implies --require-signed.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    state: Annotated[Path, typer.Option(help="Token file, logs, temporary files.")] = STATE,
    model_store: Annotated[Path, typer.Option(help="Released weights and archives.")] = MODEL_STORE,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML with any of these options, as port = 8000.", exists=True, is_eager=True, callback=from_file
        ),
    ] = None,
) -> None:
    """Serve BrainSeg until Ctrl-C: makes the archives that are missing, starts everything, says when it is ready.

    Each option is taken from its flag, else from the environment (BRAINSEG_PORT for --port), else from --config."""
    ports = Ports(inference_port, management_port, metrics_port)
    with until_told() as told, contextlib.ExitStack() as keep:
        running: Running | None = None
        try:
            check_start(host, api_keys)
            keep.enter_context(owned(state))
            if count := end_left_behind(state):
                console.print(escape(f"a server was killed here; ended {count} processes that it left behind"))
            check_ports(
                {
                    "--inference-port": inference_port,
                    "--management-port": management_port,
                    "--metrics-port": metrics_port,
                    "--port": port,
                    **({} if grpc_port is None else {"--grpc-port": grpc_port}),
                }
            )
            signers = chosen(require_signed, trusted_keys, model_store)
            write_signers(state, signers)
            running = Running(torchserve.make_places(state, model_store), drain_seconds)
            door = Door(
                host,
                port,
                api_keys=api_keys,
                origins=tuple(allow_origin or ()),
                drain_seconds=drain_seconds,
                log_format=log_format,
                log_level=log_level,
                log_stdout=log_stdout,
                grpc_port=grpc_port,
                otlp=otlp,
                jobs=jobs,
                jobs_keep=jobs_keep,
                webhook_hosts=tuple(webhook_host or ()),
            )
            if profile:
                console.print("[yellow]warning:[/] --profile has no effect: one way to serve is best at both")
            run(running, ports, door, told, signers)
        except UnguardedError as error:
            console.print(f"[red]BrainSeg did not start:[/red] {escape(str(error))}")
            sys.exit(2)  # as for any other option that cannot be meant: a service manager need not try again
        except (StartError, StateError, RuntimeError, OSError) as error:
            said = "stopped" if isinstance(error, RuntimeError) else "did not start"
            console.print(f"[red]BrainSeg {escape(said)}:[/red] {escape(str(error))}")
            sys.exit(1)
        finally:
            if running:
                running.stop()
        console.print("stopped")


if __name__ == "__main__":
    app()
