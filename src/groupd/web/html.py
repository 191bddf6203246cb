"""HTML out of values: all text is escaped, because there is no other way to put it in."""

from __future__ import annotations

from html import escape
from typing import Final, TypeAlias

import attrs

VOID: Final = frozenset({"meta", "link", "img", "br"})
"""Elements without an end. HTML Standard, section 13.1.2."""


@attrs.frozen
class Element:
    """What ``tag`` has made."""

    markup: str


Child: TypeAlias = Element | str | None
"""What may be in an element: another one, text, or nothing."""


def tag(element: str, /, *children: Child, **attributes: str | None) -> Element:
    """Make an element.

    Of an attribute's name, an underscore at the end goes (``class_``), and others become hyphens;
    one that is None is left out.
    """
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in VOID:
        return Element(f"<{element}{named}>")
    return Element(f"<{element}{named}>{''.join(map(_markup, children))}</{element}>")


def document(language: str, head: list[Element], body: list[Element]) -> bytes:
    """Put a page together."""
    page = tag("html", tag("head", *head), tag("body", *body), lang=language)
    return f"<!doctype html>\n{page.markup}\n".encode()


def _markup(child: Child) -> str:
    if child is None:
        return ""
    return child.markup if isinstance(child, Element) else escape(child)
