"""Ports for what is started here: none is given twice, nor could a connection take it first."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from serving import ports

ROOT = Path(__file__).parents[2]
NAME = "from serving.ports import free_port; print(*(free_port() for _ in range(120)), flush=True); input()"


def test_two_processes_name_different_ports() -> None:
    others = [
        subprocess.Popen(
            [sys.executable, "-c", NAME], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    named = [ports.free_port() for _ in range(120)]
    for other in others:
        assert other.stdout is not None
        named += map(int, other.stdout.readline().split())  # both live: what they hold is theirs
    for other in others:
        other.communicate("\n")
        assert other.returncode == 0
    assert len(set(named)) == 360


def test_they_lie_below_those_of_connections() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if first < 32768:
        pytest.skip("connections of this machine begin elsewhere than Linux lets them")
    assert ports.LOWEST <= ports.free_port() < ports.HIGHEST <= first


def test_one_in_use_is_passed_over() -> None:
    begin = ports.free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", begin + 1))
        taken.listen()
        assert not ports.port_is_free(begin + 1)
        assert ports.free_port() != begin + 1
