"""Sidecars give captions and conversations; a broken sidecar is reported in `meta`."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from derlem.adapters.captions import MAX_SIDECAR, CaptionOptions, Sidecars, read_sidecar

STAMPS = CaptionOptions(format="stamps", languages=["tr", "en"])
JSON = CaptionOptions(sidecar=".json")
STAMP = "A cat.\nde.utf8=Eine Katze.\npt_BR.utf8=Um gato.\nsr@latin.utf8=Mačka.\ntr.utf8=Bir kedi.\n".encode()


def test_plain() -> None:
    result = read_sidecar("\ufeffGörsel.\n".encode(), CaptionOptions(language="tr"))
    assert result.updates["caption"].strip() == "Görsel."
    assert result.updates["language"] == "tr"
    assert not result.meta


def test_a_blank_sidecar_is_no_caption() -> None:
    assert read_sidecar(b" \n", CaptionOptions(language="tr")) == ({}, {})


@pytest.mark.parametrize(
    ("languages", "expected"),
    [
        ([], {"caption": "A cat.", "language": "en"}),
        (["tr", "en"], {"caption": "Bir kedi.", "language": "tr"}),
        (["pt-br"], {"caption": "Um gato.", "language": "pt-BR"}),
        (["sr@latin"], {"caption": "Mačka.", "language": "sr-Latn"}),
        (["fr", "en"], {"caption": "A cat.", "language": "en"}),
        (["fr"], {}),
    ],
)
def test_stamps_by_preference(languages: list[str], expected: dict[str, str]) -> None:
    options = CaptionOptions(format="stamps", languages=languages)
    assert read_sidecar(STAMP, options) == (expected, {})


def test_an_empty_translation_is_missing() -> None:
    assert read_sidecar(b"A cat.\ntr.utf8=\n", STAMPS).updates == {"caption": "A cat.", "language": "en"}


def test_real_stamps(material: Callable[[str], Path]) -> None:
    turkish = 0
    for path in material("stamps").rglob("*.txt"):
        data = path.read_bytes()
        result = read_sidecar(data, STAMPS)
        line = next((line for line in data.split(b"\n") if line.startswith(b"tr.utf8=")), None)
        assert result.meta == {}
        if line is None:
            assert result.updates["language"] == "en"
        else:
            turkish += 1
            assert result.updates == {"caption": line[8:].decode(), "language": "tr"}
            assert unicodedata.is_normalized("NFC", result.updates["caption"])
    assert turkish == 767


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"caption": "Bir kedi."}, {"caption": "Bir kedi."}),
        ({"caption": "Bir kedi.", "language": "tr"}, {"caption": "Bir kedi.", "language": "tr"}),
        ({"caption": ["", "Bir kedi.", "Kedi."]}, {"caption": "Bir kedi."}),
        (
            {"caption": {"de": "Eine Katze.", "tr_TR": "Bir kedi."}},
            {"caption": "Eine Katze.", "language": "de"},
        ),
        ({"caption": None, "width": 3}, {}),
        (
            {"conversations": [{"from": "human", "value": "?"}]},
            {"conversations": [{"role": "user", "content": "?"}]},
        ),
    ],
)
def test_json(content: object, expected: dict[str, object]) -> None:
    assert read_sidecar(json.dumps(content).encode(), JSON) == (expected, {})


def test_json_fields_by_choice() -> None:
    options = CaptionOptions(sidecar=".json", key="text.alt", languages=["tr", "en"])
    data = json.dumps({"text": {"alt": {"en": "A cat.", "tr": "Bir kedi."}}}).encode()
    assert read_sidecar(data, options).updates == {"caption": "Bir kedi.", "language": "tr"}
    dotted = json.dumps({"text.alt": "Kedi.", "language": "tr"}).encode()
    assert read_sidecar(dotted, options).updates == {"caption": "Kedi.", "language": "tr"}


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (b"\xff\x00", CaptionOptions()),
        (b"\xfdrak", CaptionOptions()),
        (b"{", JSON),
        (b"[1]", JSON),
        (b"[" * 1_000_000, JSON),
        (b'{"caption": "\\ud800"}', JSON),
        (b'{"conversations": [{"role": "user", "content": "\\ud800"}]}', JSON),
        (b'{"caption": "Kedi.", "language": "?"}', JSON),
        (b'{"caption": 7}', JSON),
        (b'{"caption": [7]}', JSON),
        (b'{"caption": {"tr": 7}}', JSON),
        (b'{"conversations": 7}', JSON),
        (b"a" * (MAX_SIDECAR + 1), CaptionOptions()),
    ],
)
def test_an_invalid_sidecar_is_reported_in_meta(data: bytes, options: CaptionOptions) -> None:
    result = read_sidecar(data, options)
    assert result.updates == {}
    assert result.meta["sidecar"]["reason"] == "bad_sidecar"
    assert result.meta["sidecar"]["detail"]


def test_an_invalid_conversation_keeps_the_caption() -> None:
    result = read_sidecar(b'{"caption": "Kedi.", "conversations": []}', JSON)
    assert result.updates == {"caption": "Kedi."}
    assert result.meta["sidecar"]["reason"] == "bad_sidecar"


@given(st.binary(max_size=200), st.sampled_from([CaptionOptions(), STAMPS, JSON]))
def test_never_raises(data: bytes, options: CaptionOptions) -> None:
    result = read_sidecar(data, options)
    assert ("sidecar" in result.meta) or isinstance(result.updates.get("caption", ""), str)


def test_encodings() -> None:
    text = "Şişli'de güneş"
    declared = CaptionOptions(sidecar=".txt", encoding="cp1254")
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1254"):
        assert read_sidecar(text.encode(encoding), declared).updates == {"caption": text}
    undeclared = read_sidecar(text.encode("cp1254"), CaptionOptions(sidecar=".txt"))
    assert undeclared.updates == {} and "caption.encoding" in undeclared.meta["sidecar"]["detail"]
    with pytest.raises(ValidationError, match="no encoding"):
        CaptionOptions(sidecar=".txt", encoding="klingon")


def test_names_are_compared_in_nfc() -> None:
    composed, decomposed = unicodedata.normalize("NFC", "güneş"), unicodedata.normalize("NFD", "güneş")
    for image, text in ((composed, decomposed), (decomposed, composed)):
        sidecars = Sidecars(".txt", [f"{image}.png", f"{text}.txt", "a.png"])
        assert sidecars.of(f"{image}.png") == f"{text}.txt" and sidecars.taken(f"{text}.txt")
        assert sidecars.of("a.png") is None
    both = Sidecars(".txt", [f"{composed}.png", f"{decomposed}.png", f"{composed}.txt"])
    assert both.of(f"{composed}.png") == f"{composed}.txt"
    assert both.of(f"{decomposed}.png") is None  # the text is another image's


def test_languages_of_a_plain_sidecar_are_an_error() -> None:
    with pytest.raises(ValidationError, match="plain"):
        CaptionOptions(languages=["tr"])
