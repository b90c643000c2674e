"""``python -m web.contract.table``: writes the table of problems into the README, from the code's own list."""

from __future__ import annotations

from pathlib import Path

from web.contract.fields import HTTP_PROBLEMS, PROBLEMS

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- problems -->\n", "<!-- /problems -->\n"
# What the handler never says, so that TorchServe's own port does not either.
FRONT_DOOR = frozenset(
    (*HTTP_PROBLEMS, "unauthorized", "model_not_found", "rate_limited", "worker_lost", "queue_full", "not_ready")
)


def problem_table() -> str:
    """In Markdown, by status."""
    known = sorted((PROBLEMS | HTTP_PROBLEMS).items(), key=lambda item: item[1][0])
    rows = [
        f"| `{code}` | {status} | {title} | {'front door' if code in FRONT_DOOR else ''} |"
        for code, (status, title) in known
    ]
    return "\n".join(["| code | status | it means | only the |", "|---|---|---|---|", *rows]) + "\n"


def replaced(page: str) -> str:
    """``page`` with the table between its marks. Raises ``ValueError`` where it has none."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page has no {BEGIN.strip()} with {END.strip()} behind it")
    return f"{before}{BEGIN}{problem_table()}{END}{after}"


if __name__ == "__main__":
    README.write_text(replaced(README.read_text(encoding="utf-8")), encoding="utf-8")
