"""The chapters of the book: what each must have, and their quick preset run for real."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from small_book import command

from lrnn.book.chapter import Book

BOOK = Book(Path(__file__).parents[2])
CHAPTERS = BOOK.chapters
EACH = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)


def figures(chapter):
    """The `mystnb` metadata of the cells that make figures, and what `frames` is told instead."""
    made = [cell.metadata.get("mystnb", {}) for cell in chapter.notebook.cells]
    return [metadata for metadata in made if "figure" in metadata] + in_frames(chapter.code)


def in_frames(code):
    """Name, caption and alternative text of each call of `frames`, laid out as in metadata."""
    calls = [
        {keyword.arg: words(keyword.value) for keyword in node.keywords}
        for cell in code
        for node in ast.walk(ast.parse(cell))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "frames"
    ]
    return [
        {
            "figure": {"name": call["name"], "caption": call["caption"]},
            "image": {"alt": call["alt"]},
        }
        for call in calls
    ]


def words(expression):
    """The words that stand in a string or an f-string."""
    parts = [node.value for node in ast.walk(expression) if isinstance(node, ast.Constant)]
    return "".join(part for part in parts if isinstance(part, str))


@EACH
def test_parameters_and_presets_are_well_formed(chapter):
    assert "seed" in chapter.parameters
    assert {"quick", "deep"} <= set(chapter.presets)
    for preset in chapter.presets:
        assert chapter.changed(chapter.values({}, preset))


def test_figures_in_frames_are_seen():
    cell = """frames(all_of(them), name="fig-a", caption=f"{n} of " "us", alt="we", label="n")"""
    told = {"figure": {"name": "fig-a", "caption": " of us"}, "image": {"alt": "we"}}
    assert in_frames(["x = 1", cell]) == [told]


@EACH
def test_figures_have_a_name_a_caption_and_an_alternative_text(chapter):
    assert figures(chapter)
    for metadata in figures(chapter):
        assert metadata["figure"]["name"].startswith("fig-")
        assert len(metadata["figure"]["caption"]) > 40
        assert len(metadata["image"]["alt"]) > 40
    labels = [metadata["figure"]["name"] for metadata in figures(chapter)]
    assert len(set(labels)) == len(labels)


@EACH
def test_claims_name_figures_that_exist(chapter):
    labels = {metadata["figure"]["name"] for metadata in figures(chapter)}
    named = re.findall(r'figure="(fig-[\w-]+)"', "\n".join(chapter.code))
    assert named
    assert set(named) <= labels


@EACH
def test_exercises_are_answered_and_checked(chapter):
    prose = "\n".join(c.source for c in chapter.notebook.cells if c.cell_type == "markdown")
    assert len(re.findall(r"^:::\{dropdown\} ", prose, re.MULTILINE)) >= 3
    checks = [c for c in chapter.notebook.cells if "remove-cell" in c.metadata.get("tags", [])]
    assert sum("assert" in cell.source for cell in checks) >= 3


def test_glued_names_are_unique_in_the_book():
    text = {chapter.stem: chapter.path.read_text(encoding="utf-8") for chapter in CHAPTERS}
    used = Counter(
        name for source in text.values() for name in set(re.findall(r"\{glue:text\}`(\w+)", source))
    )
    assert used
    assert [name for name, chapters in used.items() if chapters > 1] == []


@EACH
def test_quick_preset_runs_to_its_end(chapter, tmp_path):
    done = command(
        BOOK.root, "lrnn", "run", chapter.stem, "--preset", "quick", "-o", tmp_path / "q"
    )
    assert done.returncode == 0, done.stdout + done.stderr
