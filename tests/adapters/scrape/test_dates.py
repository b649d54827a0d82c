"""Dates of newspaper archives: spellings, file names, ambiguous and invalid dates."""

from __future__ import annotations

import calendar
import datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.adapters.scrape.spiders.dates import PartialDate, fold, one_edit_apart, read_date

SPELLINGS = {
    1: ["Ocak", "OCAK", "kanunusani", "Kânunusani", "kanunisani", "Kânun-ı Sânî", "Kânûn-u sâni",
        "ikinci kanun", "İkinci Kânun", "IKINCI KANUN", "ikincikanun", "son kanun", "II. Kanun",
        "2 nci kanun", "2nci Kânun", "janvier", "January", "Januar"],
    2: ["Şubat", "ŞUBAT", "subat", "février", "February", "Februar"],
    3: ["Mart", "MART", "mart", "mars", "marz", "März", "March"],
    4: ["Nisan", "NİSAN", "nisan", "avril", "April"],
    5: ["Mayıs", "MAYIS", "mayis", "mai", "May"],
    6: ["Haziran", "HAZİRAN", "haziran", "juin", "June", "Juni"],
    7: ["Temmuz", "TEMMUZ", "temmuz", "temuz", "juillet", "July", "Juli"],
    8: ["Ağustos", "AĞUSTOS", "agustos", "agusotos", "ağutsos", "aout", "août", "August"],
    9: ["Eylül", "EYLÜL", "eylul", "eyul", "septembre", "September"],
    10: ["Ekim", "EKİM", "teşrinievvel", "Teşrin-i Evvel", "ilk teşrin", "ilktesrin", ",ilktesrin",
         "Birinci Teşrin", "birinciteşrin", "I. Teşrin", "octobre", "October", "Oktober"],
    11: ["Kasım", "KASIM", "kasim", "teşrinisani", "Teşrîn-i Sânî", "son tesrin", "SON TEŞRİN", "sonteşrin",
         "ikinci teşrin", "ikincitesrin", "novembre", "November"],
    12: ["Aralık", "ARALIK", "aralik", "kanunuevvel", "Kânunuevvel", "kanunievvel", "ilk kanun", "ilkkanun",
         "birinci kânun", "décembre", "December", "Dezember"],
}  # fmt: skip
ALL_SPELLINGS = [(month, name) for month, names in SPELLINGS.items() for name in names]


@pytest.mark.parametrize(("month", "name"), ALL_SPELLINGS)
def test_every_known_spelling(month: int, name: str) -> None:
    assert read_date(f"5 {name} 1936") == PartialDate(1936, month, 5)
    assert read_date(name, 1936) == PartialDate(1936, month)


@pytest.mark.parametrize(
    ("text", "year", "iso", "precision"),
    [
        ("5.pdf Ikinci Kanun 1936", None, "1936-01-05", "day"),
        ("Ikinci Kanun 1936", 1936, "1936-01", "month"),
        ("12 agusotos", 1935, "1935-08-12", "day"),
        (",ilktesrin", 1934, "1934-10", "month"),
        ("acik soz_1936_temmuz_1_.pdf", None, "1936-07-01", "day"),
        ("anadolu_1935__mart_10_.pdf", None, "1935-03-10", "day"),
        ("cumhuriyet_1939_agustos_13__.pdf", None, "1939-08-13", "day"),
        ("November 20, 1924", None, "1924-11-20", "day"),
        ("20th of November 1924", None, "1924-11", "month"),
        ("05.07.1936", None, "1936-07-05", "day"),
        ("5/7/1936", None, "1936-07-05", "day"),
        ("1936-07-05T00:00:00Z", None, "1936-07-05", "day"),
        ("1936-07", None, "1936-07", "month"),
        ("19361105", None, "1936-11-05", "day"),
        ("[1936?]", None, "1936", "year"),
        ("Sayı 12, 5 Temmuz 1936", None, "1936-07-05", "day"),
        ("Sayı: 12 Temmuz 1936", None, "1936-07", "month"),
        ("31 Nisan 1935", None, "1935-04", "month"),
        ("29 Şubat 1936", None, "1936-02-29", "day"),
        ("29 Şubat 1935", None, "1935-02", "month"),
        ("1-2 Mart 1935", None, "1935-03", "month"),
        ("1 ve 2 Mart 1935", None, "1935-03", "month"),
        ("30 Haziran - 1 Temmuz 1936", None, "1936", "year"),
        ("1 Temmuz 1937", 1936, "1937-07-01", "day"),
        ("1935-1936 Temmuz", 1936, "1936-07", "month"),
        ("sayfa eksik", 1936, "1936", "year"),
        ("kanu04i", 1930, "1930", "year"),
    ],
)
def test_cells_and_file_names(text: str, year: int | None, iso: str, precision: str) -> None:
    read = read_date(text, year)
    assert read is not None
    assert (read.iso, read.precision) == (iso, precision)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sayfa eksik",
        "5 Temmuz",
        "Paris, circa 1400",
        "12 Rebiülevvel 1340",
        "1935-1936 Temmuz",
        "99.99.1936x",
    ],
)
def test_text_without_a_date_gives_none(text: str) -> None:
    assert read_date(text) is None or read_date(text) == PartialDate(1936)


@pytest.mark.parametrize(
    "word", ["kanuni", "martı", "ocakbaşı", "ekimci", "Nisanlık", "mayonez", "Akşam", "Sabah", "salı"]
)
def test_words_that_begin_like_a_month_are_not_months(word: str) -> None:
    assert read_date(f"5 {word} 1936") == PartialDate(1936)


def test_turkish_letters_of_both_cases_are_folded() -> None:
    assert fold("İIıiŞşĞğÜüÖöÇçÂâÎîÛû") == "iiiissgguuooccaaiiuu"
    assert fold("I\u0307stanbul") == "istanbul"  # a dotted capital in two code points


def test_misspellings_are_one_edit_apart() -> None:
    assert all(one_edit_apart("agustos", word) for word in ("agusotos", "agstos", "agusros", "agsutos"))
    assert not any(one_edit_apart("agustos", word) for word in ("agustos", "agsts", "austosg", ""))


DATES = st.dates(datetime.date(1500, 1, 1), datetime.date(2099, 12, 31))
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


@given(DATES, st.randoms(use_true_random=False), st.sampled_from([" ", "_", "__", ". ", "  "]))
def test_any_day_in_any_spelling(day: datetime.date, random: Random, gap: str) -> None:
    name = random.choice(SPELLINGS[day.month])
    for parts in ([day.day, name, day.year], [day.year, name, day.day]):
        read = read_date(gap.join(map(str, parts)) + random.choice(["", ".pdf", "_", " Pazartesi"]))
        assert read is not None
        assert read.iso == day.isoformat()


@given(DATES)
def test_dates_in_digits(day: datetime.date) -> None:
    expected = PartialDate(day.year, day.month, day.day)
    assert read_date(day.isoformat()) == expected
    assert read_date(f"{day.day}.{day.month}.{day.year}") == expected
    assert read_date(f"{day.year}{day.month:02d}{day.day:02d}") == expected


@given(TEXTS, st.none() | st.integers(1500, 2099))
def test_any_text_gives_a_calendar_date_or_none(text: str, year: int | None) -> None:
    read = read_date(text, year)
    if read is None:
        assert year is None
        return
    assert 1500 <= read.year < 2100
    if read.day is not None:
        assert read.month is not None
        assert 1 <= read.day <= calendar.monthrange(read.year, read.month)[1]
    assert {"day": 10, "month": 7, "year": 4}[read.precision] == len(read.iso)


@given(TEXTS, TEXTS)
def test_folding_is_idempotent(one: str, other: str) -> None:
    assert fold(fold(one)) == fold(one)
    assert one_edit_apart(one, other) == one_edit_apart(other, one)
