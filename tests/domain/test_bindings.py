"""What of the host's a group is bound to: issue 6, item 5. The system binds, and nobody else."""

from __future__ import annotations

import pytest

from groupd.domain.base import SERVER
from groupd.domain.catalog import REQUESTS
from groupd.domain.group.bindings import BINDINGS_MAX, Bind, Bindings, Bound, Unbind
from groupd.domain.group.direct import Direct
from groupd.domain.group.lives import StartLive, StopLive
from groupd.domain.group.orders import InviteCustomer
from groupd.domain.group.settings import Dissolve
from groupd.domain.projection import BINDING
from groupd.errors import Rejected
from tests.domain.bench import Table, World, outcome


def bindings_of(table: Table) -> list[str]:
    found: list[str] = table.act(SERVER, Bindings())["bindings"]
    return found


def test_a_group_is_bound_to_several_things_and_lists_them(table: Table) -> None:
    seqs = [table.act(SERVER, Bind(name))["seq"] for name in ("shop:42", "创作者:安")]
    assert bindings_of(table) == ["shop:42", "创作者:安"]
    assert table.state.bindings == dict(zip(bindings_of(table), seqs, strict=True))


def test_binding_twice_and_unbinding_twice_is_once(table: Table) -> None:
    first, seq = table.act(SERVER, Bind("shop:42")), table.seq
    assert table.act(SERVER, Bind(" shop:42 ")) == first, "names are trimmed"
    assert table.seq == seq
    table.act(SERVER, Unbind("shop:42"))
    assert table.act(SERVER, Unbind("shop:42")) == {"seq": seq + 1}
    assert bindings_of(table) == []
    assert table.world.tie(table.book, BINDING, "shop:42") is None


def test_one_more_than_may_be_is_refused_and_the_old_ones_can_be_bound_again(table: Table) -> None:
    for number in range(BINDINGS_MAX):
        table.act(SERVER, Bind(f"shop:{number}"))
    error = table.refuse(SERVER, Bind("shop:x"))
    limit = BINDINGS_MAX
    assert error.details == {"quota": "bindings", "limit": limit, "used": limit}
    table.act(SERVER, Bind("shop:0"))
    table.act(SERVER, Unbind("shop:0"))
    table.act(SERVER, Bind("shop:x"))


@pytest.mark.parametrize("user", ["adam", "mia", "stranger"])
def test_whoever_is_not_the_system_or_its_owner_binds_nothing(table: Table, user: str) -> None:
    assert table.refuse(user, Bind("shop:42")).code == "forbidden"
    assert table.refuse(user, Bindings()).code == "forbidden"


def test_no_client_has_a_method_for_any_of_it() -> None:
    for request in (Bind, Unbind, Bindings, InviteCustomer, StartLive, StopLive):
        assert request not in REQUESTS.values()
        assert request.method not in REQUESTS


def test_a_dissolved_group_is_bound_to_nothing(table: Table) -> None:
    table.act(SERVER, Bind("shop:42"))
    table.act("olga", Dissolve())
    assert table.state.bindings == {}
    assert table.world.tie(table.book, BINDING, "shop:42") is None
    assert outcome(table.refuse(SERVER, Bind("shop:42"))) == "conflict: state"


def test_a_direct_chat_is_bound_to_nothing(world: World) -> None:
    pair = Table(world, world.act("ann", Direct("bob"))["group"])
    assert outcome(pair.refuse(SERVER, Bind("shop:42"))) == "forbidden: direct"


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 129, 5])
def test_a_name_is_of_one_line_and_bounded(name: object) -> None:
    with pytest.raises(Rejected):
        Bind.parse({"binding": name})


def test_bindings_outlive_a_snapshot_and_a_replay(table: Table) -> None:
    table.act(SERVER, Bind("shop:42"))
    table.happen(Bound("shop:42"))
    table.restart()
    assert bindings_of(table) == ["shop:42"]
    assert table.book.replayed().hash() == table.state.hash()
