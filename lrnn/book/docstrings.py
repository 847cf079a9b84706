"""The house style of docstrings, as reStructuredText for the API page.

A docstring here is prose, indented formulas or examples, and blocks of `name : meaning` lines. It
is written for whoever reads the code: the characters that mean something to Sphinx mean nothing in
it, except `code` in backticks.
"""

import re

ENTRY = re.compile(r"(?P<names>\S[^`:]{0,40}?) : (?P<meaning>.*)")
CODE = re.compile(r"(``[^`]+``|`[^`]+`)")


def to_rst(lines: list[str]) -> list[str]:
    """Rewrite a docstring: entries become definitions, indented blocks literal, the rest escaped.

    lines : the docstring without its common indentation
    Returns : lines of reStructuredText
    """
    return [line for block in _blocks(lines) for line in [*_block(block), ""]]


def _blocks(lines: list[str]) -> list[list[str]]:
    blocks: list[list[str]] = [[]]
    for line in lines:
        # A blank line ends a block, and so does the first entry after prose.
        starts_entries = ENTRY.match(line) and not any(map(ENTRY.match, blocks[-1]))
        if not line.strip() or (starts_entries and blocks[-1]):
            blocks.append([])
        if line.strip():
            blocks[-1].append(line)
    return [block for block in blocks if block]


def _block(block: list[str]) -> list[str]:
    if block[0].startswith(" "):
        return ["::", "", *(f"    {line}" for line in block)]
    if ENTRY.match(block[0]):
        return _definitions(block)
    return [_escape(line) for line in block]


def _definitions(block: list[str]) -> list[str]:
    out: list[str] = []
    for line in block:
        entry = ENTRY.match(line)
        if entry is None:
            out.append(f"    {_escape(line.strip())}")
            continue
        names, meaning = entry["names"], entry["meaning"]
        term = f"*{names}*" if names in ("Returns", "Raises") else f"``{names}``"
        out += [term, f"    {_escape(meaning)}"]
    return out


def _escape(line: str) -> str:
    # Odd pieces are code spans, which keep their characters.
    pieces = CODE.split(line)
    pieces[1::2] = [f"``{piece.strip('`')}``" for piece in pieces[1::2]]
    pieces[0::2] = [re.sub(r"([\\*_|`])", r"\\\1", piece) for piece in pieces[0::2]]
    # A line that begins with "N." is prose about N, not the item of a list.
    return re.sub(r"^(\w\.)", r"\\\1", "".join(pieces))


def setup(app) -> dict[str, bool]:
    """Sphinx calls this: rewrite every docstring, and leave out those that namedtuple makes up."""

    def rewrite(app, what, name, obj, options, lines):
        lines[:] = to_rst(lines)

    def skip(app, what, name, obj, skipped, options):
        return True if (obj.__doc__ or "").startswith("Alias for field number") else None

    app.setup_extension("sphinx.ext.autodoc")
    # Docstrings give shapes and units; annotations would repeat half of that, at length.
    app.config.autodoc_typehints = "none"
    app.config.autodoc_preserve_defaults = True
    app.connect("autodoc-process-docstring", rewrite)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
