"""The installed command ``brainseg``: starts over without what the environment adds to Python's path."""

import os
import sys

SAFE = ["-E", "-P"]  # no PYTHONPATH nor the like, nor the folder where one stands


def main() -> None:
    """Never returns. The package's own place stays on the path where that is the user's packages."""
    import site  # loaded at every start; beyond it nothing is imported before the path is safe

    theirs = site.getusersitepackages()
    own = [] if __file__.startswith(theirs) else ["-s"]
    command = [sys.executable, *SAFE, *own, "-m", "brainseg_client", *sys.argv[1:]]
    if os.name == "nt":  # where exec would leave the shell before the command has ended
        import subprocess

        sys.exit(subprocess.call(command))
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted
