"""Who is asking: tokens that the host application issues and groupd believes."""

from groupd.auth.key_rings import KeyRing, KeyRings
from groupd.auth.keys import SECRET_MIN_BYTES
from groupd.auth.tokens import TokenVerifier, issue_token

__all__ = ["SECRET_MIN_BYTES", "KeyRing", "KeyRings", "TokenVerifier", "issue_token"]
