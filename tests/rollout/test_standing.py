"""What the front door says of a version: live, candidate or served, and since when."""

from __future__ import annotations

from pathlib import Path

from rollout.promote import promoted
from rollout.state import DEPLOYMENT_FILE, Deployed, Deployment, Phase, write_deployment
from web.health.fleet import Fleet, Version
from web.health.standing import _BEFORE_PROMOTION, Standing, Standings

SINCE = "2026-01-01T00:00:00+00:00"


def deployed(version: str) -> Deployed:
    return Deployed(version, f"brainseg-{version}.mar", f"sha256:{version}", SINCE)


def test_without_a_file_the_default_is_live_and_nobody_knows_since_when(tmp_path: Path) -> None:
    for standings in (Standings(None), Standings(tmp_path / DEPLOYMENT_FILE)):
        assert standings.of("1.0", "1.0") == Standing("live", None)
        assert standings.of("2.0", "1.0") == Standing("served", None)


def test_roles_follow_the_file(tmp_path: Path) -> None:
    standings = Standings(tmp_path / DEPLOYMENT_FILE)
    deployment = Deployment(deployed("1.0"))
    write_deployment(tmp_path, deployment.in_phase(Phase.GATING, deployed("2.0"), "ann"))
    assert standings.of("1.0", "1.0") == Standing("live", SINCE)
    assert standings.candidate("2.0", "1.0")
    write_deployment(tmp_path, promoted(deployment, deployed("2.0")).in_phase(Phase.WATCHING, deployed("2.0"), "ann"))
    assert standings.of("2.0", "2.0").role == "live"
    assert standings.of("1.0", "2.0").role == "served"
    # Between writing it down and doing it, what TorchServe answers with is what is live.
    assert standings.of("1.0", "1.0").role == "live"
    assert standings.of("2.0", "1.0").role == "served"
    (tmp_path / DEPLOYMENT_FILE).write_text("{")
    assert standings.of("2.0", "2.0").role == "live"


def test_the_gauge_has_a_row_for_each_version(tmp_path: Path) -> None:
    write_deployment(tmp_path, Deployment(deployed("1.0")))
    fleet = Fleet((Version("1.0", 1, (), 0), Version("2.0", 1, (), 0)), "1.0")
    assert Standings(tmp_path / DEPLOYMENT_FILE).samples(fleet) == [
        ({"model_version": "1.0", "role": "live"}, 1767225600.0),
        ({"model_version": "2.0", "role": "served"}, 0.0),
    ]
    assert Standings(None).samples(None) == []


def test_the_front_door_and_the_command_mean_the_same_phases() -> None:
    assert {phase.value for phase in Phase if phase.before_promotion} == set(_BEFORE_PROMOTION)
