"""What one may do, and why: ``explain`` shows the rules of a method, by the code that decides.

A rule stands with the request that it is for (``Request.rules``) or with the state that all its
requests share (``group/state.py``). The guard asks them in order and raises the first refusal;
``explain`` asks them all and shows each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import attrs

from groupd.config import CONTENT
from groupd.domain import fields
from groupd.domain.base import (
    Command,
    Context,
    Identity,
    LiveQuery,
    Needs,
    Request,
    Rule,
    StreamKey,
)
from groupd.domain.parameters import parameters_of
from groupd.errors import Rejected


@attrs.frozen
class Explain(LiveQuery):
    """Ask which rules stand between the caller and a method, and what each of them says.

    ``params`` are those that the call would have; without them, rules that depend on them are
    judged as for a call that names nothing.
    """

    method = "explain"
    cost = 2
    addressed = "group or account"
    through_account = True
    result: ClassVar = {
        "method": "string",
        "allowed": "boolean",
        "rules": "list[explained_rule]",
    }

    asked: str = fields.name(CONTENT.ref_max, alias="method")
    given: Mapping[str, Any] | None = fields.value_map(
        CONTENT.card_max_bytes, default=None, alias="params"
    )

    def address(self, group: str | None, caller: Identity) -> StreamKey:
        """Go to the group, or to the caller's account where none is named."""
        return caller.account if group is None else super().address(group, caller)

    def counted(self, caller: Identity) -> StreamKey:
        """Pass through the account that the call itself would."""
        request = self._given()
        return caller.account if request is None else request.counted(caller)

    def needs(self, state: Any, caller: Identity) -> Needs:
        """Fetch what the method itself would, if it is said of whom or what the call is."""
        pair = tuple(getattr(state, "direct", ()))
        blank = Needs(users=(caller.user,), blocks=(pair,) if pair else ())
        request = self._given()
        # Nothing has been checked yet: it may be a method that this stream does not serve.
        if not isinstance(request, Command | LiveQuery) or not request.addresses(state.kind):
            return blank
        own = request.needs(state, caller)
        return attrs.evolve(
            own, users=(*own.users, *blank.users), blocks=own.blocks or blank.blocks
        )

    def ask(self, state: Any, context: Context) -> dict[str, Any]:
        """Give each rule with its value, its source and its verdict."""
        cls = self._class()
        if cls is None or cls.operator:
            raise Rejected("not_found", f"there is no method {self.asked}")
        if not cls.addresses(context.stream.kind):
            raise fields.refuse(
                "group", f"{self.asked} is asked of {cls.addressed or 'the server'}"
            )
        rules: Sequence[Rule] = state.rules_of(cls)
        shown = list(explained(rules, state, context, self._request(cls)))
        return {
            "method": self.asked,
            "allowed": all(rule["verdict"] == "holds" for rule in shown),
            "rules": shown,
        }

    def _given(self) -> Request | None:
        """Give the call that is explained; None where it is not said, or wrong."""
        cls = self._class()
        if cls is None or self.given is None:
            return None
        try:
            return cls.parse(self.given)
        except Rejected:
            return None  # `ask` raises it, where the caller hears of it.

    def _class(self) -> type[Request] | None:
        # Here and not above, because the catalog lists this very class.
        from groupd.domain.catalog import REQUESTS

        return REQUESTS.get(self.asked)

    def _request(self, cls: type[Request]) -> Request:
        if self.given is not None:
            return cls.parse(self.given)
        blank = cls.__new__(cls)
        for name, _alias, default in parameters_of(cls):
            object.__setattr__(blank, name, None if default is attrs.NOTHING else default)
        return blank


def explained(
    rules: Iterable[Rule], state: Any, context: Context, request: Request
) -> Iterable[dict[str, Any]]:
    """Give what each rule says to a request; after one that bars the caller, no more.

    What follows would tell them of things that are not theirs to know.
    """
    for rule in rules:
        refusal = rule.refuse(state, context, request)
        shown: dict[str, Any] = {
            "rule": rule.name,
            "source": rule.source,
            "verdict": "holds" if refusal is None else "refuses",
        }
        value = rule.value(state, context)
        if value is not None:
            shown["value"] = value
        if refusal is not None:
            shown["code"] = refusal.code
            if "reason" in refusal.details:
                shown["reason"] = refusal.details["reason"]
        answered_by = rule.answered_by(state, context)
        if answered_by is not None:
            shown["answered_by"] = answered_by
        yield shown
        if refusal is not None and rule.bars:
            return
