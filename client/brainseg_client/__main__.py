"""``python -m brainseg_client``, which ``scripts/predict`` and the installed command call."""

import sys

from brainseg_client.command import main

sys.exit(main(sys.argv[1:]))
