"""What code displays, as a kernel would see it, outside a notebook."""

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output


def displayed(code):
    """The outputs that calling `code` displays; the session it takes is gone afterwards."""
    InteractiveShell.instance()
    try:
        with capture_output() as captured:
            code()
    finally:
        InteractiveShell.clear_instance()
    return captured.outputs
