"""A figure in frames: what its output holds, what it refuses, and its number on the site."""

import base64
import io
import re

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from displayed import displayed
from matplotlib import pyplot as plt
from matplotlib import rc_context
from matplotlib.image import imread
from small_book import command, edit

from lrnn.book import frames
from lrnn.book.frames import Component
from lrnn.plotting import use_style

WORDS = {
    "name": "fig-neurons",
    "caption": "Neurons are added & the error falls.",
    "alt": 'Error against number, "log".',
    "label": "Number of neurons",
}


def drawn(counts=(1, 2, 30), size=(4, 2)):
    """Frames whose axis labels differ in width, as a tight box would show."""
    for count in counts:
        figure, ax = plt.subplots(figsize=size)
        ax.plot([0, 10.0**count])
        yield f"{count} neurons", figure


def data_of(figures, **changes):
    """The data of the one output that frames display."""
    with rc_context():
        use_style()
        [output] = displayed(lambda: frames(figures, **(WORDS | changes)))
    return output.data


def figure_of(figures, **changes):
    return BeautifulSoup(data_of(figures, **changes)["text/html"], "html.parser").figure


def image_of(tag):
    return base64.b64decode(tag["src"].partition("base64,")[2])


def test_one_output_is_a_described_figure_of_all_frames():
    data = data_of(drawn())
    assert data["text/plain"].startswith("fig-neurons: 3 frames, 1 neurons to 30 neurons")
    figure = BeautifulSoup(data["text/html"], "html.parser").figure
    assert figure["id"] == WORDS["name"]
    assert figure.figcaption.text == WORDS["caption"]
    alts = [image["alt"] for image in figure.find_all("img")]
    assert alts == [f"{WORDS['alt']} {count} neurons" for count in (1, 2, 30)]
    assert (figure.input["type"], figure.input["max"]) == ("range", "2")
    assert figure.input["aria-label"] == WORDS["label"]
    assert [b["aria-label"] for b in figure.find_all("button")] == ["Previous frame", "Next frame"]
    assert plt.get_fignums() == []


@pytest.mark.parametrize(("start", "shown"), [(-1, 2), (0, 0), (1, 1)])
def test_the_frame_it_starts_with_is_there_without_javascript(start, shown):
    figure = figure_of(drawn(), start=start)
    visible = [i for i, image in enumerate(figure.find_all("img")) if not image.has_attr("hidden")]
    assert visible == [shown] == [int(figure.input["value"])]
    assert figure.output.text == figure.find_all("img")[shown]["data-frame"]
    assert "display: none" in figure.find(class_="frames-controls")["style"]


@pytest.mark.parametrize("format", ["svg", "png"])
def test_the_same_frames_are_the_same_bytes(format):
    assert data_of(drawn(), format=format) == data_of(drawn(), format=format)


def test_frames_have_one_size_though_the_style_cuts_figures_tight():
    images = figure_of(drawn()).find_all("img")
    sizes = {re.search(rb'width="(\S+)pt" height="(\S+)pt"', image_of(i)).groups() for i in images}
    assert sizes == {(b"288", b"144")}  # 4 x 2 inches of 72 pt
    assert {(image["width"], image["height"]) for image in images} == {("384", "192")}


def test_png_has_two_pixels_for_one_of_the_page():
    image = figure_of(drawn(), format="png").img
    assert imread(io.BytesIO(image_of(image))).shape[:2] == (384, 768)
    assert (image["width"], image["height"]) == ("384", "192")


def test_texts_stand_as_they_are_written():
    text = """<b>"κ" & 'v' < 1</b>"""
    figure = figure_of([(text, fig) for _, fig in drawn()], caption=text, label=text)
    assert figure.find_all("b") == []
    assert figure.output.text == figure.img["data-frame"] == figure.figcaption.text == text
    assert figure.input["aria-label"] == text
    assert figure.img["alt"].endswith(text)


def noise():
    for count in range(2):
        figure, ax = plt.subplots(figsize=(5, 4))
        ax.imshow(np.random.default_rng(count).random((800, 1000)))
        yield str(count), figure


@pytest.mark.parametrize(
    ("figures", "change", "message"),
    [
        (drawn, {"name": "neurons"}, "name = 'neurons'"),
        (drawn, {"name": 'fig-a" b'}, "name = "),
        (drawn, {"caption": " "}, "caption = ' '"),
        (drawn, {"alt": ""}, "alt = ''"),
        (drawn, {"label": ""}, "label = ''"),
        (drawn, {"start": 3}, "start = 3: expected one of 3 frames"),
        (drawn, {"start": -4}, "start = -4"),
        (drawn, {"format": "gif"}, "format = 'gif': expected one of svg, png"),
        (lambda: [], {}, "expected two frames"),
        (lambda: drawn([1]), {}, "expected two frames"),
        (lambda: [*drawn(), *drawn(size=(4, 3))], {}, r"\(384, 192\), \(384, 288\)"),
        (lambda: [("", figure) for _, figure in drawn()], {}, "a text for each frame"),
        (noise, {"format": "png"}, r"2 frames in png are \S+ MB: expected at most 2.5 MB"),
    ],
)
def test_what_a_page_cannot_show_is_refused(figures, change, message):
    with pytest.raises(ValueError, match=message):
        data_of(figures(), **change)


@pytest.mark.parametrize("format", ["svg", "png"])
def test_what_is_displayed_can_be_read_back(format):
    text = """<b>"κ" & 'v' < 1</b>"""
    page = data_of(drawn(), caption=text, format=format)["text/html"]
    component = Component.from_html(page)
    assert (component.name, component.caption) == (WORDS["name"], text)
    assert component.to_html() == page
    tags = BeautifulSoup(page, "html.parser").find_all("img")
    assert component.images == [(format, image_of(tag)) for tag in tags]
    for other in ("", "<p>one</p>", page[:-1], f"<pre>{page}</pre>"):
        assert Component.from_html(other) is None


def page_of(root, name):
    path = root / f"_build/html/chapters/{name}.html"
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").article


def test_the_site_numbers_it_as_it_numbers_others(built_once):
    article = page_of(built_once, "01_first")
    figures = article.find_all("figure")
    captions = [" ".join(figure.figcaption.text.strip(" #\n").split()) for figure in figures]
    assert captions == ["Fig. 1 A line.", "Fig. 2 No line & then two."]
    assert [figure["id"] for figure in figures] == ["fig-line", "fig-Grown_up"]
    assert len(figures[1].find_all("img")) == 3
    ids = [tag["id"] for tag in article.find_all(id=True)]
    assert len(ids) == len(set(ids))


def test_the_text_refers_to_it_by_number_and_by_caption_from_any_page(built_once):
    links = page_of(built_once, "01_first").select('p a.reference[href="#fig-Grown_up"]')
    assert [link.text for link in links] == ["Fig. 2", "No line & then two."]
    [link] = page_of(built_once, "02_second").select('a[href="01_first.html#fig-Grown_up"]')
    assert link.text == "Fig. 2"


def test_the_download_has_it_whole_and_without_a_number(built_once):
    notebook = nbformat.read(built_once / "_build/html/_sources/chapters/01_first.ipynb", 4)
    [output] = notebook.cells[-1].outputs
    figure = BeautifulSoup(output.data["text/html"], "html.parser").figure
    assert figure["id"] == "fig-Grown_up"
    assert figure.figcaption.text == "No line & then two."


def test_a_name_that_another_figure_has_stops_the_build(built):
    edit(built / "chapters/01_first.md", 'name="fig-Grown_up"', 'name="fig-line"')
    done = command(built, "lrnn", "build")
    assert done.returncode == 1
    assert 'Duplicate explicit target name: "fig-line"' in done.stderr
