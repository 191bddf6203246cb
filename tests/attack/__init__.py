"""Attacks: whatever somebody sends, the server stays up, and the others are served.

Each threat of the list that groupd was built against, and the tests that show it answered. Tests
without a file name stand in this directory. Where resources are meant, a real server process is
attacked over real sockets; where rules are, a server in this process over links in memory.

Unauthenticated access
    ``test_access_over_the_wire.py`` (before hello; every cell of ``proto/access.md``; who has left
    or was kicked), ``tests/server/test_session_hello.py``,
    ``tests/server/test_operator_methods.py``
Token confusion: alg none, HS for RS, no exp, wrong aud, kid, rotation
    ``tests/auth/test_tokens.py``
MessagePack bombs, bytes that are no protocol
    ``tests/e2e/test_bad_input.py``, ``tests/wire/test_rpc.py``,
    ``tests/server/test_session_limits.py``
Slow handshakes, half frames, connections that say nothing
    ``test_half_open.py``; deadlines one by one: ``tests/server/test_tls_sessions.py``,
    ``tests/server/test_session_limits.py``
Connection floods: by address, by user, in all; a reserve of descriptors
    ``test_connection_flood.py``, ``test_reconnect_storm.py``; each limit by itself:
    ``tests/server/test_session_limits.py``
Slow readers
    ``test_stalled_readers.py``, ``tests/server/test_session_congestion.py``,
    ``tests/e2e/test_bad_input.py`` (answers that nobody reads), ``tests/engine/test_peer.py``
Something from after a kick, a leave, a ban or the end of a token
    ``tests/server/test_session_order.py``, ``tests/e2e/test_bad_input.py``,
    ``tests/engine/test_outlet.py``, ``tests/server/test_session_hello.py``; ``test_replay.py``
Subscription, search and history floods
    ``test_floods.py``; costs: ``tests/server/test_session_limits.py``; pages:
    ``tests/engine/test_reads.py``
Enumeration: ids, codes, the time and the bytes of refusals
    ``test_codes_and_ids.py``, ``test_access_over_the_wire.py`` (the same bytes for what is hidden
    and what is not there), ``tests/domain/test_links.py``, ``tests/engine/test_finding.py``
Replay of a hello, of a request, of an old frame
    ``test_replay.py``, ``tests/domain/test_exactly_once.py``, ``tests/e2e/test_retries.py``
Names and texts: NFC, controls, surrogates, BiDi, combining marks
    ``test_names_and_paths.py`` (every parameter of every method, every claim of a token),
    ``tests/domain/test_fields.py``; on a terminal: ``tests/cli/test_words.py``
Log injection
    ``test_names_and_paths.py``, ``tests/test_telemetry.py``
Path traversal
    ``test_names_and_paths.py``
Scripts in URLs
    ``tests/domain/test_fields.py``, ``tests/domain/test_cards.py``
XSS, CSRF, cross-site WebSocket
    not before there are pages, an HTTP API or WebSockets
Regular expressions of users
    there are none: ``tests/storage/test_sqlite_search.py`` (a name is data, never a query language)
Unfair use between tenants
    ``tests/engine/test_tenants.py``, ``tests/storage/test_sqlite_search.py``,
    ``test_access_over_the_wire.py`` (a group of another tenant is like none); one user's share of
    the server is the same in every tenant: ``test_floods.py``
Invite and join campaigns
    ``test_campaigns.py``, ``tests/domain/test_invitations.py``, ``tests/domain/test_admission.py``,
    ``tests/domain/test_blocks.py``
"""
