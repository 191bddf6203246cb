"""Starts groupd's commands without importing it anew each time: it imports once, then forks.

Run as a script it reads orders, one line of JSON each, and answers each with a line: the pid of a
command that it has started, or how one has ended. It ends with its standard input, and everything
that it has started ends with it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Any, NoReturn

from groupd.cli import main


def run_forked(order: dict[str, Any]) -> NoReturn:
    """Be a command, in a process of its own."""
    code = 1
    try:
        for number, (path, flags) in enumerate(
            ((os.devnull, os.O_RDONLY), (order["out"], os.O_WRONLY), (order["err"], os.O_WRONLY))
        ):
            descriptor = os.open(path, flags | os.O_APPEND)
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.argv = ["groupd", *order["arguments"]]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve_orders() -> None:
    running: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        answer: int | None
        if "arguments" in order:
            answer = os.fork()
            if answer == 0:
                run_forked(order)
            running.add(answer)
        else:
            pid, status = os.waitpid(order["pid"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
            running.discard(pid)
        print(json.dumps(answer), flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    serve_orders()
