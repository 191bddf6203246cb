"""Every setting and limit, with its unit, its default, and how the limits relate.

A limit that is a number in the code and not a field here is a defect. Units come last in the
names. ``config_file.py`` fills these classes from TOML and the environment.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import attrs

from groupd.config_auth import CLAIMS as CLAIMS
from groupd.config_auth import AuthConfig as AuthConfig
from groupd.config_auth import IssuerConfig as IssuerConfig
from groupd.config_checks import NUMBER_MAX as NUMBER_MAX
from groupd.config_checks import not_negative, positive, positive_int
from groupd.config_web import SHARE_PATH
from groupd.config_web import WebConfig as WebConfig
from groupd.config_webhooks import ConditionsConfig as ConditionsConfig
from groupd.config_webhooks import WebhookConfig as WebhookConfig
from groupd.config_webhooks import key_of as key_of
from groupd.config_words import WordsConfig as WordsConfig
from groupd.errors import ConfigError


def _limit(default: int) -> int:
    field: int = attrs.field(default=default, validator=positive)
    return field


@attrs.frozen
class Plan:
    """What one kind of user may have. A user's plan comes with the token."""

    groups_owned_max: int = _limit(4)
    members_max: int = _limit(200)
    founders_min: int = attrs.field(default=0, validator=not_negative)
    """Friends that ``create`` must name beside its caller."""
    pins_max: int = _limit(20)
    links_max: int = _limit(200)
    """Links that still work. Dead ones are kept too, up to ``Content.links_kept_max``."""
    groups_joined_max: int = _limit(500)
    """Groups that a user is in, and join requests of theirs that wait; direct chats left out."""
    directs_max: int = _limit(1_000)
    """Direct chats of a user, above which they open no further one."""
    admins_max: int = _limit(20)
    direct_add_below: int = attrs.field(default=40, validator=not_negative)
    """Members below which an invited user is added at once; from there on they must accept."""


PLANS: Final[Mapping[str, Plan]] = {
    "ordinary": Plan(),
    "kuaishou": Plan(founders_min=1),
    "douyin": Plan(founders_min=2),
    "wechat": Plan(members_max=500),
    "circle": Plan(members_max=50_000, admins_max=200),
}
"""The ready-made plans. A configuration may change them and add others."""


@attrs.frozen
class Content:
    """Bounds that the wire contract fixes. Not settings: client authors count on them.

    Lengths are in code points unless the name ends in ``_bytes``.
    """

    name_max: int = _limit(60)
    text_max: int = _limit(5_000)
    text_max_bytes: int = _limit(16_384)
    """Of any text, in UTF-8."""
    announcement_max: int = _limit(2_000)
    description_max: int = _limit(1_000)
    picture_max: int = _limit(500)
    category_max: int = _limit(60)
    ref_max: int = _limit(128)
    channel_max: int = _limit(32)
    message_max: int = _limit(200)
    user_max_bytes: int = _limit(64)
    data_max_bytes: int = _limit(2_048)
    card_max_bytes: int = _limit(8_192)
    value_depth_max: int = _limit(8)
    mentions_max: int = _limit(50)
    announcements_kept_max: int = _limit(100)
    unpinned_kept_max: int = _limit(100)
    links_kept_max: int = _limit(1_000)
    link_uses_max: int = _limit(1_000_000)
    members_per_create_max: int = _limit(500)
    nickname_max: int = _limit(60)
    query_max: int = _limit(60)
    reaction_max: int = _limit(16)
    reactions_per_message_max: int = _limit(30)
    """Different reactions to one message; each any number of users."""
    edits_max: int = _limit(50)
    """Edits of one message."""
    requests_max: int = _limit(1_000)
    """Join requests of one group that wait."""
    invitations_max: int = _limit(1_000)
    """Invitations to one group that wait."""
    declined_kept_max: int = _limit(1_000)
    bans_max: int = _limit(1_000)
    conditions_max: int = _limit(16)
    """Clauses of a group's entry condition."""
    conditions_depth_max: int = _limit(4)
    claims_max_bytes: int = _limit(1_024)
    chats_pinned_max: int = _limit(50)
    groups_shown_max: int = _limit(20)
    blocks_max: int = _limit(1_000)
    radius_max_m: int = _limit(100_000)

    # --- times that the contract fixes
    edit_within_ms: int = _limit(15 * 60_000)
    recall_within_ms: int = _limit(2 * 60_000)
    request_lasts_ms: int = _limit(7 * 86_400_000)
    """How long a join request, an invitation and an offered group wait."""
    slow_mode_max_ms: int = _limit(21_600_000)
    mute_max_ms: int = _limit(366 * 86_400_000)
    active_within_ms: int = _limit(7 * 86_400_000)
    """Who has spoken within this time counts as active."""
    statistics_members_min: int = _limit(5)
    """Members below which shares and averages are hidden."""

    # --- pages: what a client gets when it asks for more, or for nothing in particular
    groups_page_max: int = _limit(200)
    history_page: int = _limit(50)
    history_page_max: int = _limit(500)
    members_page_max: int = _limit(200)
    users_max: int = _limit(200)
    chats_page_max: int = _limit(200)
    search_page: int = _limit(20)
    search_page_max: int = _limit(50)
    messages_page_max: int = _limit(200)
    sync_groups_max: int = _limit(64)
    sync_page_max: int = _limit(200)


CONTENT: Final = Content()


REQUEST_COST_MAX: Final = 20
"""Cost units of the dearest request; a test holds it to the classes."""


@attrs.frozen
class Limits:
    """The named bound of every queue, frame, loop and collection."""

    # --- the wire
    frame_before_hello_max_bytes: int = _limit(4_096)
    frame_max_bytes: int = _limit(65_536)
    read_size_bytes: int = _limit(8_192)
    """What is read from a socket at once. Decoded, it may wait at 75 times this size."""
    array_max: int = _limit(1_024)
    map_max: int = _limit(128)
    hello_deadline_ms: int = _limit(10_000)
    half_frame_deadline_ms: int = _limit(10_000)

    # --- connections
    connections_max: int = _limit(20_000)
    connections_per_address_max: int = _limit(8_000)
    """Behind one address may be a school, or a part of a town: a provider that has run out of
    addresses gives one to a few thousand people. So the bound is on users, and an address is held
    only to less than half of ``connections_max``, so that no one of them takes it all."""
    connections_per_user_max: int = _limit(16)
    """The tight bound, and that of the rates: a user is one person, wherever they are."""
    accept_backlog: int = attrs.field(default=1_024, validator=positive_int)
    backlog_max_bytes: int = _limit(262_144)
    """Pushes waiting for one slow session; over it, the session lags."""
    backlogs_max_bytes: int = _limit(536_870_912)
    """What waits for all sessions; over it, slow ones lag at once, and requests are refused."""
    answers_max_bytes: int = _limit(262_144)
    """Unsent bytes above which a session's requests are not read any further."""
    requests_open_max: int = _limit(1_024)
    """Unanswered requests of one session, above which it is not read any further."""
    hello_attempts_max: int = _limit(3)
    expiry_grace_ms: int = _limit(30_000)
    """How long a session whose token has expired still hears events, and may say hello again."""
    close_grace_ms: int = _limit(2_000)
    """How long a goodbye and what was queued before it may take to leave."""
    drain_deadline_ms: int = _limit(20_000)
    """How long a stopping server waits for requests under way."""
    cut_deadline_ms: int = _limit(500)
    """How long a session that an operator ends may wait for its requests under way."""

    page_max_bytes: int = _limit(262_144)
    """Events in one answer; a page that would be larger is cut, and says `more`."""

    # --- rates, in cost units; a method's cost stands in its request class
    rate_per_s: int = _limit(200)
    rate_burst: int = _limit(800)
    rest_ms: int = _limit(50)
    """How long a session is not read from that asks for more than its rate, after each read."""
    rest_read_bytes: int = _limit(1_024)
    """What is read from it at once."""
    sweep_ms: int = _limit(5_000)
    """How often expired tokens and forgotten rates are looked for."""

    # --- the engine
    mailbox_max: int = _limit(8_192)
    batch_max: int = _limit(1_024)
    batch_max_bytes: int = _limit(131_072)
    """Of records in one append. A session that reads nothing holds one batch beside its backlog."""
    actor_idle_ms: int = _limit(60_000)
    snapshot_every: int = _limit(50_000)
    """Records after which a busy stream is snapshotted without going idle."""
    cards_max: int = _limit(1_024)
    gather_above: int = _limit(32)
    """Subscribers from which on a busy group keeps what is said for its next send to all."""
    gather_us: int = _limit(10)
    """How long it does so after each send, in microseconds for each subscriber,"""
    gather_max_ms: int = _limit(20)
    """and at most."""
    gather_max_bytes: int = _limit(14_000)
    """What is sent at once all the same."""
    detach_above: int = _limit(1_000)
    """Subscribers above which publishing no longer holds up the actor."""
    detached_slice: int = _limit(64)
    """Subscribers that are served before others have their turn."""
    detached_rest_factor: int = _limit(4)
    deadline_poll_ms: int = _limit(1_000)
    wakes_per_round_max: int = _limit(100)
    feed_page: int = _limit(500)
    """Changes in one page of the feed."""
    feed_scan_pages: int = _limit(20)
    """Pages of other tenants' changes that one call passes over."""
    feed_consumers_max: int = _limit(100)
    """Of one tenant."""
    audit_keep_days: int = _limit(90)
    """How long the audit is kept,"""
    audit_max: int = _limit(1_000_000)
    """and how many entries of it at most, of all tenants: the latest ones."""
    reactor_page: int = _limit(200)
    conflict_retries_max: int = _limit(3)

    # --- the group
    request_cooldown_ms: int = _limit(86_400_000)
    """How long somebody whose join request was declined waits before the next."""
    typing_members_max: int = _limit(500)
    """Members above which ``typing`` is passed on to nobody."""
    statistics_exact_max: int = _limit(1_000)
    """Members above which statistics may be a minute old: counting them takes long."""

    # --- exactly once
    ids_max: int = _limit(20_000)
    ids_window_ms: int = _limit(24 * 3_600_000)
    ids_ahead_ms: int = _limit(5 * 60_000)

    def __attrs_post_init__(self) -> None:
        def holds(relation: str, true: bool) -> None:
            if not true:
                raise ConfigError(f"limits: expected {relation}")

        holds(
            "frame_before_hello_max_bytes <= frame_max_bytes",
            self.frame_before_hello_max_bytes <= self.frame_max_bytes,
        )
        holds("requests_open_max < mailbox_max", self.requests_open_max < self.mailbox_max)
        # A request whose first record is followed by others must not forget itself.
        holds("ids_max >= 2", self.ids_max >= 2)
        holds(f"rate_burst >= {REQUEST_COST_MAX}", self.rate_burst >= REQUEST_COST_MAX)
        holds("batch_max <= mailbox_max", self.batch_max <= self.mailbox_max)
        # One code point is at most 4 bytes, and a post holds a text, a card and mentions.
        post_max = (
            CONTENT.text_max * 4
            + CONTENT.card_max_bytes
            + CONTENT.mentions_max * (CONTENT.user_max_bytes + 2)
            + 1_024
        )
        holds("the largest post fits a frame", post_max <= self.frame_max_bytes)
        members = CONTENT.members_per_create_max * (CONTENT.user_max_bytes + 2)
        holds("the largest create fits a frame", members + 16_384 <= self.frame_max_bytes)
        holds(
            "members_per_create_max <= array_max", CONTENT.members_per_create_max <= self.array_max
        )
        # So that one too many is refused by its field, and does not end the connection.
        holds("sync_groups_max < map_max", CONTENT.sync_groups_max < self.map_max)
        holds("a page fits the backlog", self.page_max_bytes <= self.backlog_max_bytes)


@attrs.frozen
class TlsConfig:
    """What the server shows to clients that connect to a ``tls://`` URL of ``listen``."""

    certificate: str | None = None
    """Path of a PEM file: the server's certificate, then those between it and an authority."""
    key: str | None = None
    """Path of a PEM file: the certificate's private key, without a passphrase."""

    def __attrs_post_init__(self) -> None:
        if self.certificate is None and self.key is not None:
            raise ConfigError("certificate: expected the file that belongs to key")
        if self.key is None and self.certificate is not None:
            raise ConfigError("key: expected the file that belongs to certificate")


@attrs.frozen
class MetricsConfig:
    """A listener of its own for Prometheus and for probes. Off unless it is named."""

    listen: str | None = None
    """``http://HOST:PORT``; anybody who reaches it may read it, so mostly on loopback."""
    connections_max: int = _limit(32)
    request_deadline_ms: int = _limit(10_000)
    """For a request to come and its response to leave; also how long a connection may idle."""

    def __attrs_post_init__(self) -> None:
        if self.listen is not None and not _is_http(self.listen):
            raise ConfigError(f"listen: expected http://HOST:PORT, got {self.listen!r}")


@attrs.frozen
class HostConfig:
    """A listener of its own for the host application's backend. Off unless it is named."""

    listen: str | None = None
    """``http://HOST:PORT``; keys and content pass it unprotected, so mostly on loopback."""
    connections_max: int = _limit(256)
    body_max_bytes: int = _limit(262_144)
    request_deadline_ms: int = _limit(30_000)
    """For a request to come and its response to leave; also how long a connection may idle."""
    rate_per_s: int = _limit(2_000)
    """Cost units of each service key."""
    rate_burst: int = _limit(8_000)
    conditions: ConditionsConfig = attrs.field(factory=ConditionsConfig)

    def __attrs_post_init__(self) -> None:
        if self.listen is not None and not _is_http(self.listen):
            raise ConfigError(f"listen: expected http://HOST:PORT, got {self.listen!r}")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_plain = not (parts.path.strip("/") or parts.query or parts.username)
        return (
            parts.scheme == "http" and is_plain and bool(parts.hostname) and parts.port is not None
        )
    except ValueError:  # A port that is none.
        return False


def is_tls(url: str) -> bool:
    """Say whether what goes over a URL is protected."""
    return url.partition("://")[0].lower() == "tls"


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("tcp", "tls"):
            return bool(parts.hostname) and parts.port is not None
    except ValueError:  # A port that is none.
        return False
    return url.startswith("unix:///")


def _check_networks(networks: tuple[str, ...]) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ConfigError(
                f"trusted_proxies: expected addresses or networks such as 10.0.0.0/8: {error}"
            ) from None


OWNER_LEAVES: Final = ("refused", "heir")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


@attrs.frozen
class Config:
    """Everything that a groupd process can be told."""

    listen: tuple[str, ...] = ("tcp://127.0.0.1:7400",)
    """``tcp://HOST:PORT``, ``tls://HOST:PORT`` or ``unix:///PATH``."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies. Their connections must begin with a header of the PROXY
    protocol, version 2, which says where the client is; nobody else's may."""
    data: str = "groupd-data"
    memory: bool = False
    rate_limits: bool = True
    """False lifts limits on rates and on connections per address; never quotas or sizes."""
    link_url: str = ""
    """What ``share_link`` answers as ``url``; must contain ``{code}``. Left out, it is the share
    page of ``web.public_url``, or ``groupd://join/{code}`` where there is none."""
    default_plan: str = "ordinary"
    categories: tuple[str, ...] = ()
    """The fixed list of group categories; empty takes any."""
    owner_leaves: str = "refused"
    """``refused``; or ``heir``: the owner may leave, and the group is offered to the oldest
    admin, then to the oldest member, one after the other until one accepts."""
    log_level: str = "info"
    auth: AuthConfig = attrs.field(factory=AuthConfig)
    tls: TlsConfig = attrs.field(factory=TlsConfig)
    metrics: MetricsConfig = attrs.field(factory=MetricsConfig)
    host: HostConfig = attrs.field(factory=HostConfig)
    web: WebConfig = attrs.field(factory=WebConfig)
    webhooks: tuple[WebhookConfig, ...] = ()
    """Endpoints that are told of what happens."""
    words: WordsConfig = attrs.field(factory=WordsConfig)
    limits: Limits = attrs.field(factory=Limits)
    plans: Mapping[str, Plan] = PLANS

    def __attrs_post_init__(self) -> None:
        if not self.listen:
            raise ConfigError("listen: expected at least one URL, such as tcp://127.0.0.1:7400")
        for url in self.listen:
            if not _is_address(url):
                raise ConfigError(
                    "listen: expected tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, "
                    f"got {url!r}"
                )
            if is_tls(url) and self.tls.certificate is None:
                raise ConfigError(
                    f"tls: expected certificate and key, since listen has {url}; "
                    "name the two PEM files here, or with --tls-cert and --tls-key"
                )
        if self.web.is_protected and self.tls.certificate is None:
            raise ConfigError(f"tls: expected certificate and key, since web has {self.web.listen}")
        _check_networks(self.trusted_proxies)
        if self.log_level not in LOG_LEVELS:
            raise ConfigError(f"log_level: expected one of {', '.join(LOG_LEVELS)}")
        if self.default_plan not in self.plans:
            raise ConfigError(f"default_plan: no plan {self.default_plan!r} in plans")
        if self.owner_leaves not in OWNER_LEAVES:
            raise ConfigError(f"owner_leaves: expected one of {', '.join(OWNER_LEAVES)}")
        if not self.link_url:
            public = self.web.public_url
            page = "groupd://join/" if public is None else f"{public}{SHARE_PATH}"
            object.__setattr__(self, "link_url", f"{page}{{code}}")
        if "{code}" not in self.link_url:
            raise ConfigError("link_url: expected a URL with {code} in it")
