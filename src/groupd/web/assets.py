"""The files of the web listener: scripts, styles and pages that come with the package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import attrs

from groupd.server.http import HttpResponse
from groupd.web.html import tag

TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
"""What may be among the files."""
FILES_MAX: Final = 200
CHAT: Final = "/chat.html"
"""The chat's page."""


@attrs.frozen
class Asset:
    """A file, as it is sent."""

    body: bytes
    content_type: str
    etag: str


class Assets:
    """Files by their paths; a page is also found without its ``.html``."""

    def __init__(self, files_: Mapping[str, Asset], headers: Mapping[str, str]) -> None:
        self._files = files_
        self._headers = headers

    def find(self, path: str, known: str) -> HttpResponse | None:
        """Give the file of a path, or that it is still the one of ``known`` tags; None for none."""
        asset = self._files.get(path) or self._files.get(f"{path.rstrip('/')}.html")
        if asset is None:
            return None
        headers = {
            **self._headers,
            "etag": asset.etag,
            # A page of which some modules are of the version before would not run.
            "cache_control": "no-cache",
        }
        if asset.etag in known:
            return HttpResponse(304, b"", asset.content_type, headers)
        return HttpResponse(200, asset.body, asset.content_type, headers)


def package_files(*, sign_in_url: str | None = None) -> dict[str, Asset]:
    """Read the files that come with the package: path below the listener -> file.

    The chat's page is told where somebody without a token goes.
    """
    found: dict[str, Asset] = {}

    def read(folder: Traversable, path: str) -> None:
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if entry.is_dir():
                read(entry, f"{path}/{entry.name}")
                continue
            content_type = TYPES.get("." + entry.name.rpartition(".")[2])
            if content_type is not None:
                found[f"{path}/{entry.name}"] = _asset(entry.read_bytes(), content_type)

    read(files("groupd.web") / "static", "")
    assert len(found) <= FILES_MAX, "more files than the web listener is made for"
    if sign_in_url is not None:
        page = found[CHAT]
        told = tag("meta", name="groupd-sign-in", content=sign_in_url).markup
        body = page.body.replace(b"</head>", f"{told}\n</head>".encode(), 1)
        found[CHAT] = _asset(body, page.content_type)
    return found


def _asset(body: bytes, content_type: str) -> Asset:
    return Asset(body, content_type, f'"{hashlib.sha256(body).hexdigest()[:20]}"')
