"""What is sentiment worth? One page, and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines import config
from pipelines.cli.context import AsOfOption, as_of_time, line_of, open_warehouse
from pipelines.cli.output import JsonOption, err, out, show
from pipelines.contracts.line import load_lines
from pipelines.errors import ConfigError, StoreUnavailable

if TYPE_CHECKING:
    from pipelines.store import Warehouse
    from pipelines.training.worth.study import Absent

DEFAULT = Path("sentiment-report.html")


def register(app: typer.Typer) -> None:
    app.command("sentiment-report")(sentiment_report)


def sentiment_report(
    labelled: Annotated[Path | None, typer.Option(
        exists=True, file_okay=False,
        help="Directory of labelled texts: CSV or Parquet with text and label or rating, or a labelled.toml.")] = None,
    as_of: AsOfOption = None,
    lines: Annotated[list[str] | None, typer.Option(help="Only these lines; repeat it. Default: all.")] = None,
    family: Annotated[list[str] | None, typer.Option(
        help="Model families of the ablation; repeat it. Default: the champion's, or the line's first.")] = None,
    days: Annotated[int, typer.Option(help="Days of texts and prices for lead and lag.", min=20)] = 365,
    tested_days: Annotated[int, typer.Option(help="Days that each line forecasts with and without.", min=20)] = 84,
    target: Annotated[Path | None, typer.Option(
        "--out", help=f"The page. Default: {DEFAULT}, or none with --json.")] = None,
    json_output: JsonOption = False,
) -> None:
    """What is sentiment worth? Quality against labels, lead and lag against prices, and what it adds to each line.

    A part whose data is missing says so on the page; the others are made all the same.
    """
    from pipelines.training import families
    from pipelines.training.worth import page
    from pipelines.training.worth.study import study

    problems = [line_of(name) for name in lines] if lines else list(load_lines(config.settings().lines_dir).values())
    for name in family or ():
        families.get(name)  # a name that is none is refused before the work, not told on the page
    at = as_of_time(as_of)
    path = target or (None if json_output else DEFAULT)
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"{path.parent} is not a directory; make it, or name another file with --out")
    with _warehouse() as warehouse, err.status(f"sentiment against labels, {days} days of prices, and "
                                               f"{len(problems)} line(s) over {tested_days} days"):
        found = study(warehouse, problems, at, texts=labelled, days=days, tested_days=tested_days,
                      families=family or ())
    if path is not None:
        path.write_text(page.html(found), encoding="utf-8")
    record = page.to_dict(found)
    if json_output:
        show({**record, "html": None if path is None else str(path)}, as_json=True)
        return
    for sentence in record["summary"]:
        out.print(f"- {sentence}", markup=False)
    out.print(f"the page: {path}", markup=False, soft_wrap=True)


@contextmanager
def _warehouse() -> Iterator[Warehouse | Absent]:
    """The warehouse, or why there is none: labelled texts can be read without."""
    from pipelines.training.worth.study import Absent

    with ExitStack() as stack:
        found: Warehouse | Absent
        try:
            found = stack.enter_context(open_warehouse())
            with found.begin():
                pass
        except (ConfigError, StoreUnavailable) as error:
            found = Absent(str(error))
        yield found
