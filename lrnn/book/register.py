"""The register of the sources' claims: what each says, in our words, and where."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Claim(NamedTuple):
    """A claim of a source."""

    id: str
    source: str  # P, F or T
    place: str
    text: str


@cache
def register() -> dict[str, Claim]:
    """All claims by id, in the order of the ledger."""
    table = tomllib.loads(files("lrnn.book").joinpath("claims.toml").read_text(encoding="utf-8"))
    claims = {}
    for source, entries in table["claims"].items():
        for id, (place, text) in entries.items():
            claims[id] = Claim(id, source, f"{table['sources'][source]}, {place}", text)
    return claims


def claim_of(row_id: str) -> Claim:
    """The claim that a row id such as "P14" or "P14.b" belongs to.

    Raises : ValueError if the register has no such claim
    """
    id = row_id.partition(".")[0]
    if id not in register():
        raise ValueError(f"id = {row_id!r}: no such claim; known are {', '.join(register())}")
    return register()[id]
