"""A real server between 10,000 malformed inputs and twenty clients who notice nothing of them.

By hand, ten times as many, with the figures:

    GROUPD_FUZZ_INPUTS=100000 python -m pytest -s tests/fuzz/test_live.py
"""

from __future__ import annotations

import os
import time
from typing import Final

from tests.e2e.process import Groupd, until
from tests.fuzz.attack import AT_ONCE, Attack
from tests.fuzz.chatter import chatting

INPUTS: Final = int(os.environ.get("GROUPD_FUZZ_INPUTS", "10000"))
SEED: Final = int(os.environ.get("GROUPD_FUZZ_SEED", "0"))
MIB: Final = 2**20
PER_CONNECTION_MAX: Final = MIB // 2
"""Promise 5 of the reliability page: what one connection may cost after ``hello``."""
STATE_MAX: Final = 12 * MIB
"""What may be kept whatever was sent: caches of the store and of encoded names, the allocator's."""
ACCEPTED_MAX: Final = 1_024
"""What one accepted request may leave: groups, members, request ids; their actors rest awhile."""


async def test_malformed_input_disturbs_nobody_and_leaves_nothing(groupd: Groupd) -> None:
    async with groupd.serving(None, "--no-rate-limits") as server:
        async with chatting(server) as chat:
            descriptors = server.descriptors()
            before = server.status_bytes("VmRSS")
            begin = time.perf_counter()
            attack = Attack(
                url=server.url,
                token_of=server.token,
                now_ms=lambda: time.time_ns() // 1_000_000,
                seed=SEED,
                target=INPUTS,
                forbidden_group=chat.group,
            )
            await attack.run()
            took_s = time.perf_counter() - begin
            await until(lambda: server.descriptors() <= descriptors)
        peak, after = server.status_bytes("VmHWM"), await server.memory_at_rest()
        print(
            f"\n{attack.sent:,} inputs over {attack.connections:,} connections in {took_s:.1f} s, "
            f"{attack.answers:,} answers {attack.codes}, goodbyes {attack.goodbyes}; "
            f"{len(chat.took_s):,} posts, answered within {chat.slowest_ms(0.5):.0f} ms (half), "
            f"{chat.slowest_ms(0.99):.0f} ms (99 of 100); RSS {before / MIB:.1f} MiB before, "
            f"{peak / MIB:.1f} at most, {after / MIB:.1f} after"
        )
        assert not attack.bugs, attack.bugs[:5]
        assert not server.complaints()
        accepted = attack.codes["ok"] + len(chat.took_s)
        kept_max = STATE_MAX + accepted * ACCEPTED_MAX
        assert after - before < kept_max, f"{(after - before) / MIB:.1f} MiB are kept"
        assert peak - before < kept_max + AT_ONCE * PER_CONNECTION_MAX
        assert await server.terminate() == 0
