"""The commands: one thin file a verb, which parses, calls and prints. Torch is imported inside them, when needed."""

from typing import cast

import typer

from visto.cli import (
    bench,
    cache,
    compare,
    evaluate,
    export,
    formats,
    info,
    keygen,
    models,
    predict,
    prepare,
    report,
    sign,
    train,
    tune,
    verify,
)
from visto.cli.options import Began
from visto.errors import Interrupted, UsageError

app = typer.Typer(
    name="visto",
    help="From a folder of images to a recogniser you can trust, on the machine you have.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 internal, 2 usage, 3 bad data, 4 bad model, 5 disk, memory or device, "
    "6 a check refused the result, 130/143 interrupted.",
)


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    if version:
        from importlib.metadata import version as version_of

        typer.echo(version_of("visto"))
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


for _verb in (
    train,
    tune,
    evaluate,
    compare,
    report,
    predict,
    prepare,
    export,
    bench,
    info,
    keygen,
    sign,
    verify,
    models,
    formats,
    cache,
):
    app.command(name=_verb.__name__.rsplit(".", 1)[1])(_verb.command)


# Typer once used click and now brings its own copy of it: the class of all misuse is found through a name that it
# exports either way.
_MISUSE = cast(type[typer.BadParameter], typer.BadParameter.__mro__[1])


def run_command(arguments: list[str], *, began: float) -> int:
    """Parse and run one command line; gives the exit code. ``began`` is the perf_counter at process start.

    The command is not called but invoked: a call would turn Ctrl-C and a closed pipe into exits without a word.
    """
    command = typer.main.get_command(app)
    try:
        with command.make_context("visto", list(arguments), obj=Began(began)) as context:
            code = command.invoke(context)
    except typer.Exit as error:
        return error.exit_code
    except _MISUSE as error:
        raise UsageError(error.format_message(), hint=f"see {_help_of(error)}") from error
    except typer.Abort as error:
        raise Interrupted("stopped") from error
    return code if isinstance(code, int) else 0


def _help_of(error: typer.BadParameter) -> str:
    return f"{error.ctx.command_path if error.ctx is not None else 'visto'} --help"
