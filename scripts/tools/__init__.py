"""The Python behind the commands of ``scripts/``; each module is one command, or what several share."""
