"""Finding what a disk, a bug or a hand has changed in a store.

Reading order: ``records.py`` checks records and heads, ``index.py`` the index of a stream,
``state.py`` what else is stored of it, ``stream.py`` does all that for one stream, a bounded read
at a time, and ``whole.py`` goes through the streams and looks for what belongs to none.
"""

from groupd.storage.findings import WHOLE, Problem
from groupd.storage.verify.index import verify_index
from groupd.storage.verify.records import (
    BEGINNING,
    SENSELESS,
    SLICE,
    Place,
    all_records,
    all_streams,
    check_slice,
    faults,
    verify,
)
from groupd.storage.verify.stream import StreamCheck, check_stream
from groupd.storage.verify.whole import StoreCheck, check_store

__all__ = [
    "BEGINNING",
    "SENSELESS",
    "SLICE",
    "WHOLE",
    "Place",
    "Problem",
    "StoreCheck",
    "StreamCheck",
    "all_records",
    "all_streams",
    "check_slice",
    "check_store",
    "check_stream",
    "faults",
    "verify",
    "verify_index",
]
