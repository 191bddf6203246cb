"""A cron job: it posts a notice to every group that its user owns, and ends. It blocks as it waits.

    python examples/notice.py --token $(groupd token shop) "Closed on Monday"

Run again on the same day it says nothing twice: a notice's id is made of the day and the group.
"""

import argparse
import uuid

from groupd.client import blocking
from groupd.client.ids import uuid7

DAY_MS = 24 * 3_600_000
TAIL_BITS = 74


def main(server: str, token: str, text: str) -> int:
    """Post to all groups that the token's user owns; give how many there are."""
    with blocking.connect(server, token=token, events=False, timeout_ms=30_000) as client:
        owned = [group["group"] for group in client.chat_list if group["role"] == "owner"]
        for group in owned:
            posted = client.post(group, text, id=notice_id(client.server_time_ms(), group, text))
            print(f"{group}: message {posted.get('seq')}")
    return len(owned)


def notice_id(now_ms: int, group: str, text: str) -> str:
    """Make an id that is the same for the same notice in the same group on the same day."""
    tail = uuid.uuid5(uuid.NAMESPACE_OID, f"{group} {text}").int >> 128 - TAIL_BITS
    return uuid7(now_ms // DAY_MS * DAY_MS, tail)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Posts a notice to all groups of a user.")
    parser.add_argument("--server", default="tcp://127.0.0.1:7400")
    parser.add_argument("--token", required=True)
    parser.add_argument("text")
    options = parser.parse_args()
    main(options.server, options.token, options.text)
