"""The command line: ``visto`` and ``python -m visto``. Turns every error into words and an exit code."""

import gc
import io
import json
import os
import signal
import sys
import time
import traceback

from visto.errors import Interrupted, ResourceError, Terminated, VistoError

BEGAN = time.perf_counter()

# How many objects are made between two looks for garbage among the youngest, and how many such looks between two among
# older ones. With Python's own 700, 10, 10 the 190,000 objects of torch and those of the data are walked over and over
# while they are made: a sixth of the time of a short run on 70,000 images.
_BETWEEN_LOOKS = (10_000, 10, 100)

_GO_ON = "run it again: images that were decoded are in the cache, and a training run goes on with --resume"


def main() -> None:
    """Run the command and exit with its code: see the table in ``visto.errors``."""
    # what stdout cannot encode (a file name that is no UTF-8, a narrow locale) is escaped, as stderr does already
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    gc.set_threshold(*_BETWEEN_LOOKS)
    # leave by way of every finally: the default is to die at once, with half-written folders left behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Terminated.code))
    code = run(sys.argv[1:])
    gc.freeze()  # at its end Python looks for garbage among all that is left, 0.6 s after a run on 70,000 images
    sys.exit(code)


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
        found = Interrupted("stopped", hint=_GO_ON)
    except SystemExit as error:
        if error.code != Terminated.code:
            raise
        cause = error
        found = Terminated("stopped by the system", hint=_GO_ON)
    except BrokenPipeError:
        # whoever read our output has gone: say nothing, and keep Python from saying it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError as error:
        cause = error
        found = _out_of_memory()
    except OSError as error:
        cause = error
        place = f" {error.filename}" if error.filename else ""
        found = ResourceError(f"the system refused{place}: {error.strerror or error}", hint="look at it, and try again")
    except BaseException as error:  # noqa: BLE001  (the last line of defence; panics of Rust code are no Exception)
        cause = error
        # torch says it by a RuntimeError
        words = str(error)
        found = (
            _out_of_memory() if "can't allocate memory" in words or "CUDA out of memory" in words else _internal(error)
        )
    if debug:
        traceback.print_exception(cause)
    _tell(found, as_json="--json" in arguments)
    return found.code


def _out_of_memory() -> VistoError:
    return ResourceError("out of memory", hint="use a smaller --batch-size, --size or model")


def _internal(error: BaseException) -> VistoError:
    return VistoError(
        f"internal error: {type(error).__name__}: {error}",
        hint="this is a mistake of ours; run it again with --debug and report what it prints",
    )


def _tell(error: VistoError, *, as_json: bool) -> None:
    from visto.cli.terminal import printable

    if as_json:
        print(json.dumps({"error": error.to_json()}), flush=True)  # noqa: T201
    lines = [f"error: {error.message}"]
    lines += [f"  expected: {error.expected}"] if error.expected else []
    lines += [f"  {error.hint}"] if error.hint else []
    print("\n".join(map(printable, "\n".join(lines).split("\n"))), file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
