"""The Python behind the commands of ``scripts/``: one thin module each."""
