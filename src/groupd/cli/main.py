"""The commands: ``groupd serve``, ``token``, ``chat``, and those of an operator.

Placement rules: this file parses and exits. ``chat/`` is the chat client, ``demo/`` what there is
to look at, ``operate.py`` what an operator asks of a store, ``users.py`` what is done to one user,
``backup.py`` and ``export.py`` what takes a store elsewhere; what they need of the world comes
from ``app.py``.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import trio
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.markup import escape

from groupd import app as composition
from groupd.cli import backup as backups
from groupd.cli import configuration, operate
from groupd.cli import conformance as conformance_
from groupd.cli import export as exports
from groupd.cli import health as healths
from groupd.cli.bench import bench
from groupd.cli.demo_command import demo
from groupd.cli.failing import errors_as_lines, run_or_fail
from groupd.cli.given import ConfigFile, Data, config_of, duration_ms
from groupd.cli.keys import key_app
from groupd.cli.token import token
from groupd.cli.tokens import tokens_app
from groupd.cli.user_commands import disconnect, revoke
from groupd.cli.watch_commands import audit, consumers
from groupd.config import Config
from groupd.data_files import SECRET_FILE
from groupd.domain.base import ACCOUNT, GROUP, StreamKey
from groupd.telemetry import configure_logging
from groupd.version import VERSION

app = cyclopts.App(
    name="groupd",
    version=VERSION,
    help="Group chat for any app: a server, and what it takes to try it out.",
)

app.command(token)
app.command(demo)
app.command(key_app)
app.command(bench)
app.command(tokens_app)
app.command(revoke)
app.command(disconnect)
app.command(audit)
app.command(consumers)


@app.command
def serve(
    *,
    config: ConfigFile = None,
    listen: Annotated[
        tuple[str, ...] | None,
        Parameter(
            negative="",
            help="tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH; may be repeated. "
            "[tcp://127.0.0.1:7400]",
        ),
    ] = None,
    tls_cert: Annotated[
        str | None, Parameter(help="For tls:// URLs: the PEM file of the certificate.")
    ] = None,
    tls_key: Annotated[
        str | None, Parameter(help="For tls:// URLs: the PEM file of its private key.")
    ] = None,
    data: Data = None,
    memory: Annotated[bool, Parameter(negative="", help="Keep the groups in memory only.")] = False,
    host_api: Annotated[
        str | None, Parameter(help="http://HOST:PORT for a backend with a service key.")
    ] = None,
    web: Annotated[
        str | None,
        Parameter(help="http://HOST:PORT or https://HOST:PORT for browsers."),
    ] = None,
    rate_limits: Annotated[
        bool,
        Parameter(
            negative="--no-rate-limits",
            help="--no-rate-limits lifts limits on rates and connections, for load tests.",
        ),
    ] = True,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None, Parameter(help="[info]")
    ] = None,
) -> None:
    """Run a server until it is told to stop (Ctrl-C or SIGTERM). SIGHUP reloads what can be.

    Without a configuration it keeps its data, and a secret for tokens that it makes, in
    ./groupd-data.
    """
    read = partial(
        config_of,
        config,
        listen=list(listen) if listen else None,
        tls={"certificate": tls_cert, "key": tls_key} if tls_cert or tls_key else None,
        data=data,
        memory=memory or None,
        host={"listen": host_api} if host_api else None,
        web={"listen": web} if web else None,
        rate_limits=None if rate_limits else False,
        log_level=log_level,
    )
    settings = read()
    configure_logging(settings.log_level)
    console = Console(stderr=True, emoji=False)

    def announce(running: composition.Running) -> None:
        _announce(console, running, config)

    trio.run(lambda: composition.serve(settings, announce=announce, read_again=read))


def _announce(console: Console, running: composition.Running, file: Path | None) -> None:
    config = running.config
    where = "in memory only" if config.memory else f"in {config.data}"
    console.print(f"[bold green]groupd {VERSION}[/] keeps its groups {escape(where)}.")
    for url in running.urls:
        console.print(f"Listening on [bold]{escape(url)}[/]")
    if running.metrics is not None:
        console.print(f"Metrics on [bold]{escape(running.metrics)}/metrics[/]")
    if running.host is not None:
        console.print(f"The host API is at [bold]{escape(running.host)}/v1/[/]")
    if running.web is not None:
        console.print(f"Browsers open [bold]{escape(running.web)}/chat[/]")
    if running.made_secret:
        secret = Path(config.data) / SECRET_FILE
        console.print(f"A secret for tokens was made: {escape(str(secret))}")
    command = sys.argv[0] if "/" in sys.argv[0] else "groupd"
    command = os.path.relpath(command) if "/" in command else command
    option = "" if config.data == Config().data else f" --data {config.data}"
    if file is not None:
        # It may name the secret, and the server's directory again is no harm.
        option = f" --config {file}{option}"
    server = "" if running.urls[0] == Config().listen[0] else f" --server {running.urls[0]}"
    has_no_secret = config.auth.secret is None and (config.auth.has_own_keys or config.auth.issuers)
    if has_no_secret:
        # Whom the server believes signs with a key that is not here.
        console.print("\nIn another terminal, chat with a token that your host application issued:")
        line = f"  {command} chat{server} --token TOKEN"
    else:
        console.print("\nIn another terminal, get a token and chat:")
        line = f"  {command} chat{server} --token $({command} token alice{option})"
    console.print(escape(line), soft_wrap=True, highlight=False)
    if running.host is not None:
        console.print("\nOr call it as a backend does:")
        for line in (
            f"  KEY=$({command} key make my-backend{option})",
            f'  curl {running.host}/v1/create -H "Authorization: Bearer $KEY" '
            """-d '{"as": "alice", "name": "Tea"}'""",
        ):
            console.print(escape(line), soft_wrap=True, highlight=False)
    console.print("Ctrl-C stops the server.\n")


@app.command
def chat(
    *,
    token: Annotated[str, Parameter(help="From `groupd token USER`.")],
    server: Annotated[str, Parameter(help="The server's URL.")] = "tcp://127.0.0.1:7400",
    ca: Annotated[
        Path | None,
        Parameter(
            help="For a tls:// server: the PEM file of who signed its certificate. [the system's]"
        ),
    ] = None,
    plain: Annotated[bool, Parameter(negative="", help="Line by line, at a terminal too.")] = False,
) -> None:
    """Chat from this terminal. /help lists what can be typed.

    At a terminal it takes the full screen; in a pipe, or with --plain, it goes line by line.
    """
    # Here, since no other command has a use for a screen, and a server none for its memory.
    from groupd.cli.chat import start

    start(server, token=token, ca=ca, plain=plain)


@app.command(name="log")
def log_(
    group: str,
    *,
    after: Annotated[int, Parameter(validator=Number(gte=0), help="Begin after this seq.")] = 0,
    limit: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="Show at most so many events.")
    ] = None,
    account: Annotated[
        bool, Parameter(negative="", help="GROUP is a user: show their own log.")
    ] = False,
    tenant: Annotated[str, Parameter(help="The app, where several share a server.")] = "",
    json: Annotated[bool, Parameter(negative="", help="One JSON object a line.")] = False,
    config: ConfigFile = None,
    data: Data = None,
) -> None:
    """Show the log of GROUP, beside a running server or without one."""
    settings = config_of(config, data=data)
    query = operate.LogQuery(group=group, after=after, limit=limit, account=account, tenant=tenant)
    run_or_fail(lambda: operate.show_log(settings, query, as_json=json))


@app.command
def check(
    *,
    rebuild_index: Annotated[
        bool, Parameter(negative="", help="Make the index anew from the logs first.")
    ] = False,
    config: ConfigFile = None,
    data: Data = None,
) -> None:
    """Verify the hash chains of all logs, and the index; exit with 1 where something is wrong."""
    settings = config_of(config, data=data)
    run_or_fail(lambda: operate.check(settings, rebuild_index=rebuild_index))


@app.command
def backup(directory: Path, *, config: ConfigFile = None, data: Data = None) -> None:
    """Copy all groups to the new DIRECTORY, beside a running server or without one.

    The copy is a data directory: `groupd check --data DIRECTORY` verifies it, and a server started
    on it goes on from there. Never put a server on your only copy.

    Parameters
    ----------
    directory
        Where the backup is made. There must be nothing yet.
    """
    settings = config_of(config, data=data)
    run_or_fail(lambda: backups.back_up(settings, directory))


@app.command
def export(file: Path, *, config: ConfigFile = None, data: Data = None) -> None:
    """Write all groups to FILE, in a form that any later groupd can import.

    Parameters
    ----------
    file
        Where they are written. There must be nothing yet.
    """
    settings = config_of(config, data=data)
    run_or_fail(lambda: exports.export(settings, file))


@app.command(name="import")
def import_(file: Path, *, config: ConfigFile = None, data: Data = None) -> None:
    """Make a new store of what `groupd export` has written to FILE.

    The data directory must be empty, or not there yet.

    Parameters
    ----------
    file
        What was exported.
    """
    settings = config_of(config, data=data)
    run_or_fail(lambda: exports.import_(settings, file))


@app.command
def health(*, config: ConfigFile = None) -> None:
    """Ask a running server whether it can serve; exit with 1 where it cannot, or does not answer.

    It is asked where [metrics] listen says.
    """
    is_ready, said = healths.ask(config_of(config))
    print(said)
    if not is_ready:
        sys.exit(1)


config_app = cyclopts.App(name="config", help="Look at a configuration before a server has it.")
app.command(config_app)


@config_app.command(name="check")
def config_check(file: Path | None = None) -> None:
    """Say whether a server could use FILE: every setting, key and certificate.

    The environment is read as well, as a server would.

    Parameters
    ----------
    file
        A TOML file; see docs/configuration.md. Without one, what the environment and the defaults
        say.
    """
    configuration.check(file, os.environ, Console(emoji=False))


@config_app.command(name="print")
def config_print(file: Path | None = None) -> None:
    """Show every setting with its value and where it comes from.

    A table at a terminal; elsewhere TOML, which --config can read. Secrets are not shown.

    Parameters
    ----------
    file
        A TOML file; without one, what the environment and the defaults say.
    """
    configuration.show(file, os.environ, Console(emoji=False))


@app.command
def mend(
    group: str,
    *,
    copy: Annotated[Path, Parameter("--from", help="A backup that has the group.")],
    account: Annotated[
        bool, Parameter(negative="", help="GROUP is a user: mend their own log.")
    ] = False,
    tenant: Annotated[str, Parameter(help="The app, where several share a server.")] = "",
    config: ConfigFile = None,
    data: Data = None,
) -> None:
    """Put what is damaged of GROUP back from a backup; the server must be stopped.

    Nothing is changed unless every record of the group is in order afterwards.

    Parameters
    ----------
    group
        The group that `groupd check` names.
    """
    settings = config_of(config, data=data)
    stream = StreamKey(ACCOUNT if account else GROUP, tenant, group)
    run_or_fail(lambda: operate.mend(settings, stream, copy))


@app.command
def conformance(
    *,
    scenario: Annotated[
        list[str] | None,
        Parameter(negative=(), help="Play this one only. Repeatable. [all]"),
    ] = None,
    timeout: Annotated[
        int,
        Parameter(
            converter=duration_ms,
            show_default=False,
            help="How long to wait for the client. [60s]",
        ),
    ] = 60_000,
    listen: Annotated[
        str, Parameter(help="Where the client connects to; a free port by default.")
    ] = conformance_.ANYWHERE,
) -> None:
    """Play a client's hard moments to it, and say what it does wrong; exit with 1 if anything.

    For who writes a client in any language. docs/guide/client-authors.md says what the client has
    to do: it connects, posts `ready`, and posts `heard SEQ` for each message.
    """
    console = Console(emoji=False)
    run_or_fail(
        lambda: conformance_.run(scenario or [], timeout_ms=timeout, console=console, listen=listen)
    )


def main() -> None:
    """Run the command line; expected errors are one line and exit with 1."""
    with errors_as_lines():
        app()
