"""Figures of the book: arrays and an `ax` in, the `ax` out; one style, set once."""

import matplotlib.pyplot as plt
from cycler import cycler

# Okabe & Ito's palette, safe for the common forms of colour blindness; each name has one role.
COLORS = {
    "target": "#000000",
    "network": "#D55E00",
    "other": "#0072B2",
    "third": "#009E73",
    "fourth": "#CC79A7",
    "fifth": "#E69F00",
    "muted": "#7F7F7F",
}
# Colour never carries a meaning alone: cycle line styles and markers with it.
LINE_STYLES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]
MARKERS = ["o", "s", "^", "D", "v"]
WIDTH = 5.4  # inches; at the width of a phone a 10 pt label is then 9 pixels high


def use_style():
    """Set the book's matplotlib style and vector output; call once, at the top of a chapter."""
    names = ["other", "network", "third", "fourth", "fifth"]
    plt.rcParams.update(
        {
            "figure.figsize": (WIDTH, 0.5 * WIDTH),
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "white",
            "savefig.bbox": "tight",
            "font.size": 10,
            "axes.titlesize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=[COLORS[name] for name in names])
            + cycler(linestyle=LINE_STYLES),
            "lines.linewidth": 1.6,
            "legend.frameon": False,
            "legend.fontsize": 9,
            "image.cmap": "viridis",
            "svg.hashsalt": "lrnn",  # the same figure is the same file
        }
    )
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:  # a plain script has no inline backend
        return
    set_matplotlib_formats("svg", metadata={"Date": None})
