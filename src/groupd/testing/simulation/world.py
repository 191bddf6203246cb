"""A server process in a simulation: it starts, serves, crashes and starts again on what is left.

Theory of operation. A crash freezes the disk and the network first and cancels the server's tasks
after that: what they do while they are unwound reaches nobody, as with a process that was killed.
Then the disk decides what of the unsynced bytes had reached it. A storage error ends the server as
it ends the real process, and it is started again.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from pathlib import Path
from random import Random
from typing import Any, Final

import attrs
import structlog
import trio

from groupd.auth import TokenVerifier, issue_token
from groupd.config import AuthConfig
from groupd.domain.base import Identity
from groupd.domain.links import LinkKeys
from groupd.engine import hub as engine
from groupd.engine.hub import Hub
from groupd.engine.ledger import project
from groupd.engine.nursery import open_hidden_nursery
from groupd.engine.ports import Ports
from groupd.errors import LogError
from groupd.server.listener import Server
from groupd.storage.log import Log
from groupd.storage.sqlite import SqliteStore
from groupd.testing.fakes import FakeClock, SeededRandomness
from groupd.testing.history import History
from groupd.testing.simulation.disk import SimDisk
from groupd.testing.simulation.log import open_sim_log
from groupd.testing.simulation.network import SimNetwork
from groupd.testing.simulation.scenario import Scenario
from groupd.testing.simulation.vfs import SimVfs

SECRET: Final = "a secret for simulations that is long enough"
DIRECTORY: Final = Path("/sim")
TOKEN_MS: Final = 24 * 3_600_000
REST_MS: Final = 50
"""Between two starts, at least."""
KILL_CHANCE: Final = 0.4
"""Of a crash: that only the process dies."""
STARTS_MAX: Final = 2_000
"""Of the server in one run; over it, it does not come up any more, and that is a finding."""


class NeverUp(RuntimeError):
    """The server fails again and again."""


@attrs.define(eq=False)
class World:
    """What all incarnations of the server have in common: disk, network, clock, keys.

    ``hub`` and ``log`` are the present one's, None while there is none.
    """

    scenario: Scenario
    history: History
    trace: Callable[[str], None]
    draw: Random = attrs.field(init=False)
    disk: SimDisk = attrs.field(init=False)
    network: SimNetwork = attrs.field(init=False)
    ports: Ports = attrs.field(init=False)
    hub: Hub | None = attrs.field(init=False, default=None)
    log: Log | None = attrs.field(init=False, default=None)
    starts: int = attrs.field(init=False, default=0)
    findings: list[str] = attrs.field(init=False, factory=list)
    """What no history shows: bugs that were logged, storage errors without a cause."""
    is_healed: bool = attrs.field(init=False, default=False)
    _incarnation: trio.CancelScope | None = attrs.field(init=False, default=None)
    _stopping: trio.Event = attrs.field(init=False, factory=trio.Event)
    _is_crashing: bool = attrs.field(init=False, default=False)
    _has_power: bool = attrs.field(init=False, default=True)

    def __attrs_post_init__(self) -> None:
        seed = self.scenario.seed
        self.draw = Random(f"world {seed}")
        self.disk = SimDisk(Random(f"disk {seed}"), self.scenario.disk)
        self.network = SimNetwork(Random(f"network {seed}"), self.scenario.network)
        self.network.trace = self.trace
        self.ports = Ports(clock=FakeClock(), randomness=SeededRandomness(seed))

    # --- the server's lives

    async def run(self) -> None:
        """Keep a server up, through crashes and storage errors, until ``stop`` or cancelled."""
        while not self._stopping.is_set():
            self.starts += 1
            if self.starts > STARTS_MAX:
                raise NeverUp(f"the server was started {STARTS_MAX} times")
            if self.starts > 1:
                self.history.note("server", "restart")
            with trio.CancelScope() as self._incarnation:
                try:
                    await self._live()
                except* LogError as group:
                    self.trace(f"storage {group.exceptions[0]}")
            self._bury()
            if not self._stopping.is_set():
                await trio.sleep(max(self.scenario.down_ms, REST_MS) / 1_000)

    def crash(self) -> None:
        """Kill the server, or cut the power: then what was not synced is lost, or not, or torn."""
        if self._incarnation is None or self._is_crashing:
            return
        self._is_crashing = True
        self._has_power = self.draw.random() < KILL_CHANCE
        self.trace("kill" if self._has_power else "power off")
        self.history.note("server", "crash")
        self.network.crash_server()
        self.disk.freeze()
        self._incarnation.cancel()

    def stop(self) -> None:
        """Have the present server end in order, as the last one."""
        self._stopping.set()

    def heal(self) -> None:
        """Break nothing any more."""
        self.is_healed = True
        self.network.heal()
        self.disk.heal()

    def _bury(self) -> None:
        """See to it that nothing of the last incarnation reaches anybody."""
        self.hub = self.log = None
        if not self._is_crashing:
            # It ended by itself, as after a storage error: the kernel has what was written.
            self.network.crash_server()
            self._has_power = not self.disk.is_off
        if self._has_power:
            self.disk.restart()
        else:
            self.disk.crash()
        self._is_crashing = False

    async def _live(self) -> None:
        config, vfs = self.scenario.config(), SimVfs(self.disk, f"groupd-sim-{self.starts}")
        vfs.seed_sqlite()
        verifier = TokenVerifier(
            AuthConfig(secret=SECRET),
            token_max_bytes=config.limits.frame_before_hello_max_bytes,
            default_plan=config.default_plan,
        )
        try:
            store = SqliteStore.open(DIRECTORY, new_id=lambda: "simulated", vfs=vfs.name)
            if store.index_is_stale:
                store.rebuild_index(project)
            keys = LinkKeys({"k1": bytes(32)}, "k1")
            async with (
                open_sim_log(store, self._wait_s) as log,
                engine.open_hub(log=log, ports=self.ports, links=keys, config=config) as hub,
                open_hidden_nursery() as nursery,
            ):
                server = Server(hub, config, verify=verifier.verify, nursery=nursery)
                nursery.start_soon(server.run)
                self.hub, self.log = hub, log
                self.network.listen(server.admit, begin=hub.turns.hold, settle=hub.turns.take)
                await self._stopping.wait()
                await server.stop()
                nursery.cancel_scope.cancel()
        finally:
            vfs.close()

    def _wait_s(self) -> float:
        if self.is_healed:
            return 0.001
        low, high = self.scenario.fsync_ms
        wait_ms = self.draw.uniform(low, high)
        if self.draw.random() < self.scenario.delay_chance:
            wait_ms *= self.draw.choice((0.0, 3.0, 20.0))
        return wait_ms / 1_000

    # --- for clients

    def token(self, user: str) -> str:
        """Issue a token as a host application would."""
        return issue_token(
            SECRET,
            Identity(user=user, name=user.title()),
            now_ms=self.ports.clock.now_ms(),
            expires_in_ms=TOKEN_MS,
            audience="groupd",
        )


def listen_to_logs(findings: list[str]) -> None:
    """Have whatever is logged as an error count as a finding; nothing is printed."""

    def judge(_logger: Any, level: str, event: MutableMapping[str, Any]) -> Any:
        if level in ("error", "critical", "exception"):
            error = event.get("exc_info")
            findings.append(f"logged: {event.get('event')} {error!r:.200}")
        raise structlog.DropEvent

    structlog.configure(processors=[judge], cache_logger_on_first_use=False)
