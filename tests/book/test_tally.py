"""The line that tells how far a sweep is."""

from io import StringIO

from rich.console import Console

from lrnn.book.store import Outcome
from lrnn.book.tally import Tally, watch


def test_runs_are_counted_and_the_time_that_is_left_is_estimated():
    tally = Tally(10, workers=4)
    assert tally.__rich__() == "0 done, 4 running, 0 failed, 6 waiting"
    for state in ("done", "failed", "done"):
        tally.note(Outcome(state))
    tally.start -= 60  # a minute for three runs leaves 7 * 20 s
    assert tally.__rich__() == "2 done, 4 running, 1 failed, 3 waiting; 2 min 20 s left"
    for _ in range(5):
        tally.note(Outcome("done"))
    assert tally.__rich__().startswith("7 done, 2 running, 1 failed, 0 waiting; 0 min 15 s")


def test_endings_are_passed_on_under_the_dashboards_address():
    console = Console(file=StringIO())
    endings = [("a", Outcome("done")), ("b", Outcome("failed", "why"))]
    assert list(watch(2, 1, "http://localhost:1", iter(endings), console)) == endings
    assert "dashboard: http://localhost:1" in console.file.getvalue()
