"""Two processes never train into one folder."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.conftest import ROOT, call
from training.fit.alone import InUseError, alone_in

pytestmark = pytest.mark.training

HOLD = """
import sys, time
from pathlib import Path
from training.fit.alone import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_in_use_is_refused_until_its_process_ends(phantoms: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(run)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        second = call("train", "--run", run, "--recipe", "smoke", "--data", phantoms, "--accelerator", "cpu")
        assert second.code == 1
        assert f"process {holder.pid} is training into" in second.error
        assert "Traceback" not in second.error
        assert [path.name for path in run.iterdir()] == [".train.lock"]  # nothing written into the other's run
        with pytest.raises(InUseError, match=str(holder.pid)), alone_in(run):
            pytest.fail("both hold the folder")
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=120)
        with alone_in(run):
            pass
    finally:
        holder.kill()
        holder.wait(timeout=120)
        if holder.stdout is not None:
            holder.stdout.close()


def test_a_folder_is_free_after_a_run_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wrong"), alone_in(tmp_path / "new"):
        raise ValueError("wrong")
    with alone_in(tmp_path / "new"):
        pass
