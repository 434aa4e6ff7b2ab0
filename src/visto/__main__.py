"""The command line: ``visto`` and ``python -m visto``. Turns every error into words and an exit code."""

import json
import os
import sys
import time
import traceback

from visto.errors import Interrupted, ResourceError, VistoError

BEGAN = time.perf_counter()


def main() -> None:
    """Run the command and exit with its code: see the table in ``visto.errors``."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; gives its exit code."""
    debug = "--debug" in arguments
    try:
        from visto.cli import run_command

        return run_command(arguments, began=BEGAN)
    except VistoError as error:
        found: VistoError = error
        cause: BaseException = error
    except KeyboardInterrupt as error:
        cause = error
        found = Interrupted("stopped", hint="what was decoded so far is kept in the cache; run it again to go on")
    except BrokenPipeError:
        # whoever read our output has gone: say nothing, and keep Python from saying it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError as error:
        cause = error
        found = ResourceError("out of memory", hint="use a smaller --batch-size or --size")
    except Exception as error:  # noqa: BLE001  (the last line of defence: no traceback without --debug)
        cause = error
        found = VistoError(
            f"internal error: {type(error).__name__}: {error}",
            hint="this is a mistake of ours; run it again with --debug and report what it prints",
        )
    if debug:
        traceback.print_exception(cause)
    _tell(found, as_json="--json" in arguments)
    return found.code


def _tell(error: VistoError, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": error.to_json()}), flush=True)  # noqa: T201
    lines = [f"error: {error.message}"]
    lines += [f"  expected: {error.expected}"] if error.expected else []
    lines += [f"  {error.hint}"] if error.hint else []
    print("\n".join(lines), file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
