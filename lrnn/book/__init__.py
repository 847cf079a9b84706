"""What a chapter calls: check its parameters, glue numbers into its prose, record claims.

The machinery that executes and builds chapters lives in the modules beside this one and is not
imported here, so that an executed notebook re-runs anywhere `lrnn` is installed, without
papermill, jupytext or Sphinx.
"""

from lrnn.book.parameters import check_parameters
from lrnn.book.records import claim, glue

__all__ = ["check_parameters", "claim", "glue"]
