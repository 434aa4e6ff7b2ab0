"""The commands: one thin file a verb, which parses, calls and prints. Torch is imported inside them, when needed."""

import click
import typer

from visto.cli import cache, evaluate, formats, info, models, predict, train
from visto.cli.options import Began
from visto.errors import Interrupted, UsageError

app = typer.Typer(
    name="visto",
    help="From a folder of images to a recogniser you can trust, on the machine you have.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 internal, 2 usage, 3 bad data, 4 bad model, 5 disk, memory or device, "
    "6 a check refused the result, 130/143 interrupted.",
)


@app.callback(invoke_without_command=True)
def _main(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    if version:
        from importlib.metadata import version as version_of

        typer.echo(version_of("visto"))
        raise typer.Exit


for _verb in (train, evaluate, predict, info, models, formats, cache):
    app.command(name=_verb.__name__.rsplit(".", 1)[1])(_verb.command)


def run_command(arguments: list[str], *, began: float) -> int:
    """Parse and run one command line; gives the exit code. ``began`` is the perf_counter at process start."""
    try:
        code = app(arguments, standalone_mode=False, obj=Began(began))
    except click.exceptions.NoArgsIsHelpError as error:
        typer.echo(error.format_message())
        return 2
    except click.ClickException as error:
        raise UsageError(error.format_message(), hint="see visto --help") from error
    except click.Abort as error:
        raise Interrupted("stopped") from error
    return code if isinstance(code, int) else 0
