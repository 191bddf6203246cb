"""The HTTP doors of a server: metrics, host API, web. A part of the composition root.

Each has a listener of its own that the configuration names, and is off without.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import attrs
import trio

from groupd.auth import KeyRings
from groupd.config import Config
from groupd.config_web import SHARE_PATH
from groupd.data_files import follow_service_keys, signing_key
from groupd.server.addresses import Listener, close_listener, listener_url, open_listeners
from groupd.server.certificates import client_context
from groupd.server.http import HttpLimits, HttpServer
from groupd.server.listener import Server
from groupd.server.metrics import Collector
from groupd.server.probes import Probes
from groupd.storage.sqlite import FILE_NAME
from groupd.system import system_ports
from groupd.web import openapi
from groupd.web.assets import Assets, package_files
from groupd.web.calls import HostApi, http_refusal
from groupd.web.conditions import HostConditions
from groupd.web.keys import KeyRing as ServiceKeys
from groupd.web.posting import http_post, http_question
from groupd.web.pulse import Pulse
from groupd.web.share import SharePage
from groupd.web.site import SECURITY, Page, Site
from groupd.web.webhooks import Webhook


@attrs.define
class Doors:
    """The listeners that are open; each list is empty where there is none."""

    metrics: list[Listener]
    host: list[Listener]
    web: list[Listener]
    is_web_protected: bool

    @property
    def urls(self) -> tuple[str | None, str | None, str | None]:
        """Give the URLs of the three, None where there is none."""
        return (
            _url(self.metrics),
            _url(self.host),
            _url(self.web, is_protected=self.is_web_protected),
        )


def open_doors(config: Config, undo: ExitStack) -> Doors:
    """Listen where the configuration says; ``undo`` closes what is open already.

    Raises ConfigError.
    """

    def listen(url: str | None) -> list[Listener]:
        if url is None:
            return []
        address = f"tcp://{url.rstrip('/').partition('://')[2]}"
        listeners = open_listeners(address, config.limits.accept_backlog, called=url)
        undo.callback(close_all, listeners)
        return listeners

    return Doors(
        listen(config.metrics.listen),
        listen(config.host.listen),
        listen(config.web.listen),
        config.web.is_protected,
    )


def _url(listeners: Sequence[Listener], *, is_protected: bool = False) -> str | None:
    if not listeners:
        return None
    scheme = "https" if is_protected else "http"
    return f"{scheme}://{listener_url(listeners[0]).partition('://')[2]}"


def close_all(listeners: Sequence[Listener]) -> None:
    """Close all of them."""
    for listener in listeners:
        close_listener(listener)


def serve_doors(
    doors: Doors,
    server: Server,
    config: Config,
    rings: KeyRings,
    nursery: trio.Nursery,
    pages: Mapping[str, Page],
) -> list[HttpServer]:
    """Start what answers there, and the webhooks; owns the listeners from here on.

    ``pages`` are more pages for browsers.

    Gives those that are to be drained when the server stops: probes and metrics go on.
    """
    drained = list[HttpServer]()
    if doors.metrics:
        nursery.start_soon(_metrics_server(server, config, rings).listen, doors.metrics)
    if config.webhooks:
        feed, post = server.services.hub.feed, http_post(client_context())
        for each in config.webhooks:
            hook = Webhook(each, feed=feed, ports=system_ports(), post=post)
            nursery.start_soon(hook.run)
    if doors.host:
        keys = ServiceKeys()
        nursery.start_soon(follow_service_keys, Path(config.data), keys)
        drained.append(_host_server(server, config, keys))
        nursery.start_soon(drained[-1].listen, doors.host)
    if doors.web:
        pulse = Pulse(config.web.ping_ms)
        nursery.start_soon(pulse.run)
        drained.append(_web_server(server, config, pulse, pages))
        nursery.start_soon(drained[-1].listen, doors.web)
    return drained


def _metrics_server(server: Server, config: Config, rings: KeyRings) -> HttpServer:
    """Give what answers on the metrics listener. It goes on while the server is draining."""
    hub = server.services.hub
    store_file = None if config.memory else Path(config.data) / FILE_NAME
    collector = Collector(server, store_file=store_file, key_rings=rings)
    probes = Probes(hub.log, is_stopping=lambda: server.is_stopping, collect=collector.collect)
    limits = HttpLimits(
        connections_max=config.metrics.connections_max,
        request_deadline_ms=config.metrics.request_deadline_ms,
    )
    return HttpServer(probes.handle, limits)


def _host_server(server: Server, config: Config, keys: ServiceKeys) -> HttpServer:
    """Give what serves the host API."""
    api = HostApi(
        server.services.hub,
        keys,
        config.host,
        openapi=openapi.document(),
        has_rate_limits=config.rate_limits,
        cut=server.services.cut,
    )
    limits = HttpLimits(
        connections_max=config.host.connections_max,
        body_max_bytes=config.host.body_max_bytes,
        request_deadline_ms=config.host.request_deadline_ms,
    )
    return HttpServer(api.handle, limits, refusal=http_refusal)


def _web_server(
    server: Server, config: Config, pulse: Pulse, pages: Mapping[str, Page]
) -> HttpServer:
    """Give what serves browsers."""
    site = Site(
        config.web,
        admit=server.admit,
        frame_max_bytes=config.limits.frame_max_bytes,
        assets=Assets(package_files(sign_in_url=config.web.sign_in_url), SECURITY),
        pages={
            SHARE_PATH: SharePage(server.services.hub, config.web, SECURITY).answer,
            **pages,
        },
        watch=pulse.add,
        trusts=server.trusts,
    )
    limits = HttpLimits(
        connections_max=config.web.connections_max,
        request_deadline_ms=config.web.request_deadline_ms,
    )

    def tls() -> ssl.SSLContext | None:
        # That of now: SIGHUP brings a new certificate.
        return server.tls if config.web.is_protected else None

    return HttpServer(site.handle, limits, tls=tls, poller=server.poller)


def conditions_of(config: Config) -> HostConditions | None:
    """Give what asks the host about entry conditions, if there is whom to ask."""
    settings = config.host.conditions
    if settings.url is None or settings.secret_file is None:
        return None
    key, question = signing_key(Path(settings.secret_file)), http_question(client_context())
    return HostConditions(settings, key=key, ports=system_ports(), question=question)
