"""A replica of a university's newspaper archive: 3 titles, 40 issues, and the archive's irregularities.

An index of cards, a page for each title with a table for each year; undeclared windows-1254 beside UTF-8;
spaces, double slashes and double underscores in URLs; dates in words of three eras, misspelled, without
a day or invalid; an extra date cell; a title behind a 429; a missing PDF and a truncated PDF.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from replica import Answer, Replica, small_pdf, tagged

ROOT = "/ekos/GAZETE/"


@dataclass(frozen=True)
class Issue:
    """An issue as the archive lists it: its cell, its path as written, and the expected date."""

    cell: str
    path: str
    date: str | None
    precision: str | None


@dataclass(frozen=True)
class Title:
    """A newspaper; its pages use `encoding` without declaring it."""

    name: str
    slug: str
    encoding: str
    years: Mapping[int, list[Issue]]


def _days(folder: str, year: int, month: str, number: int, days: range, word: str) -> list[Issue]:
    return [
        Issue(f"{day} {word} {year}", f"{folder}_{month}_{day}.pdf", f"{year}-{number:02d}-{day:02d}", "day")
        for day in days
    ]


AKSAM = Title(
    "Akşam",
    "aksam",
    "windows-1254",
    {
        1935: [
            *_days("aksam/aksam_1935/aksam_1935", 1935, "ocak", 1, range(1, 6), "Kânunusani"),
            Issue("1 İlkteşrin 1935", "aksam/aksam_1935/aksam_1935_ilktesrin_1.pdf", "1935-10-01", "day"),
            Issue("2 Son Teşrin 1935", "aksam/aksam_1935/aksam_1935_sontesrin_2.pdf", "1935-11-02", "day"),
            Issue(
                "3 Birincikânun 1935", "aksam/aksam_1935/aksam_1935_birincikanun_3.pdf", "1935-12-03", "day"
            ),
            Issue("4 aout 1935", "aksam/aksam_1935/aksam_1935_aout_4.pdf", "1935-08-04", "day"),
            Issue("5 marz 1935", "aksam/aksam_1935/aksam_1935_marz_5.pdf", "1935-03-05", "day"),
        ],
        1936: [
            *_days("aksam/aksam_1936/aksam_1936", 1936, "eylul", 9, range(10, 14), "Eylül"),
            Issue("12 agusotos 1936", "aksam/aksam_1936/aksam_1936_agustos_12.pdf", "1936-08-12", "day"),
        ],
    },
)
ACIK_SOZ = Title(
    "Açık Söz",
    "aciksoz",
    "utf-8",
    {
        1936: [
            *_days("acik soz/acik soz_1936/acik soz_1936", 1936, "temmuz", 7, range(2, 8), "TEMMUZ"),
            Issue("1 Temmuz 1936", "acik soz/acik soz_1936/acik soz_1936_temmuz_/acik soz_1936_temmuz_1_.pdf",
                  "1936-07-01", "day"),
            Issue("Haziran 1936", "acik soz/acik soz_1936/acik soz_1936_haziran_9_.pdf", "1936-06-09", "day"),
            Issue("MAYIS 1936", "acik soz/acik soz_1936/acik soz ek.pdf", "1936-05", "month"),
            Issue("10 mart", "acik soz/acik soz_1936/anadolu_1936__mart_10_.pdf", "1936-03-10", "day"),
        ],
    },
)  # fmt: skip
CUMHURIYET = Title(
    "Cumhuriyet",
    "cumhuriyet",
    "utf-8",
    {
        1936: [
            Issue("5.pdf Ikinci Kanun 1936", "cumhuriyet//cumhuriyet_1936/5.pdf", "1936-01-05", "day"),
            Issue("6.pdf İkinci Kanun 1936", "cumhuriyet//cumhuriyet_1936/6.pdf", "1936-01-06", "day"),
            Issue(",ilktesrin", "cumhuriyet//cumhuriyet_1936/ilktesrin.pdf", "1936-10", "month"),
            Issue("okunmuyor", "cumhuriyet//cumhuriyet_1936/okunmuyor.pdf", "1936", "year"),
            Issue("30 Haziran - 1 Temmuz 1936", "cumhuriyet//cumhuriyet_1936/bayram.pdf", "1936", "year"),
        ],
        1939: [
            Issue("13 Ağustos 1939", "cumhuriyet//cumhuriyet_1939/cumhuriyet_1939_agustos_13__.pdf",
                  "1939-08-13", "day"),
            Issue("14 Ağustos 1939", "cumhuriyet//cumhuriyet_1939/cumhuriyet_1939_agustos_14__.pdf",
                  "1939-08-14", "day"),
            *_days("cumhuriyet//cumhuriyet_1939/cumhuriyet_1939", 1939, "subat", 2, range(1, 9), "ŞUBAT"),
        ],
    },
)  # fmt: skip
TITLES = (AKSAM, ACIK_SOZ, CUMHURIYET)
MISSING = "aksam/aksam_1936/aksam_1936_eylul_13.pdf"
BROKEN_OFF = "cumhuriyet//cumhuriyet_1939/cumhuriyet_1939_subat_8.pdf"
HIDDEN = "yasak/gizli.pdf"


class NewspaperArchive(Replica):
    """Serves the archive. `busy` answers of the title Açık Söz are 429 with `Retry-After: retry_after`."""

    def __init__(self, busy: int = 1, retry_after: str = "1", crawl_delay: float = 0.05) -> None:
        self.busy, self.retry_after, self.crawl_delay = busy, retry_after, crawl_delay
        self.titles = list(TITLES)
        super().__init__()

    def build(self) -> None:
        rules = f"User-agent: *\nCrawl-delay: {self.crawl_delay}\nDisallow: {ROOT}yasak/\n"
        self.robots = Answer(rules.encode(), "text/plain")
        paths = {issue.path for title in TITLES for year in title.years.values() for issue in year}
        self.documents = {quote(f"{ROOT}{path}"): small_pdf(path.rpartition("/")[2]) for path in paths}
        del self.documents[quote(ROOT + MISSING)]

    def url(self, path: str) -> str:
        """The URL of a document, as a client must request it."""
        return self.base + quote(ROOT + path)

    def issues(self) -> dict[str, tuple[Title, Issue]]:
        """All titles and issues, by URL."""
        return {
            self.url(issue.path): (title, issue)
            for title in self.titles
            for year in title.years.values()
            for issue in year
        }

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        if path == ROOT:
            return tagged(self._index().encode("windows-1254"))
        for title in self.titles:
            if path == f"{ROOT}gazete.php?gazete={title.slug}":
                with self.lock:
                    refused = title is ACIK_SOZ and self.busy > 0
                    self.busy -= refused
                if refused:
                    return Answer(b"busy", status=429, headers={"Retry-After": self.retry_after})
                page = self._page(title).encode(title.encoding)
                return tagged(page) if title is not AKSAM else Answer(page)
        answer = tagged(self.documents[path], "application/pdf")
        if path == quote(ROOT + BROKEN_OFF):
            answer.cut = len(answer.body) // 2
        return answer

    def _index(self) -> str:
        cards = []
        for place, title in enumerate(self.titles):
            caption = f'<span class="caption">{title.name}</span>'
            inner, beside = (caption, "") if place % 2 else ("", caption)
            cards.append(
                f'<div class="col-6 col-md-4 col-lg-2"><a class="popular-category"'
                f' href="gazete.php?gazete={title.slug}"><img src="x.jpg">{inner}</a>{beside}</div>'
            )
        return f"<html><body><h1>Gazeteden Tarihe Bakış</h1>{''.join(cards)}</body></html>"

    def _page(self, title: Title) -> str:
        tables = []
        for year, issues in title.years.items():
            rows = "".join(
                f'<tr><td class="tm-text-left">{issue.cell}</td>'
                f'<td><a href="{self.base}{ROOT}{issue.path}" target="_blank">Tıklayınız</a></td></tr>\n'
                for issue in issues
            )
            tables.append(
                f'<button type="button" class="collapsible">{year}</button><div class="content"><table>'
                f"<tr><th>Tarih</th><th>Gazete</th></tr>{rows}"
                f'<td class="tm-text-left">31 Aralık {year}</td></table></div>'
            )
        return f"<html><head><title>{title.name}</title></head><body>{''.join(tables)}</body></html>"
