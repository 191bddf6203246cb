from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupd.loadtest.plan import FOR_MAX_MS, POSTS_MAX
from groupd.loadtest.text import SIZE_MAX_BYTES, SIZE_MIN_BYTES, Stamp, Texts

LONGEST_US = 2 * FOR_MAX_MS * 1_000


@given(
    st.builds(
        Stamp,
        st.integers(0, POSTS_MAX - 1),
        st.integers(0, LONGEST_US),
        st.integers(0, LONGEST_US),
        st.booleans(),
    ),
    st.integers(SIZE_MIN_BYTES, SIZE_MAX_BYTES),
)
def test_a_text_says_what_was_written_and_has_its_size(stamp: Stamp, size: int) -> None:
    texts = Texts("0a1b2c3d", size)
    text = texts.write(stamp)
    assert len(text.encode()) == size
    assert text == text.strip()
    assert texts.read(text) == stamp


@pytest.mark.parametrize(
    "text", ["", "hello", "0a1b2c3d", "0a1b2c3d 1 2", "0a1b2c3d x 2 3 1 the", None, 5, b"bytes"]
)
def test_what_others_say_is_no_text_of_ours(text: object) -> None:
    assert Texts("0a1b2c3d", 100).read(text) is None


def test_texts_of_another_run_are_not_ours() -> None:
    text = Texts("11111111", 100).write(Stamp(1, 2, 3, True))
    assert Texts("22222222", 100).read(text) is None
