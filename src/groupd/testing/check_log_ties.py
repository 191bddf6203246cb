"""The part of ``check_log`` that is about ties: what of the host's groups are tied to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from groupd.domain.base import GROUP, StreamKey
from groupd.domain.projection import Change, DropTie, DropTies, PutCard, PutTie, Tie
from groupd.storage.port import Store
from groupd.testing.log_samples import HALL, NOWHERE, TENANT, YARD, append, do


def _check_ties(store: Store) -> None:
    ties, foreign = store.ties, StreamKey(GROUP, "another", "hall")

    def bound_to(name: str, after: str = "", limit: int = 9) -> list[str]:
        return [group for group, _tie in ties.groups(TENANT, "binding", name, after, limit)]

    made: list[Change] = [
        PutCard({}),
        PutTie("binding", "shop", 1),
        PutTie("live", "shop", 1, "on", "a note"),
    ]
    do(store, append(HALL, 1, changes=made), append(foreign, 1, changes=made))
    do(store, append(YARD, 1, changes=[PutTie("binding", "shop", 1), PutTie("binding", "x", 1)]))
    assert ties.get(HALL, "live", "shop") == Tie(1, "on", "a note"), "a tie is as it was put"
    assert ties.get(HALL, "binding", "shop") == Tie(1), "and kinds are apart"
    assert ties.get(NOWHERE, "binding", "shop") is None, "a group that is not there has none"
    assert bound_to("shop") == ["hall", "yard"], (
        "groups are listed by their ties, and tenants apart"
    )
    assert bound_to("shop", limit=1) == ["hall"], "as many as asked for"
    assert bound_to("shop", after="hall") == ["yard"], "those behind one"
    assert bound_to("nothing") == [], "none, where there is none"
    do(store, append(HALL, 1, after=1, changes=[PutTie("live", "shop", 2, "ended")]))
    assert ties.groups(TENANT, "live", "shop", "", 9) == [("hall", Tie(2, "ended"))], (
        "one tie takes the place of an earlier one of its kind and name, whole"
    )
    do(store, append(HALL, 1, after=2, changes=[DropTie("binding", "shop"), DropTie("live", "x")]))
    assert bound_to("shop") == ["yard"], "a tie that is dropped is gone"
    assert ties.get(HALL, "live", "shop") == Tie(2, "ended"), "and no other with it"
    changes: list[Change] = [DropTies(("live", "binding")), PutTie("binding", "y", 4)]
    do(store, append(HALL, 1, after=3, changes=changes))
    assert ties.get(HALL, "live", "shop") is None, "all of a kind can go at once"
    assert bound_to("y") == ["hall"], "and new ones come after"
    assert bound_to("shop") == ["yard"], "in that group alone"


TIE_CHECKS: Final[Sequence[Callable[[Store], None]]] = (_check_ties,)
