"""Links of archive pages become URLs."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.adapters.scrape.spiders.parsing import absolute, file_name

PAGE = "https://nek.example/ekos/GAZETE/gazete.php?gazete=aksam"


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("x.pdf", "https://nek.example/ekos/GAZETE/x.pdf"),
        (" x.pdf\n", "https://nek.example/ekos/GAZETE/x.pdf"),
        ("a b/c d_1_.pdf", "https://nek.example/ekos/GAZETE/a%20b/c%20d_1_.pdf"),
        ("a%20b.pdf", "https://nek.example/ekos/GAZETE/a%20b.pdf"),
        ("çağ.pdf", "https://nek.example/ekos/GAZETE/%C3%A7a%C4%9F.pdf"),
        ("c//c_1939/x.pdf", "https://nek.example/ekos/GAZETE/c//c_1939/x.pdf"),
        ("/c//c_1939//x__.pdf", "https://nek.example/c//c_1939//x__.pdf"),
        ("https://h.example/c//x.pdf#page=2", "https://h.example/c//x.pdf"),
        ("//h.example/x.pdf", "https://h.example/x.pdf"),
        ("../x.pdf", "https://nek.example/ekos/x.pdf"),
        ("../../../../x.pdf", "https://nek.example/x.pdf"),
        ("./a/./x.pdf", "https://nek.example/ekos/GAZETE/a/x.pdf"),
        ("?gazete=tan", "https://nek.example/ekos/GAZETE/gazete.php?gazete=tan"),
        ("#top", "https://nek.example/ekos/GAZETE/gazete.php?gazete=aksam"),
        ("mailto:a@b.example", None),
        ("javascript:void(0)", None),
        ("http://[broken", None),
    ],
)
def test_links_become_urls(link: str, url: str | None) -> None:
    assert absolute(PAGE, link) == url


def test_a_query_is_escaped_in_the_encoding_of_its_page() -> None:
    assert absolute(PAGE, "?ad=\u015f", "windows-1254") == "https://nek.example/ekos/GAZETE/gazete.php?ad=%FE"


def test_file_names() -> None:
    assert file_name("https://h.example/a//acik%20soz_1_.pdf?x=/y") == "acik soz_1_.pdf"


@given(st.lists(st.sampled_from(["a", "", "b c", "_", "é"]), min_size=1, max_size=6))
def test_every_step_of_a_path_is_kept(steps: list[str]) -> None:
    url = absolute(PAGE, "/x/" + "/".join(steps) + "/y.pdf")
    assert url is not None
    assert urlsplit(url).path.count("/") == len(steps) + 2
    assert absolute(PAGE, url) == url
