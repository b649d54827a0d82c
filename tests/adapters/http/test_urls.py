"""The host of a URL equals the host of its parsed target."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from derlem.adapters.http.urls import UrlError, host_of, read_url

TEXTS = st.text("htps:/?#[]@.%aA1-_0x\\ é\t*~ü。", max_size=20)


@given(
    st.sampled_from(["http://", "https://", "HTTP://", ""]),
    st.sampled_from(["", "a.b", "1.2.3.4", "[::1]", "0x7f.1", "x_y:80", "köy.example:8080", "A.example."]),
    TEXTS,
)
@example("http://", "127.0.0.1:8080", "/1.jpg")
def test_host_of_equals_the_host_of_the_target(scheme: str, host: str, rest: str) -> None:
    text = f"{scheme}{host}{rest}"
    try:
        whole = read_url(text).host
    except UrlError:
        whole = None
    try:
        alone = host_of(text)
    except UrlError:
        alone = None
    assert alone == whole
