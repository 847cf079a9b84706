"""One figure in several frames, through which the reader scrubs.

Everything is drawn when the cell runs. The page carries the frames and a few lines of plain
JavaScript, so that the figure answers on the site, in JupyterLab and in the page of a run, without
a kernel. Without JavaScript it is the frame that it begins with, and on paper the one that is seen.
`lrnn.book.sphinx_ext` numbers it on the site, and `lrnn.book.run` writes its frames into files.
"""

import base64
import html
import io
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIMIT = 2_500_000  # bytes; a page must stay under 5 MB, with all else that is on it
MIME = {"svg": "image/svg+xml", "png": "image/png"}
PIXELS = 96  # CSS pixels in an inch
# Each output carries its script: nothing else reaches JupyterLab as well as the site. It belongs to
# the figure around it, so that any number on a page, or one shown twice, are strangers. It stands
# in this file and not in one of its own because the key of a run follows Python files.
SCRIPT = """{
  const figure = document.currentScript.closest("figure");
  const images = [...figure.querySelectorAll("img")];
  const controls = figure.querySelector(".frames-controls");
  const [back, forward] = controls.querySelectorAll("button");
  const slider = controls.querySelector("input");
  const text = figure.querySelector("output");
  const show = (index) => {
    if (!images[index]) return;
    images.forEach((image, i) => { image.hidden = i !== index; });
    slider.value = index;
    text.textContent = images[index].dataset.frame;
    slider.setAttribute("aria-valuetext", text.textContent);
    // Not `disabled`: that would take the focus from whoever arrives at an end.
    back.setAttribute("aria-disabled", index === 0);
    forward.setAttribute("aria-disabled", index === images.length - 1);
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  back.addEventListener("click", () => show(Number(slider.value) - 1));
  forward.addEventListener("click", () => show(Number(slider.value) + 1));
  controls.style.display = "flex";
  show(images.findIndex((image) => !image.hidden));
}"""

COMPONENT = re.compile(
    r'<figure class="frames" id="([\w-]+)"[^>]*>(.*)'
    r"<figcaption><p>([^<]*)</p></figcaption></figure>",
    re.DOTALL,
)
IMAGE = re.compile(r'<img src="data:([^;]+);base64,([^"]+)"')


class Component(NamedTuple):
    """A figure in frames, as a page shows it.

    name : its anchor, "fig-..."
    inside : HTML of the frames and what moves them; the script acts on the `figure` around it
    caption : plain text
    """

    name: str
    inside: str
    caption: str

    @classmethod
    def from_html(cls, page: str) -> "Component | None":
        """Read back what `frames` displays; None if the page is anything else."""
        if not (found := COMPONENT.fullmatch(page)):
            return None
        name, inside, caption = found.groups()
        return cls(name, inside, html.unescape(caption))

    def to_html(self) -> str:
        """The figure, whole."""
        return (
            f'<figure class="frames" id="{self.name}" style="margin-inline: 0">{self.inside}'
            f"<figcaption><p>{html.escape(self.caption)}</p></figcaption></figure>"
        )

    @property
    def images(self) -> list[tuple[str, bytes]]:
        """Format ("svg" or "png") and content of each frame, in order."""
        formats = {mime: format for format, mime in MIME.items()}
        return [
            (formats[mime], base64.b64decode(data)) for mime, data in IMAGE.findall(self.inside)
        ]


def frames(
    figures: "Iterable[tuple[str, Figure]]",
    *,
    name: str,
    caption: str,
    alt: str,
    label: str,
    start: int = -1,
    format: str = "svg",
) -> None:
    """Show figures of one size as the frames of one figure, with a slider to go through them.

    Each is closed when it is drawn: a generator never has more than one open.

    figures : pairs (text, figure), at least two; the text, such as "12 neurons", stands below it
    name : the figure's anchor on the page and its name in a claim, "fig-..."
    caption : what it shows, plain text
    alt : description common to all frames, to which each adds its text
    label : what the slider changes, such as "Number of neurons"
    start : the frame that is seen first, or alone without JavaScript; counted as in a list
    format : "svg"; or "png", twice as dense as a plain screen, for thousands of lines or points
    Raises : ValueError naming the argument, its value and what was expected
    """
    from IPython.display import display

    if not re.fullmatch(r"fig-[\w-]+", name):
        raise ValueError(f"name = {name!r}: expected 'fig-' with letters, digits and dashes")
    for argument, words in {"caption": caption, "alt": alt, "label": label}.items():
        if not words.strip():
            raise ValueError(f"{name}: {argument} = {words!r}: expected words")
    if format not in MIME:
        raise ValueError(f"{name}: format = {format!r}: expected one of {', '.join(MIME)}")
    texts, images, width, height = _draw(figures, name, format)
    if not -len(texts) <= start < len(texts):
        raise ValueError(f"{name}: start = {start}: expected one of {len(texts)} frames")
    first = range(len(texts))[start]

    def tag(index: int) -> str:
        text = html.escape(texts[index])
        return (
            f'<img src="data:{MIME[format]};base64,{base64.b64encode(images[index]).decode()}"'
            f' alt="{html.escape(alt)} {text}" data-frame="{text}"'
            f' width="{width}" height="{height}" style="max-width: 100%; height: auto"'
            f"{'' if index == first else ' hidden'}>"
        )

    tags = "".join(map(tag, range(len(texts))))
    inside = (
        f'<div class="frames-box" style="max-width: {width}px">{tags}'
        f'<output style="display: block; text-align: center">{html.escape(texts[first])}</output>'
        '<div class="frames-controls" style="display: none; align-items: center; gap: 0.5rem">'
        '<button type="button" aria-label="Previous frame">‹</button>'
        f'<input type="range" min="0" max="{len(texts) - 1}" value="{first}" autocomplete="off"'
        f' aria-label="{html.escape(label)}" style="flex: 1; min-width: 0">'
        '<button type="button" aria-label="Next frame">›</button></div></div>'
        f"<script>{SCRIPT}</script>"
    )
    page = Component(name, inside, caption).to_html()
    if (size := len(page.encode())) > LIMIT:
        raise ValueError(
            f"{name}: {len(texts)} frames in {format} are {size / 1e6:.1f} MB: expected at "
            f"most {LIMIT / 1e6:.1f} MB; draw fewer frames or points, or take format='png'"
        )
    plain = f"{name}: {len(texts)} frames, {texts[0]} to {texts[-1]}. {caption}"
    display({"text/plain": plain, "text/html": page}, raw=True)


def _draw(
    figures: "Iterable[tuple[str, Figure]]", name: str, format: str
) -> tuple[list[str], list[bytes], int, int]:
    """Texts, images, and the common width and height in CSS pixels."""
    from matplotlib import pyplot, rc_context

    texts, images, sizes = [], [], set()
    metadata = {"Date": None} if format == "svg" else {"Software": None}
    for text, figure in figures:
        buffer = io.BytesIO()
        # A tight box differs from frame to frame, and the page would jump.
        with rc_context({"savefig.bbox": None, "svg.hashsalt": "lrnn"}):
            figure.savefig(buffer, format=format, dpi=2 * PIXELS, metadata=metadata)
        pyplot.close(figure)
        texts.append(text)
        images.append(buffer.getvalue())
        sizes.add(tuple(round(PIXELS * inches) for inches in figure.get_size_inches()))
    if len(texts) < 2:
        raise ValueError(f"{name}: figures = {texts}: expected two frames or more")
    if not all(text.strip() for text in texts):
        raise ValueError(f"{name}: figures = {texts}: expected a text for each frame")
    if len(sizes) > 1:
        raise ValueError(f"{name}: sizes of figures {sorted(sizes)} px: expected one size for all")
    [(width, height)] = sizes
    return texts, images, width, height
