"""What a command writes into a page that people write: between two marks, and nowhere else."""

from __future__ import annotations


def put_between(page: str, made: str, begin: str, end: str) -> str:
    """`page` with `made` between the marks `begin` and `end`, at its end if it has none yet."""
    if begin not in page or end not in page:
        return f"{page.rstrip()}\n\n{begin}\n{made}{end}\n"
    head, rest = page.split(begin, 1)
    return f"{head}{begin}\n{made}{end}{rest.split(end, 1)[1]}"
