"""Names are permanent and lead to one class each; what the classes say of themselves fits."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import attrs
import pytest

from groupd import domain
from groupd.domain import catalog
from groupd.domain.account.hearing import Hear
from groupd.domain.account.profile import Introduce
from groupd.domain.account.revocation import Revoke
from groupd.domain.base import ACCOUNT, GROUP, Audience, Command, Event, Query, Request, Unknown
from groupd.domain.feeding import Ack, ForgetConsumer
from groupd.domain.group.bindings import Bind, Unbind
from groupd.domain.group.lives import StartLive, StopLive
from groupd.domain.group.messages import Typing
from groupd.domain.group.orders import InviteCustomer
from groupd.wire import codec

REQUESTS = list(catalog.REQUESTS.items())
EVENTS = [
    (stream, kind, cls) for stream, kinds in catalog.EVENTS.items() for kind, cls in kinds.items()
]
MODULES = tuple(
    import_module(found.name)
    for found in pkgutil.walk_packages(domain.__path__, f"{domain.__name__}.")
)

HEADER = {"group", "seq", "time_ms", "user", "kind", "id"}


def classes(base: type) -> set[type]:
    """Give the classes below ``base`` that the modules of the rules define, by name."""
    return {
        cls
        for module in MODULES
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, base) and cls.__module__ == module.__name__
    }


def test_every_event_class_is_in_the_catalog() -> None:
    listed = {cls for _stream, _kind, cls in EVENTS}
    defined = {cls for cls in classes(Event) if hasattr(cls, "kind")} - {Unknown}
    assert defined == listed


def test_every_command_class_is_in_the_catalog_but_the_servers_own() -> None:
    own = {Hear, Introduce, Revoke, Bind, Unbind, InviteCustomer, StartLive, StopLive}
    assert {cls for cls in classes(Command) if hasattr(cls, "method")} - own == {
        cls for _method, cls in REQUESTS if issubclass(cls, Command)
    }


@pytest.mark.parametrize(("method", "cls"), REQUESTS)
def test_a_method_leads_to_a_request_that_says_what_it_is(method: str, cls: type[Request]) -> None:
    assert cls.method == method
    assert issubclass(cls, Command) is not issubclass(cls, Query)
    assert cls.takes_id is issubclass(cls, Command)
    assert cls.addressed in (GROUP, ACCOUNT, "code", "group or account", "")
    assert cls.cost >= 1
    # These have nothing to tell but that they were done.
    assert cls.result or cls in (Typing, Ack, ForgetConsumer)
    assert cls.__doc__
    assert attrs.has(cls)


@pytest.mark.parametrize(("method", "cls"), REQUESTS)
def test_a_request_is_frozen_and_its_fields_carry_their_published_type(
    method: str, cls: type[Request]
) -> None:
    assert cls.__setattr__ is not object.__setattr__
    for field in attrs.fields(cls):  # type: ignore[arg-type]
        assert field.metadata["type"]
        # `id` and, but for the operator, `group` say where a request goes; they are no fields.
        assert field.name != "id"
        assert field.name != "group" or cls.operator or cls.addressed == ACCOUNT


@pytest.mark.parametrize(("stream", "kind", "cls"), EVENTS)
def test_a_kind_leads_to_an_event_whose_fields_do_not_hide_the_header(
    stream: str, kind: str, cls: type[Event]
) -> None:
    assert cls.kind == kind
    assert cls.stream_kind == stream
    assert cls.audience in Audience
    taken = HEADER if stream == GROUP else HEADER - {"group", "user"}
    assert taken.isdisjoint(name for name, _key, _default in codec.fields_of(cls))
    # What clients are shown in place of an event is no kind of its own.
    assert kind not in ("hidden", "erased")


@pytest.mark.parametrize(("stream", "kind", "cls"), EVENTS)
def test_every_field_of_an_event_has_a_default_so_that_it_may_be_added_or_erased(
    stream: str, kind: str, cls: type[Event]
) -> None:
    assert codec.encode_body(cls()) == b"\x00"


@pytest.mark.parametrize(("stream", "kind", "cls"), EVENTS)
def test_an_event_says_whether_it_has_views_and_what_it_does_to_older_messages(
    stream: str, kind: str, cls: type[Event]
) -> None:
    assert cls.moves is (cls.views is not Event.views)
    assert cls.moves or not cls.lets_in
    own = {name for name in ("touch", "erases") if getattr(cls, name) is not getattr(Event, name)}
    assert cls.touches is ("touch" in own)
    assert cls.touches or "erases" not in own


def test_an_event_of_no_known_kind_is_not_in_the_catalog() -> None:
    assert Unknown not in {cls for _stream, _kind, cls in EVENTS}
