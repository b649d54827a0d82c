"""Who may be drawn, who may not, and that each of those is counted by its reason."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from derlem.catalog.queries import query
from derlem.core.errors import ConfigError, UnknownManifest
from derlem.sampling import dedup_index
from derlem.sampling.draw import draw_sample
from derlem.sampling.exclusion import Fingerprint
from derlem.sampling.licensing import permitted
from derlem.sampling.plan import plan_sample
from derlem.sampling.sample_options import Exclusion, LicenseRules, SampleOptions
from tests.factories.small_catalog import Row, SmallCatalog

Ten = tuple[SmallCatalog, list[Row]]


def ident(number: int) -> str:
    return hashlib.md5(str(number).encode()).hexdigest()


@pytest.fixture
def ten(small_catalog: SmallCatalog) -> Ten:
    """Ten items of two sources, a to j in one category."""
    rows = [Row(ident(n), "s0" if n < 5 else "s1", "c", str(n)) for n in range(10)]
    small_catalog.fill(rows, ["s0", "s1"])
    return small_catalog, rows


def drawn(catalog: SmallCatalog, **given_options: Any) -> tuple[set[int], dict[str, int]]:
    """(numbers of the items drawn, reasons)."""
    numbers = {ident(n): n for n in range(10)}
    raw = {"name": "x", "target": 100, "allow_shortfall": True, **given_options}
    result = draw_sample(catalog.connection, SampleOptions.model_validate(raw), "r")
    held = {numbers[item] for item, *_ in catalog.manifest("x")}
    assert result.selected == len(held)
    [(listed,)] = catalog.connection.execute("SELECT count(*) FROM items").fetchall()
    assert sum(result.plan.excluded.values()) == listed - len(held)
    return held, result.plan.excluded


def change(catalog: SmallCatalog, column: str, **values: object) -> None:
    for number, value in values.items():
        catalog.connection.execute(
            f"UPDATE items SET {column} = ? WHERE item_id = ?", [value, ident(int(number[1:]))]
        )
    catalog.merged()


def test_only_ready_items_of_live_sources(ten: Ten) -> None:
    catalog, _ = ten
    change(catalog, "status", n0="failed", n1="withdrawn", n2="discovered", n3="expanded", n4="rejected")
    assert drawn(catalog) == (
        {5, 6, 7, 8, 9},
        {"discovered": 1, "expanded": 1, "failed": 1, "rejected": 1, "withdrawn": 1},
    )
    catalog.connection.execute("UPDATE sources SET withdrawn_at = now() WHERE source = 's1'")
    catalog.connection.execute("UPDATE items SET status = 'ready'")
    catalog.merged()
    assert drawn(catalog) == ({0, 1, 2, 3, 4}, {"source_withdrawn": 5})


def test_items_of_an_undeclared_source_are_no_candidates(ten: Ten) -> None:
    catalog, _ = ten
    catalog.connection.execute("DELETE FROM sources WHERE source = 's0'")
    assert drawn(catalog) == ({5, 6, 7, 8, 9}, {"source_withdrawn": 5})


def test_a_predicate(ten: Ten) -> None:
    catalog, _ = ten
    change(catalog, "width", n1=640, n2=640, n3=100)
    change(catalog, "caption", n1="ein Bild", n3="bir resim")
    where = "width >= 512 AND caption IS NOT NULL -- large ones"
    assert drawn(catalog, where=where) == ({1}, {"where": 9})


def test_names_of_functions_in_texts_are_no_calls(ten: Ten) -> None:
    catalog, _ = ten
    change(catalog, "caption", n1="random()", n2="now() or current_date", n3="count(*)")
    where = "caption IN ('random()', 'now() or current_date') OR caption = 'count(*)'"
    assert drawn(catalog, where=where) == ({1, 2, 3}, {"where": 7})


def test_a_predicate_sees_all_items(ten: Ten) -> None:
    """Not a subset such as possible duplicates, for which it would mean something else."""
    catalog, rows = ten
    change(catalog, "width", **{f"n{n}": n for n in range(10)})
    catalog.connection.execute(
        "UPDATE items SET sha256 = 'same' WHERE item_id IN (?, ?)", [rows[8].item_id, rows[9].item_id]
    )
    catalog.merged()
    where = "width >= (SELECT avg(width) FROM items) AND (SELECT count(*) FROM items) = 10"
    assert drawn(catalog, where=where) == ({5, 6, 7, 9}, {"duplicate": 1, "where": 5})


def test_a_predicate_is_not_evaluated_on_items_that_are_not_ready(ten: Ten) -> None:
    catalog, rows = ten
    change(catalog, "caption", **{f"n{n}": str(n) for n in range(9)}, n9="none")
    catalog.connection.execute("UPDATE items SET status = 'rejected' WHERE item_id = ?", [rows[9].item_id])
    catalog.merged()
    assert drawn(catalog, where="CAST(caption AS INTEGER) < 4") == (
        {0, 1, 2, 3},
        {"rejected": 1, "where": 5},
    )


@pytest.mark.parametrize(
    ("predicate", "message"),
    [
        ("widht > 3", "widht"),
        ("width >", "predicate"),
        ("1 = 1); DROP TABLE items; SELECT (1", "several statements"),
        ("random() < 0.5", "random gives another answer"),
        ("updated_at < current_timestamp", "current_timestamp gives another answer"),
        ("RANDOM() < 0.5", "random gives another answer"),
        ("list_transform([width], x -> random())[1] < 1", "random gives another answer"),
        ("discovered_at < now()", "now gives another answer"),
        ("CAST(discovered_at AS DATE) < today()", "today gives another answer"),
        ("age(discovered_at) > INTERVAL 1 DAY", "age gives another answer"),
        ("category", "fails on some item|predicate"),
        ("CAST(uri AS INTEGER) > 3", "fails on some item"),
        ("count(*) > 1", "count_star is an aggregate"),
        ("width > avg(width)", "avg is an aggregate"),
        ("row_number() OVER (ORDER BY item_id) < 3", "row_number is a window function"),
        ("TRUE) GROUP BY (item_id", "not further clauses"),
        ("TRUE) UNION SELECT (1", "not further clauses|predicate"),
        ("width > $limit", "parameter|predicate"),
        ("item_id IN (SELECT content FROM read_text('/etc/hostname'))", "reads the catalog only"),
        ("item_id IN (SELECT column0 FROM '/etc/passwd.csv')", "predicate"),
    ],
)
def test_a_predicate_that_is_refused(ten: Ten, predicate: str, message: str) -> None:
    catalog, _ = ten
    with pytest.raises(ConfigError, match=message) as error:
        drawn(catalog, where=predicate)
    assert error.value.key == "sample.where"
    assert catalog.connection.execute("SELECT count(*) FROM items").fetchone() == (10,)


def test_licenses(ten: Ten) -> None:
    catalog, _ = ten
    change(catalog, "license", n1="CC-BY-4.0", n2="MIT OR GPL-3.0-only", n3="MIT AND GPL-3.0-only", n4=None)
    assert drawn(catalog, licenses={"allow": ["CC-BY-4.0", "MIT"]}) == ({1, 2}, {"license": 8})
    assert drawn(catalog, licenses={"deny": ["GPL-3.0-only"]}) == (set(range(10)) - {3}, {"license": 1})


@pytest.mark.parametrize(
    ("expression", "allow", "deny", "passes"),
    [
        ("MIT", None, [], True),
        ("mit", ["MIT"], [], True),
        ("MIT", ["Apache-2.0"], [], False),
        ("(MIT OR GPL-2.0-only) AND CC0-1.0", ["MIT", "CC0-1.0"], [], True),
        ("(MIT OR GPL-2.0-only) AND CC0-1.0", ["MIT"], [], False),
        ("GPL-2.0-only WITH x-exception", ["GPL-2.0-only"], [], True),
        ("GPL-2.0-only WITH x-exception", None, ["GPL-2.0-only"], False),
        (
            "GPL-2.0-only WITH x-exception",
            ["GPL-2.0-only WITH x-exception"],
            [],
            True,
        ),
        ("MIT OR Apache-2.0", None, ["MIT"], True),
        ("MIT AND Apache-2.0", None, ["MIT"], False),
        ("free for research", ["free for research"], [], True),
        ("free for research", ["free"], [], False),
        ("MIT AND", ["MIT"], [], False),
        ("(MIT", ["MIT"], [], False),
        (None, None, ["MIT"], True),
        ("", ["MIT"], [], False),
    ],
)
def test_license_expressions(
    expression: str | None, allow: list[str] | None, deny: list[str], passes: bool
) -> None:
    assert permitted(expression, LicenseRules(allow=allow, deny=deny)) is passes


def test_what_its_publisher_reserved_stays_out_with_its_pages(ten: Ten) -> None:
    catalog, _ = ten
    change(catalog, "meta", n0='{"opt_outs": ["tdmrep"]}', n1='{"opt_outs": []}', n2='{"note": "opt_outs"}')
    change(catalog, "parent_id", n5=ident(0))
    assert drawn(catalog) == (set(range(10)) - {0, 5}, {"opt_out": 2})
    assert drawn(catalog, respect_opt_outs=False) == (set(range(10)), {})


def test_evaluation_images_stay_out(ten: Ten, tmp_path: Path) -> None:
    catalog, _ = ten
    change(catalog, "dhash", n1="00000000000000ff", n2="00000000000000fe", n3="00000000000000f0", n4="f" * 16)
    change(catalog, "original_sha256", n5="ab" * 32)
    sha256 = hashlib.sha256(b"6").hexdigest()
    listed = tmp_path / "eval.txt"
    listed.write_text(f"# evaluation\n{sha256}  six.jpg\n\n{'AB' * 32}\n00000000000000ff # one\n")
    exact, near, none = ({"hashes": str(listed), "distance": bits} for bits in (0, 1, None))
    assert drawn(catalog, exclude=[exact]) == (set(range(10)) - {1, 5, 6}, {"excluded": 3})
    assert drawn(catalog, exclude=[near]) == (set(range(10)) - {1, 2, 5, 6}, {"excluded": 4})
    assert drawn(catalog, exclude=[none]) == (set(range(10)) - {5, 6}, {"excluded": 2})


def test_the_hash_of_an_original_excludes_the_image_in_other_containers(ten: Ten, tmp_path: Path) -> None:
    catalog, _ = ten
    change(catalog, "original_sha256", n5="ab" * 32, n6="cd" * 32, n7="ef" * 32)
    same = hashlib.sha256(b"5").hexdigest()
    change(catalog, "sha256", n6=same, n8=same)
    listed = tmp_path / "eval.txt"
    listed.write_text("ab" * 32)
    options = {"exclude": [{"hashes": str(listed)}]}
    assert drawn(catalog, **options) == (set(range(10)) - {5, 6, 8}, {"excluded": 3})
    change(catalog, "status", n5="withdrawn")  # it still shows which image the original became
    assert drawn(catalog, **options) == (set(range(10)) - {5, 6, 8}, {"excluded": 2, "withdrawn": 1})


def test_an_excluded_picture_takes_its_duplicates_along(small_catalog: SmallCatalog, tmp_path: Path) -> None:
    rows = [Row(ident(n), "s0", "c", str(n // 2)) for n in range(10)]
    small_catalog.fill(rows, ["s0"])
    listed = tmp_path / "eval.txt"
    listed.write_text(hashlib.sha256(b"0").hexdigest())
    held, reasons = drawn(small_catalog, exclude=[{"hashes": str(listed)}])
    assert reasons == {"duplicate": 4, "excluded": 2}
    assert not held & {0, 1}


def test_folders_and_datasets_are_read_by_who_can(ten: Ten, tmp_path: Path) -> None:
    catalog, _ = ten
    options = SampleOptions(name="x", target=9, exclude=[Exclusion(folder=str(tmp_path))])
    asked: list[str] = []

    def fingerprints(exclusion: Exclusion) -> list[Fingerprint]:
        asked.append(exclusion.label)
        return [Fingerprint(sha256=hashlib.sha256(b"3").hexdigest(), dhash="0" * 16)]

    plan = plan_sample(catalog.connection, options, fingerprints=fingerprints)
    assert plan.excluded == {"excluded": 1}
    assert asked == [str(tmp_path)]


@pytest.mark.parametrize(
    ("content", "message"),
    [("zz", "neither"), ("abc def", "neither"), (None, "no file")],
    ids=["hex", "short", "none"],
)
def test_a_hash_list_that_cannot_be_meant(
    ten: Ten, tmp_path: Path, content: str | None, message: str
) -> None:
    catalog, _ = ten
    listed = tmp_path / "eval.txt"
    if content is not None:
        listed.write_text(content)
    with pytest.raises(ConfigError, match=message):
        drawn(catalog, exclude=[{"hashes": str(listed)}])


def test_a_missing_folder_is_an_error(ten: Ten, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        drawn(ten[0], exclude=[str(tmp_path / "gone")])


def test_of_duplicates_the_first_source_keeps_its_item(small_catalog: SmallCatalog) -> None:
    rows = [Row(ident(n), f"s{n % 3}", "c", "same") for n in range(9)]
    small_catalog.fill(rows, ["s2", "s0", "s1"])
    held, reasons = drawn(small_catalog, target=1)
    assert held == {min((2, 5, 8), key=ident)}
    assert reasons == {"duplicate": 8}


def test_which_duplicate_stays_does_not_depend_on_the_hash_of_the_database(
    small_catalog: SmallCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Row(ident(n), "s0" if n < 5 else "s1", "c", str(n % 7)) for n in range(10)]
    small_catalog.fill(rows, ["s1", "s0"])
    change(small_catalog, "sha256", n3=None, n4=None)
    expected = ({3, 4, 5, 6, 7, 8, 9}, {"duplicate": 3})
    assert drawn(small_catalog) == expected
    same = r"CAST(length(\1) AS UBIGINT)"  # all hashes in one bucket
    monkeypatch.setattr(dedup_index, "query", lambda name: re.sub(r"hash\((.*?)\)", same, query(name)))
    small_catalog.merged()  # the index with the other hash is not valid any more
    assert drawn(small_catalog) == expected


def test_an_unknown_sample_to_extend_is_named_with_those_there_are(ten: Ten) -> None:
    catalog, _ = ten
    drawn(catalog)
    with pytest.raises(UnknownManifest, match=r"'y'.*known: x"):
        plan_sample(catalog.connection, SampleOptions(name="x", target=5, extend="y"))
