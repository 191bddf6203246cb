"""The typed calls say what the request classes say."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from typing import Any, Final

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from groupd.domain.base import GROUP, Request
from groupd.domain.catalog import REQUESTS
from groupd.engine.calls import Calls
from groupd.errors import Rejected
from tests.strategies import requests

NOT_CALLS: Final = {"hello"} | {name for name, cls in REQUESTS.items() if cls.operator}
METHODS: Final = sorted(REQUESTS.keys() - NOT_CALLS)

TYPES: Final[Mapping[str, str]] = {
    "boolean": "bool",
    "integer": "int",
    "seq": "int",
    "time_ms": "int",
    "map": "dict",
    "card": "dict",
    "location": "dict",
    "group_card": "dict",
    "settings": "dict",
    "announcement": "dict",
    "link_counts": "dict",
    "stats": "dict",
    "offer": "dict",
}
"""Published type -> type in Python, for those that are not a string or a list."""


class Recorder(Calls):
    """Keeps what it is asked instead of having it served."""

    async def call(
        self,
        request: Request,
        *,
        group: str | None = None,
        id: str | None = None,
    ) -> dict[str, Any]:
        self.request, self.group, self.id = request, group, id
        return {}


def own_methods() -> set[str]:
    functions = inspect.getmembers(Calls, inspect.iscoroutinefunction)
    return {name for name, _function in functions}


def test_there_is_one_call_for_each_method_of_the_protocol() -> None:
    assert own_methods() - {"call"} == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_a_call_takes_what_its_request_takes(method: str) -> None:
    """Names and defaults; the group too, and the id."""
    cls = REQUESTS[method]
    wanted: dict[str, Any] = {}
    if cls.addressed in (GROUP, "group or account"):
        # A group is joined by a code as well.
        optional = method == "join" or cls.addressed != GROUP
        wanted["group"] = None if optional else inspect.Parameter.empty
    for field in attrs.fields(cls):  # type: ignore[arg-type]
        missing = field.default is attrs.NOTHING
        wanted[field.alias] = inspect.Parameter.empty if missing else field.default
    if cls.takes_id:
        wanted["id"] = None
    taken = inspect.signature(getattr(Calls, method)).parameters
    given = {name: parameter.default for name, parameter in taken.items() if name != "self"}
    assert given == wanted


@pytest.mark.parametrize("method", METHODS)
def test_at_most_the_group_and_one_more_go_by_place(method: str) -> None:
    kinds = [p.kind for p in inspect.signature(getattr(Calls, method)).parameters.values()]
    assert kinds[1:].count(inspect.Parameter.POSITIONAL_OR_KEYWORD) <= 2


@pytest.mark.parametrize("method", METHODS)
def test_a_result_is_what_its_request_promises(method: str) -> None:
    shape = typing.get_type_hints(getattr(Calls, method))["return"]
    promised = REQUESTS[method].result
    optional = {name for name, shown in promised.items() if shown.endswith("?")}
    assert shape.__optional_keys__ == optional
    assert shape.__required_keys__ == promised.keys() - optional
    for name, kind in typing.get_type_hints(shape).items():
        shown = promised[name].rstrip("?")
        wanted = "list" if shown.startswith("list") else TYPES.get(shown, "str")
        assert (typing.get_origin(kind) or kind).__name__ == wanted, name


@given(data=st.data())
def test_a_call_passes_everything_on(data: st.DataObject) -> None:
    """Each parameter reaches the field of its name, and group and id their own place."""
    cls = REQUESTS[data.draw(st.sampled_from(METHODS))]
    request = data.draw(requests(cls))
    fields = attrs.fields(cls)  # type: ignore[arg-type]
    given_fields = {field.alias for field in fields}
    params = {field.alias: getattr(request, field.name) for field in fields}
    if cls.addressed in (GROUP, "group or account"):
        params["group"] = "the-group"
    if cls.takes_id:
        params["id"] = "the-id"
    recorder = Recorder()
    trio.run(lambda: getattr(recorder, cls.method)(**params))
    assert recorder.request == request
    assert recorder.group == (None if "group" in given_fields else params.get("group"))
    assert recorder.id == params.get("id")


async def test_one_string_is_no_list_of_users() -> None:
    with pytest.raises(Rejected, match="got one string"):
        await Recorder().users("bob")
    with pytest.raises(Rejected, match="got one string"):
        await Recorder().create("Tea", members="bob")
