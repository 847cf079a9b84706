"""The `lrnn` command."""

import sys
from pathlib import Path

import click
import yaml

from lrnn.book.chapter import Book, BookError, Chapter
from lrnn.book.parameters import Parameter, ParameterError, check_names, parse_text

# Commands import what they need when they run, so that a mistyped parameter is refused at once.


class Group(click.Group):
    """Turns errors made for the user into one line and an exit status of 2."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except (BookError, ParameterError, OSError) as error:
            click.echo(f"lrnn: {error}", err=True)
            sys.exit(2)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lrnn")
def main():
    """Build the book on low-rank recurrent networks, run its chapters, read its ledger."""


def _book() -> Book:
    return Book.around(Path.cwd())


@main.command()
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Chapters executed at a time.")
def build(jobs):
    """Execute what has changed and render the site."""
    from rich.console import Console

    from lrnn.book.build import build as build_book
    from lrnn.book.progress import watch

    console = Console(soft_wrap=True)
    book = _book()
    built = build_book(
        book, watch=lambda names, events: watch(names, events, console), workers=jobs
    )
    for error in built.errors:
        click.echo(error, err=True)
    click.echo(f"ledger: {built.ledger.summary}")
    if built.site:
        click.echo(f"site: {built.site}")
    sys.exit(1 if built.errors else 0)


def _list_parameters(ctx, chapter: Chapter) -> None:
    click.echo(f"{chapter.stem}: parameters\n")
    for parameter in chapter.parameters.values():
        allowed = f" {parameter.allowed}" if parameter.allowed else ""
        item = f"[{parameter.item.__name__}]" if parameter.item else ""
        kind = parameter.kind.__name__ + item
        click.echo(f"  {parameter.name}: {kind} = {parameter.default!r}")
        click.echo(f"      {parameter.meaning}{allowed}")
    for name, values in chapter.presets.items():
        shown = ", ".join(f"{key} = {value!r}" for key, value in values.items())
        click.echo(f"\n  --preset {name}: {shown}")
    ctx.exit()


@main.command(add_help_option=False)
@click.argument("chapter", required=False)
@click.option("-p", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a parameter.")
@click.option(
    "-f", "file", type=click.Path(exists=True, dir_okay=False), help="YAML file of parameters."
)
@click.option("--preset", help="A named set of values, such as quick or deep.")
@click.option("-o", "folder", type=click.Path(path_type=Path), help="Where to leave the run.")
@click.option("--html", is_flag=True, help="Also make a page of the run.")
@click.option(
    "-h", "--help", "wants_help", is_flag=True, help="Show this, or CHAPTER's parameters."
)
@click.pass_context
def run(ctx, chapter, given, file, preset, folder, html, wants_help):
    """Run CHAPTER (stem, number or path) once, with parameters of your own.

    Leaves the executed notebook, its figures and results.json in runs/CHAPTER/KEY.
    """
    if chapter is None:
        click.echo(ctx.get_help())
        ctx.exit(0 if wants_help else 2)
    book = _book()
    chosen = book.chapter(chapter)
    if wants_help:
        _list_parameters(ctx, chosen)
    values = chosen.values(_given(chosen, given, file), preset)

    from rich.console import Console

    from lrnn.book.progress import watch
    from lrnn.book.render import render_run
    from lrnn.book.run import run as run_chapter

    console = Console(soft_wrap=True)
    done = run_chapter(
        book,
        chosen,
        values,
        watch=lambda names, events: watch(names, events, console),
        folder=folder,
    )
    if done.error:
        click.echo(done.error, err=True)
        sys.exit(1)
    for row in done.results["claims"]:
        if not row["as_expected"]:
            click.echo(
                f"{row['id']}: {row['value']!r} lies outside {row['expect']}, "
                "expected at the published parameters"
            )
    click.echo(f"{'run' if done.fresh else 'already there'}: {done.folder}")
    if html:
        click.echo(f"page: {render_run(book, done.folder)}")


def _given(chapter: Chapter, pairs: tuple[tuple[str, str], ...], file: str | None) -> dict:
    """Values from a YAML file, overridden by those typed, as the chapter understands them."""
    values = _read(file) | dict(pairs)
    return {name: _meant(chapter.parameters.get(name), value) for name, value in values.items()}


def _read(file: str | None) -> dict:
    """The names and values in a YAML file; none without a file."""
    if file is None:
        return {}
    try:
        values = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ParameterError(f"{file} is not YAML: {error}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ParameterError(f"{file}: expected lines of `name: value`")
    return values


def _meant(parameter: Parameter | None, value):
    """A value as the parameter has it: text is read, a file is found from here."""
    if parameter is None or not isinstance(value, str):
        return value
    return _found(parameter, parse_text(parameter, value))


def _found(parameter: Parameter, value):
    """A value; of a file that is found from here, its whole path."""
    is_free_text = parameter.kind is str and parameter.allowed is None
    if is_free_text and value and Path(value).exists():
        return str(Path(value).resolve())  # the chapter runs in a folder of its own
    return value


class WithDefault(click.Group):
    """A group of which one command, `run`, need not be named."""

    def parse_args(self, ctx, args):
        return super().parse_args(ctx, args if {*args[:1]} & {*self.commands} else ["run", *args])


@main.group(cls=WithDefault)
def sweep():
    """Run a chapter many times, side by side; `lrnn sweep plot` draws what came out."""


@sweep.command("run", epilog="`lrnn sweep plot FOLDER` draws a sweep's results.")
@click.argument("chapter")
@click.option(
    "-p",
    "given",
    nargs=2,
    multiple=True,
    metavar="NAME VALUES",
    help="Values of a parameter: 0.3,0.5 or, for whole numbers, 0:20 (up to 19) or 0:20:5, or, "
    "for others, 0.1:0.9:5 (five of them) or, with --random, 0.1:0.9.",
)
@click.option(
    "-f", "file", type=click.Path(exists=True, dir_okay=False), help="YAML file of values."
)
@click.option("--grid", "how", flag_value="grid", default="grid", help="All combinations (usual).")
@click.option("--zip", "how", flag_value="zip", help="First values together, then second ones.")
@click.option("--random", "draws", type=click.IntRange(min=1), help="So many random combinations.")
@click.option("--draw-seed", type=click.IntRange(min=0), default=0, help="Seed of --random.")
@click.option("--preset", help="A named set of values for the other parameters.")
@click.option("-o", "folder", type=click.Path(path_type=Path), help="Where to leave the runs.")
@click.option("--retry-failed", is_flag=True, help="Repeat runs that have failed before.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds that a run may take."
)
@click.option("--workers", type=click.IntRange(min=1), help="Runs at a time.  [the cores]")
@click.option("--scheduler", metavar="ADDRESS", help="A dask cluster that is up: tcp://...")
@click.option("--slurm", "system", flag_value="slurm", help="Ask SLURM for workers.")
@click.option("--kubernetes", "system", flag_value="kubernetes", help="Ask Kubernetes for workers.")
def sweep_run(
    chapter,
    given,
    file,
    how,
    draws,
    draw_seed,
    preset,
    folder,
    retry_failed,
    timeout,
    workers,
    scheduler,
    system,
):
    """Run CHAPTER (stem, number or path) for many values of its parameters, side by side.

    Runs that are there already are not repeated. Leaves one folder a run, results.parquet and
    results.csv in runs/CHAPTER. Exits with 1 if a run has failed.
    """
    from numpy.random import default_rng

    from lrnn.book.grid import combine

    book = _book()
    chosen = book.chapter(chapter)
    rows = combine(
        chosen.parameters,
        _choices(chosen, given, file),
        how="random" if draws else how,
        draws=draws or 0,
        rng=default_rng(draw_seed),
    )
    chosen.values(rows[0], preset)  # refuses a preset before dask is imported

    from rich.console import Console

    from lrnn.book.cluster import Place
    from lrnn.book.sweeps import make_all, plan
    from lrnn.book.table import show, summary, table, write_tables
    from lrnn.book.tally import watch

    console = Console(soft_wrap=True)
    swept = plan(book, chosen, rows, preset=preset, folder=folder, limit=timeout)
    outcomes = make_all(
        swept,
        Place(workers, scheduler, system),
        retry_failed=retry_failed,
        watch=lambda *state: watch(*state, console),
    )
    frame = table(swept.tasks, outcomes)
    write_tables(frame, swept.folder)
    console.print(show(summary(frame)))
    failed = [task for task in swept.tasks if outcomes[task.key].error]
    for task in failed:
        values = ", ".join(f"{name} = {value!r}" for name, value in task.job.changed.items())
        click.echo(f"{task.key} failed ({values}): {outcomes[task.key].error}", err=True)
    click.echo(f"{len(swept.tasks) - len(failed)} of {len(swept.tasks)} runs: {swept.folder}")
    sys.exit(1 if failed else 0)


@sweep.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("-x", help="The parameter on the horizontal axis.  [the first that varies]")
@click.option("-y", help="The number on the vertical axis.  [the first glued value]")
@click.option("-o", "output", type=click.Path(path_type=Path), help="The figure: svg, png or pdf.")
def plot(folder, x, y, output):
    """Draw the results of the sweep in FOLDER: a number against a parameter.

    Points are medians, bars hold the middle 90 % of the runs that differ in their seeds; each
    combination of the other parameters has a line of its own.
    """
    from lrnn.book.curves import write_curves
    from lrnn.book.table import read_table

    click.echo(write_curves(read_table(folder), output or folder / "results.svg", x=x, y=y))


def _choices(chapter: Chapter, pairs: tuple[tuple[str, str], ...], file: str | None) -> dict:
    """The values of each parameter, from a YAML file or, before it, as typed."""
    from lrnn.book.grid import check_choice, parse_choice

    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ParameterError(f"{name} is given twice: expected its values in one go")
    given = _read(file) | dict(pairs)
    check_names(chapter.parameters, given)
    choices = {}
    for name, value in given.items():
        parameter = chapter.parameters[name]
        parse = parse_choice if isinstance(value, str) else check_choice
        choices[name] = parse(parameter, value)
        if parameter.kind is str:
            choices[name] = [_found(parameter, item) for item in choices[name]]
    return choices


@main.command()
@click.argument("chapter", required=False)
@click.option("--all", "everything", is_flag=True, help="Every chapter.")
@click.option("-o", "folder", type=click.Path(path_type=Path), default="notebooks")
def notebook(chapter, everything, folder):
    """Write CHAPTER, or --all, as plain Jupyter notebooks."""
    from lrnn.book.notebooks import write_notebook

    if bool(chapter) == everything:
        raise click.UsageError("name a chapter, or say --all")
    book = _book()
    for chosen in book.chapters if everything else [book.chapter(chapter)]:
        click.echo(write_notebook(chosen, folder))


@main.command()
def claims():
    """Print the ledger of the last build."""
    import json

    from rich.console import Console

    from lrnn.book.ledger import Ledger

    path = _book().output / "claims.json"
    if not path.is_file():
        raise BookError("no ledger yet: run `lrnn build` first")
    ledger = Ledger.from_json(json.loads(path.read_text(encoding="utf-8")))
    Console().print(ledger.table())
    click.echo(ledger.summary)
