"""The API page's reading of our docstrings, against docutils itself."""

import docutils.core
from docutils import nodes

from lrnn.book.docstrings import to_rst

DOCSTRING = """Fit n so that |n|^2 stays small; m_ and *args are letters, `J[post, pre]` is code.

Solves

    phi(m kappa + bias) n ~ kappa + tau * rhs(kappa)

rhs, kappa : (P, R), points, one a row
    and a second line with tau_
.npy or .csv : a table
Returns : (N, R), n_hat
Raises : ValueError if tau <= 0

N. Prose again.
Raises : KeyError, at once after prose
"""


def parsed():
    text = "\n".join(to_rst(DOCSTRING.splitlines()))
    # halt_level 2: any warning of docutils is an error here.
    return docutils.core.publish_doctree(text, settings_overrides={"halt_level": 2})


def test_prose_keeps_every_character():
    prose = [p.astext() for p in parsed().findall(nodes.paragraph) if p.parent is p.document]
    assert prose == [DOCSTRING.splitlines()[0].replace("`", ""), "Solves", "N. Prose again."]


def test_entries_become_definitions():
    items = list(parsed().findall(nodes.definition_list_item))
    assert [item[0].astext() for item in items] == [
        "rhs, kappa",
        ".npy or .csv",
        "Returns",
        "Raises",
        "Raises",
    ]
    assert items[0][1].astext() == "(P, R), points, one a row\nand a second line with tau_"


def test_indented_block_is_literal():
    (block,) = parsed().findall(nodes.literal_block)
    assert block.astext().strip() == "phi(m kappa + bias) n ~ kappa + tau * rhs(kappa)"
