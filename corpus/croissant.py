"""The Croissant description of a corpus (croissant.json): what it is made of, and how its records are read.

Croissant 1.1: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from .layout import Shape, shape_of
from .manifest import manifest_columns
from .record import record_fields

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{
        term: f"cr:{term}"
        for term in (
            "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field",
            "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset",
            "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated",
            "replace", "samplingRate", "separator", "source", "subField", "transform",
        )
    },
}  # fmt: skip

_ENCODINGS = {"webdataset": "application/x-tar", "parquet": "application/x-parquet"}
_IMAGES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
_TYPES = {pa.string(): "sc:Text", pa.int64(): "cr:Int64"}
_SPDX = re.compile(r"[A-Za-z0-9.+-]+")


def croissant(stats: Mapping[str, Any], description: str) -> dict[str, Any]:
    """The JSON-LD of a corpus, from its statistics and a sentence that describes it."""
    build = stats["build"]
    shards = [
        {
            "@type": "cr:FileObject",
            "@id": shard["file"],
            "name": shard["file"],
            "contentUrl": shard["file"],
            "contentSize": f"{shard['bytes']} B",
            "encodingFormat": _ENCODINGS[build["format"]],
            "sha256": shard["sha256"],
        }
        for shard in stats["shards"]
    ]
    manifest = {
        "@type": "cr:FileObject",
        "@id": "manifest.parquet",
        "name": "manifest.parquet",
        "contentUrl": "manifest.parquet",
        "contentSize": f"{stats['manifest']['bytes']} B",
        "encodingFormat": _ENCODINGS["parquet"],
        "sha256": stats["manifest"]["sha256"],
    }
    if build["format"] == "webdataset":
        sets, fields = _tar_parts(shape_of(build))
        sets = [{**part, "containedIn": [{"@id": shard["@id"]} for shard in shards]} for part in sets]
    else:  # plain files of the folder: mlcroissant reads file sets within archives only
        sets, fields = _parquet_parts(stats["name"], shape_of(build))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": stats["name"],
        "description": description,
        "version": f"1.0.0+{stats['build']['manifest_fingerprint'][:12]}",
        "datePublished": max((shard["built_at"] for shard in stats["shards"]), default="")[:10],
        "license": [license_url(row["license"]) for row in stats["licenses"] if row["license"]],
        "inLanguage": [row["language"] for row in stats["languages"] if row["language"]],
        "isLiveDataset": False,
        "distribution": [*shards, manifest, *sets],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "samples",
                "name": "samples",
                "description": "One record per sample: an image, its texts and where it comes from.",
                "key": {"@id": "samples/key"},
                "field": fields,
            }
        ],
    }


def license_url(license: str) -> str:
    """The SPDX page of a single license; an expression or a LicenseRef unchanged."""
    if license.startswith("LicenseRef-") or not _SPDX.fullmatch(license):
        return license
    return f"https://spdx.org/licenses/{license}.html"


def _tar_parts(shape: Shape) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The images in the tars, and fields that join each, by its key, with its row of the manifest.

    A sample of several images gives a record for each. The sidecars hold the same texts, but mlcroissant
    cannot parse JSON members of an archive.
    """
    fields_of_records = record_fields(shape, "parquet")
    columns = manifest_columns(shape)
    images = {
        "@type": "cr:FileSet",
        "@id": "images",
        "name": "images",
        "includes": f"*.{shape.extension}",
        "encodingFormat": _IMAGES[shape.extension],
    }
    image = _field("image", "sc:ImageObject", _of("fileSet", "images", {"fileProperty": "content"}))
    key = _field("key", "sc:Text", _of("fileSet", "images", {"fileProperty": "filename"}))
    number = r"(?:\.[0-9]+)?" if shape.several else ""
    key["source"]["transform"] = {"regex": rf"^([^.]+){number}\.{shape.extension}$"}
    key["references"] = _of("fileObject", "manifest.parquet", {"column": "key"})
    fields = _record_fields(
        {name: kind for name, kind in fields_of_records.items() if name in columns and name != "key"},
        lambda name: _of("fileObject", "manifest.parquet", {"column": columns[name]}),
    )
    for field in fields:
        if field["name"] == "category":
            field["source"]["transform"] = {"separator": "/"}
    return [images], [image, key, *fields]


def _parquet_parts(name: str, shape: Shape) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The file set of the shards, and fields from their columns."""
    shards = {
        "@type": "cr:FileSet",
        "@id": "shards",
        "name": "shards",
        "includes": f"{name}-*.parquet",
        "encodingFormat": _ENCODINGS["parquet"],
    }
    column = "images" if shape.several else "image"
    image = _field(column, "sc:ImageObject", _of("fileSet", "shards", {"column": column}))
    if shape.several:
        image |= {"isArray": True, "arrayShape": "-1"}
    image["source"]["transform"] = {"jsonPath": "$[*].bytes" if shape.several else "$.bytes"}
    fields = record_fields(shape, "parquet")
    return [shards], [image, *_record_fields(fields, lambda name: _of("fileSet", "shards", {"column": name}))]


def _record_fields(
    kinds: Mapping[str, pa.DataType], source: Callable[[str], dict[str, Any]]
) -> list[dict[str, Any]]:
    fields = []
    for name, kind in kinds.items():
        inner = kind.value_type if pa.types.is_list(kind) else kind
        if pa.types.is_struct(inner):
            field = _field(name, None, None)
            field["subField"] = []
            for part in inner:
                sub = _field(f"{name}/{part.name}", _TYPES[part.type], source(name))
                sub["source"]["transform"] = {"jsonPath": f"$.{part.name}"}
                field["subField"].append(sub)
        else:
            field = _field(name, _TYPES[inner], source(name))
        if pa.types.is_list(kind):
            field |= {"isArray": True, "arrayShape": "-1"}
        fields.append(field)
    return fields


def _field(name: str, data_type: str | None, source: dict[str, Any] | None) -> dict[str, Any]:
    field: dict[str, Any] = {"@type": "cr:Field", "@id": f"samples/{name}", "name": name.rpartition("/")[2]}
    if data_type:
        field["dataType"] = data_type
    if source:
        field["source"] = source
    return field


def _of(kind: str, name: str, extract: dict[str, str]) -> dict[str, Any]:
    return {kind: {"@id": name}, "extract": extract}
