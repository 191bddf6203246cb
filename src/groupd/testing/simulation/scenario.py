"""What happens in a simulated run: who asks for what and when, what breaks, and when it crashes.

A scenario is plain data. It is drawn from a seed, can be stored as JSON, and can be made smaller
while it still fails (``shrink.py``). What it leaves open (the order of tasks, each latency, which
bytes a crash destroys) is drawn while it runs, from its seed too.

Swarm testing: settings are drawn for each run as a whole, so that some runs have no cuts and many
crashes, others tiny batches and slow disks. Faults that are always there hide each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, Self

import attrs

from groupd.config import Config, Limits, Plan
from groupd.testing.simulation.disk_faults import DiskFaults, DiskStep
from groupd.testing.simulation.network import NetworkFaults

USERS: Final = ("ann", "bob", "cleo", "dan", "eve", "fay")
GROUPS_MAX: Final = 3
STEPS_MAX: Final = 160
LENGTH_MS: Final = 30_000
"""Virtual time in which the steps happen."""
CRASHES_MAX: Final = 8
PLAN: Final = Plan(groups_owned_max=2, members_max=4, links_max=6, pins_max=3, direct_add_below=3)
"""Small, so that its limits are met."""
PLAN_NAME: Final = "ordinary"


@attrs.frozen
class Step:
    """One request: who makes it, when, and what it is about.

    ``group`` is the place of a group in the order of their founding. In ``params``, a value
    ``["seq", k]`` stands for the seq of the k-th last message that is known by then, ``["code"]``
    for the last link, ``["user", k]`` for a user.
    """

    at_ms: int
    user: str
    method: str
    group: int | None = None
    params: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Scenario:
    """Everything about a run that can be said before it."""

    seed: int
    steps: Sequence[Step]
    visitors: Sequence[str] = ()
    """Users with a second device, which comes and goes."""
    visit_ms: int = 1_000
    """How long it stays, and stays away, at most."""
    crashes_ms: Sequence[int] = ()
    down_ms: int = 200
    """How long the server is away after a crash."""
    fsync_ms: tuple[float, float] = (1.0, 2.0)
    delay_chance: float = 0.0
    """Of more waiting in each round of the log."""
    network: NetworkFaults = attrs.field(factory=NetworkFaults)
    disk: DiskFaults = attrs.field(factory=DiskFaults)
    limits: Mapping[str, int] = attrs.field(factory=dict)
    """Fields of ``Limits`` that differ from their defaults."""

    @classmethod
    def drawn(cls, seed: int) -> Self:
        """Draw a scenario. One seed gives one scenario, in one version of this module."""
        draw = Random(f"scenario {seed}")
        steps = _steps(draw)
        has_crashes = draw.random() < 0.7
        limits, network = _limits(draw), NetworkFaults.drawn(draw)
        if "backlog_max_bytes" in limits:
            # So that readers fall behind.
            capacity = round(_spread(draw, 128, 2_048))
            network = attrs.evolve(network, capacity_bytes=capacity)
        return cls(
            seed=seed,
            steps=steps,
            visitors=tuple(user for user in USERS if draw.random() < 0.3),
            visit_ms=round(_spread(draw, 500, 15_000)),
            crashes_ms=_crashes(draw) if has_crashes else (),
            down_ms=round(_spread(draw, 1, 2_000)),
            fsync_ms=(1.0, _spread(draw, 1, 50)),
            delay_chance=draw.choice((0.0, 0.05, 0.3)),
            network=network,
            disk=_disk(draw),
            limits=limits,
        )

    def config(self) -> Config:
        """Give the server's configuration."""
        limits = Limits(**{**_BASE_LIMITS, **self.limits})
        return Config(limits=limits, plans={PLAN_NAME: PLAN}, default_plan=PLAN_NAME)

    def to_json(self) -> str:
        """Write it so that a person can read and change it."""
        plain = attrs.asdict(self)
        steps = [json.dumps(step, ensure_ascii=False) for step in plain.pop("steps")]
        head = json.dumps(plain, ensure_ascii=False, indent=1)
        return head[:-2] + ',\n "steps": [\n  ' + ",\n  ".join(steps) + "\n ]\n}\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what ``to_json`` wrote; raises ValueError, KeyError or TypeError else."""
        plain = json.loads(text)
        network = {key: _tuples(value) for key, value in plain.pop("network").items()}
        disk = {key: _tuples(value) for key, value in plain.pop("disk").items()}
        return cls(
            steps=tuple(Step(**step) for step in plain.pop("steps")),
            network=NetworkFaults(**network),
            disk=DiskFaults(**disk),
            **{key: _tuples(value) for key, value in plain.items()},
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a stored scenario."""
        return cls.from_json(path.read_text("utf-8"))


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


_BASE_LIMITS: Final[Mapping[str, int]] = {
    "actor_idle_ms": 3_000,
    "sweep_ms": 1_000,
    "rate_per_s": 10_000,
    "rate_burst": 100_000,
    "hello_deadline_ms": 3_000,
    "drain_deadline_ms": 3_000,
}


def _limits(draw: Random) -> dict[str, int]:
    """Draw limits: many runs meet one that a real server meets once a year."""
    limits: dict[str, int] = {}
    for name, chance, values in (
        ("batch_max", 0.3, (1, 2, 5)),
        ("snapshot_every", 0.5, (3, 10, 40)),
        ("cards_max", 0.3, (2, 8)),
        ("ids_max", 0.3, (2, 10, 40)),
        ("detach_above", 0.3, (1, 2)),
        ("detached_slice", 0.3, (1, 2)),
        ("reactor_page", 0.3, (1, 3)),
        ("actor_idle_ms", 0.3, (50, 500)),
        ("batch_max_bytes", 0.2, (200, 2_000)),
        ("gather_above", 0.5, (1,)),
        ("gather_us", 0.8, (100_000_000,)),
        # In a simulation seconds pass between posts, where a busy server sees milliseconds.
        ("gather_max_ms", 0.8, (5_000, 30_000, 100_000)),
    ):
        if draw.random() < chance:
            limits[name] = draw.choice(values)
    if draw.random() < 0.4:
        limits["backlog_max_bytes"] = limits["page_max_bytes"] = draw.choice((400, 2_000, 8_000))
    return limits


def _disk(draw: Random) -> DiskFaults:
    """Draw what the disk does wrong; mostly nothing, since each error ends the server."""
    kind = draw.random()
    if kind < 0.1:
        return DiskFaults(
            error_step=round(_spread(draw, 20, 2_000)),
            error_kinds=(draw.choice((DiskStep.WRITE, DiskStep.SYNC, DiskStep.READ)),),
        )
    if kind < 0.2:
        return DiskFaults(size_max_bytes=round(_spread(draw, 300_000, 900_000)))
    if kind < 0.3:
        return DiskFaults(power_off_step=round(_spread(draw, 50, 3_000)))
    return DiskFaults(short_reads=kind < 0.4)


def _spread(draw: Random, low: float, high: float) -> float:
    """Draw so that each order of magnitude is as likely."""
    factor = high / low
    return float(low * factor ** draw.random())


def _crashes(draw: Random) -> tuple[int, ...]:
    interval_ms = _spread(draw, 500, 30_000)
    times: list[int] = []
    at = 0.0
    while len(times) < CRASHES_MAX:
        at += draw.expovariate(1 / interval_ms)
        if at > LENGTH_MS:
            break
        times.append(round(at))
    return tuple(times)


# --- what people do

_Make = Callable[[Random], Mapping[str, Any]]


def _nothing(_draw: Random) -> Mapping[str, Any]:
    return {}


def _words(draw: Random) -> str:
    return draw.choice(("tea?", "好的", "see you", "在吗", "🙂", "ok", "no"))


def _text(draw: Random) -> Mapping[str, Any]:
    return {"text": f"{_words(draw)} {draw.randrange(1_000_000)}"}


def _mention(draw: Random) -> Mapping[str, Any]:
    return {**_text(draw), "mentions": [["user", draw.randrange(len(USERS))]]}


def _seq(draw: Random) -> Mapping[str, Any]:
    return {"seq": ["seq", draw.randrange(4)]}


def _edit(draw: Random) -> Mapping[str, Any]:
    return {**_seq(draw), **_text(draw)}


def _reaction(draw: Random) -> Mapping[str, Any]:
    return {**_seq(draw), "reaction": draw.choice(("👍", "❤️"))}


def _user(draw: Random) -> Mapping[str, Any]:
    return {"user": ["user", draw.randrange(len(USERS))]}


def _mute(draw: Random) -> Mapping[str, Any]:
    return {**_user(draw), "for_ms": round(_spread(draw, 100, 20_000))}


def _role(draw: Random) -> Mapping[str, Any]:
    return {**_user(draw), "role": draw.choice(("admin", "member"))}


def _link(draw: Random) -> Mapping[str, Any]:
    return {"uses_max": draw.choice((None, 1, 1, 2))}


def _code(_draw: Random) -> Mapping[str, Any]:
    return {"code": ["code"]}


def _policy(draw: Random) -> Mapping[str, Any]:
    return {"join_policy": draw.choice(("open", "approval", "open"))}


_WAYS: Final[Sequence[tuple[int, str, _Make]]] = (
    (60, "post", _text),
    (8, "post", _mention),
    (10, "join", _nothing),
    (6, "leave", _nothing),
    (3, "kick", _user),
    (2, "ban", _user),
    (2, "unban", _user),
    (3, "announce", _text),
    (3, "pin", _seq),
    (1, "unpin", _seq),
    (4, "edit", _edit),
    (4, "recall", _seq),
    (4, "react", _reaction),
    (1, "unreact", _reaction),
    (4, "share_link", _link),
    (8, "join", _code),
    (2, "mute", _mute),
    (1, "unmute", _user),
    (1, "mute_all", lambda draw: {"on": draw.random() < 0.4}),
    (2, "set_role", _role),
    (2, "update", _policy),
    (3, "invite", _user),
    (3, "accept_invite", _nothing),
    (3, "approve", _user),
    (1, "transfer", _user),
    (1, "accept_transfer", _nothing),
    (4, "history", lambda draw: {"after": 0, "limit": draw.choice((3, 100))}),
    (4, "read", _seq),
    (2, "groups", _nothing),
    (1, "dissolve", _nothing),
)
WITHOUT_GROUP: Final = frozenset({"groups", "create"})


def _steps(draw: Random) -> tuple[Step, ...]:
    users = USERS[: draw.randint(2, len(USERS))]
    groups = draw.randint(1, GROUPS_MAX)
    steps = [
        Step(
            draw.randrange(500),
            draw.choice(users),
            "create",
            None,
            {"name": f"群 {place}", "members": draw.sample(list(users), draw.randint(0, 2))},
        )
        for place in range(groups + draw.randint(0, 2))
    ]
    # In some runs nearly everything is about members, or links, or old messages.
    weights = [weight * draw.choice((0, 1, 1, 6)) for weight, _method, _make in _WAYS]
    weights[0] = max(weights[0], 20)  # There is always something to hear.
    count = round(_spread(draw, 10, STEPS_MAX))
    bursts = draw.random() < 0.5
    at_ms = 0
    for _ in range(count):
        if not bursts or draw.random() < 0.3:
            at_ms = 200 + draw.randrange(LENGTH_MS - 200)
        _weight, method, make = draw.choices(_WAYS, weights)[0]
        group = None if method in WITHOUT_GROUP else draw.randrange(groups)
        steps.append(Step(at_ms, draw.choice(users), method, group, make(draw)))
    return tuple(sorted(steps, key=lambda step: step.at_ms))
