"""The dataset card of a corpus (README.md): what is in it, whose it is, how to load and how to rebuild it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import yaml

from ..core.printable import printable
from .layout import SHARD_SUFFIXES, Shape, shape_of
from .record import record_fields

ROWS = 100
"""Categories that the card lists; `stats.json` has them all."""

_HUB_LICENSES = {
    "Apache-2.0", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0",
    "MIT", "ODbL-1.0",
}  # fmt: skip
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"),
          (10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))  # fmt: skip


def summary(stats: Mapping[str, Any]) -> str:
    """One sentence on a corpus."""
    totals = stats["totals"]
    categories = len({row["category"] for row in stats["composition"]})
    text = (
        f"{_count(totals['samples'], 'image-text sample')} from {_count(len(stats['sources']), 'source')} in "
        f"{_count(categories, 'category', 'categories')}, "
        f"{totals['captions']:,} with a caption, {totals['conversations']:,} with a conversation."
    )
    if totals["withdrawn"]:
        text += f" {totals['withdrawn']:,} were withdrawn since it was drawn."
    return text


def card(stats: Mapping[str, Any]) -> str:
    """The card, front matter included, from the statistics of the corpus."""
    parts = [
        f"---\n{yaml.safe_dump(_front_matter(stats), sort_keys=False, allow_unicode=True)}---\n",
        f"# {stats['name']}\n",
        summary(stats) + "\n",
        _composition(stats),
        _sources(stats),
        _exclusions(stats),
        _loading(stats),
        _fields(stats),
        _rebuilding(stats),
    ]
    return "\n".join(parts)


def _front_matter(stats: Mapping[str, Any]) -> dict[str, Any]:
    """What the Hub and `datasets` read: where the shards are and which types their fields have.

    The types are given because a loader of tars would infer them from five samples.
    """
    build, samples = stats["build"], stats["totals"]["samples"]
    licenses = [row["license"] for row in stats["licenses"]]
    known = len(licenses) == 1 and licenses[0] in _HUB_LICENSES
    front: dict[str, Any] = {
        "pretty_name": stats["name"],
        "license": licenses[0].lower() if known else "other",
        "task_categories": ["image-text-to-text"],
        "size_categories": [next((name for limit, name in _SIZES if samples < limit), "n>1T")],
        "configs": [
            {
                "config_name": "default",
                "version": _version(stats),
                "data_files": [
                    {"split": "train", "path": f"{stats['name']}-*.{SHARD_SUFFIXES[build['format']]}"}
                ],
            }
        ],
    }
    languages = sorted({row["language"].partition("-")[0] for row in stats["languages"] if row["language"]})
    if languages:
        front["language"] = languages
    shape = shape_of(build)
    fields = [_feature(name, kind) for name, kind in record_fields(shape, build["format"]).items()]
    if build["format"] == "webdataset":
        texts = [{"name": name, "dtype": "string"} for name in ("__key__", "__url__")]
        images = [{"name": name, "dtype": "image"} for name in _image_columns(shape)]
        front["dataset_info"] = {"features": [*images, {"name": "json", "struct": fields}, *texts]}
    else:
        image = {"name": "images", "list": "image"} if shape.several else {"name": "image", "dtype": "image"}
        front["dataset_info"] = {"features": [image, *fields]}
    return front


def _version(stats: Mapping[str, Any]) -> str:
    """A version of the corpus that changes with its shards: `1.`, and two numbers from their hashes.

    `datasets` keeps a prepared copy of a folder under its name and version, and would otherwise serve the
    copy of an earlier state: after a takedown, too.
    """
    digest = hashlib.sha256("".join(shard["sha256"] for shard in stats["shards"]).encode()).hexdigest()
    return f"1.{int(digest[:8], 16)}.{int(digest[8:16], 16)}"


def _image_columns(shape: Shape) -> list[str]:
    """The columns of a loader of tars: `jpg`, and `0.jpg`, `1.jpg`... where samples have several images."""
    several = range(shape.images if shape.several else 0)
    return [shape.extension, *(f"{number}.{shape.extension}" for number in several)]


def _feature(name: str, kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        return {"name": name, "list": [_feature(part.name, part.type) for part in kind.value_type]}
    if pa.types.is_list(kind):
        return {"name": name, "list": str(kind.value_type)}
    return {"name": name, "dtype": str(kind)}


def _composition(stats: Mapping[str, Any]) -> str:
    """Categories to depth 2, each with everything below it."""
    total = stats["totals"]["samples"] or 1
    held: dict[str, list[int]] = {}
    for row in stats["composition"]:
        steps = row["category"].split("/")
        for depth in range(1, min(len(steps), 2) + 1):
            counts = held.setdefault("/".join(steps[:depth]), [0, 0, 0, 0])
            for index, column in enumerate(("samples", "captions", "conversations", "bytes")):
                counts[index] += row[column]
    rows = [
        (f"`{name}`" if name else "(none)", f"{counts[0]:,}", f"{counts[0] / total:.2%}", f"{counts[1]:,}",
         f"{counts[2]:,}", _size(counts[3]))
        for name, counts in sorted(held.items())
    ]  # fmt: skip
    text = "## Composition\n\n" + _table(
        ("category", "samples", "share", "captions", "conversations", "images"), rows[:ROWS]
    )
    if len(rows) > ROWS:
        text += f"\n{len(rows) - ROWS:,} more categories are in `stats.json`.\n"
    return text


def _sources(stats: Mapping[str, Any]) -> str:
    rows = [
        (f"[{row['source']}]({row['homepage']})" if row["homepage"] else row["source"], row["license"],
         f"{row['samples']:,}", _size(row["bytes"]))
        for row in stats["sources"]
    ]  # fmt: skip
    licenses = [(row["license"] or "(none)", f"{row['samples']:,}") for row in stats["licenses"]]
    return (
        "## Sources and licenses\n\n"
        + _table(("source", "declared license", "samples", "images"), rows)
        + "\nEvery sample has its own license, which may differ from its source's:\n\n"
        + _table(("license", "samples"), licenses)
    )


def _exclusions(stats: Mapping[str, Any]) -> str:
    """What was there and could not be drawn."""
    counts: dict[str, int] = {}
    for row in stats["exclusions"]:
        counts[row["reason"]] = counts.get(row["reason"], 0) + row["items"]
    rows = [(reason.replace("_", " "), f"{items:,}") for reason, items in sorted(counts.items())]
    text = "## Left out\n\nItems that were known and no candidates for this corpus, by reason.\n\n"
    return text + _table(("reason", "items"), rows or [("(none)", "0")])


def _loading(stats: Mapping[str, Any]) -> str:
    name, build = stats["name"], stats["build"]
    extension = build["extension"]
    code = [
        "from datasets import load_dataset",
        "",
        "# The folder of this card; streaming=True reads without preparing a copy first.",
        'samples = load_dataset("path/to/this/folder", split="train")',
    ]
    if build["format"] == "webdataset":
        last = max(len(stats["shards"]) - 1, 0)
        code += [
            "",
            "import webdataset",
            "",
            f'shards = "path/to/this/folder/{name}-{{000000..{last:06d}}}.tar"',
            'for sample in webdataset.WebDataset(shards, shardshuffle=False).decode("pil"):',
            *(
                [
                    '    record = sample["json"]',
                    '    images = [sample[name.partition(".")[2]] for name in record["images"]]',
                ]
                if build["images"] > 1
                else [f'    image, record = sample["{extension}"], sample["json"]']
            ),
        ]
    return "## Loading\n\n```python\n" + "\n".join(code) + "\n```\n"


def _fields(stats: Mapping[str, Any]) -> str:
    build = stats["build"]
    where = "`json` of a sample" if build["format"] == "webdataset" else "columns beside `image`"
    rows = [
        ("`key`", "unique in the corpus; the id, with `-r1`, `-r2`... behind it for a repeat"),
        ("`id`", "the item in the catalog it was built from"),
        ("`parent_id`", "the document of a page"),
        ("`source`", "which of the sources above"),
        ("`category`", "from the top of the tree down"),
        ("`caption`, `language`", "text on the image and its language (BCP 47)"),
        ("`conversations`", "turns of `role` and `content`; `<image>` marks the image"),
        ("`license`", "SPDX expression"),
        ("`uri`, `locator`", "where the source has it; the member, row or page in it"),
        ("`width`, `height`", "pixels, upright"),
        ("`sha256`, `original_sha256`", "of the image here, and of the bytes as the source had them"),
        ("`repeat`", "0 for the first occurrence of an item"),
        ("`meta`", "a JSON object: whatever else is known"),
    ]
    if build["captions"]:
        rows.append(("`captions`", "all captions; `caption` is the first"))
    if build["images"] > 1:
        where = where.replace("`image`", "`images`")
        rows.append(("`images`", "the images in order; `width` and `height` are those of the first"))
    return f"## Fields\n\nThe {where}. A text that is not known is empty.\n\n" + _table(
        ("field", "what"), rows
    )


def _rebuilding(stats: Mapping[str, Any]) -> str:
    draw, build = stats["draw"], stats["build"]
    drawn = json.loads(draw["config"])
    earlier = drawn.get("extend")
    held = f", with the earlier manifest `{earlier}`," if earlier else ""
    declared = {
        "sample": drawn,
        "corpus": {k: build[k] for k in ("format", "shard_size")},
    }
    config = yaml.safe_dump(declared, sort_keys=False, allow_unicode=True)
    return (
        f"## Rebuilding\n\nBuilt with derlem {stats['derlem']}, seed {draw['seed']}, target "
        f"{draw['target']:,}. With the sources above declared in `derlem.yaml`, and\n\n"
        f"```yaml\n{config}```\n\n"
        f"the same catalog{held} gives the same shards, byte for byte (`stats.json` has their sha256):\n\n"
        "```sh\nderlem -c derlem.yaml run\n```\n"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    """A name as the cell of a table: no character ends the cell or the line, or controls a terminal."""
    return printable(" ".join(text.splitlines())).replace("|", "&#124;")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
