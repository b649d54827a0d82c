"""What holds for records of several images and captions, whatever their source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..catalog.models import Failure, Item, Payload
from ..catalog.status import Reason
from .conversations import IMAGE
from .fields import CaptionsOption, PlaceholdersOption


def shaped(
    items: Iterable[Item], captions: CaptionsOption, placeholders: PlaceholdersOption
) -> Iterator[Item]:
    """Yield the items with captions and placeholders as the options of the source demand.

    Of the items of several captions (`each`), the first keeps the locator, and the others have numbers.
    """
    for item in items:
        if item.reason is None and item.conversations and placeholders != "keep":
            _match_placeholders(item, placeholders)
        if captions == "each" and item.captions:
            for number, caption in enumerate(item.captions, start=1):
                locator = item.locator if number == 1 else f"{item.locator}#{number}"
                yield replace(item, locator=locator, item_id="", caption=caption, captions=None)
            continue
        if captions == "first":
            item.captions = None
        yield item


def _match_placeholders(item: Item, mode: PlaceholdersOption) -> None:
    """Reject an item whose conversation has another number of placeholders than images, or move them."""
    turns = item.conversations or []
    count = sum(turn["content"].count(IMAGE) for turn in turns)
    if count == item.images:
        return
    if mode == "reject":
        item.reason = Reason.PLACEHOLDERS
        item.meta = {**item.meta, "detail": f"{count} placeholders for {item.images} images"}
        return
    first = next((number for number, turn in enumerate(turns) if turn["role"] == "user"), 0)
    item.conversations = [
        {
            **turn,
            "content": (IMAGE + "\n") * (item.images if number == first else 0)
            + _without_marks(turn["content"]),
        }
        for number, turn in enumerate(turns)
    ]


def _without_marks(text: str) -> str:
    return text.replace(f"{IMAGE}\n", "").replace(f"\n{IMAGE}", "").replace(IMAGE, "")


def numbered(number: int, images: int, detail: str) -> str:
    """Return the detail of a failure, with the number (from 1) of the image if the record has several."""
    return detail if images == 1 else f"image {number} of {images}: {detail}"


def joined(results: Iterable[Payload | Failure], images: int) -> Payload | Failure:
    """Return one payload of a record's `images` results, in order, or the first failure among them."""
    found: list[Payload] = []
    for number, result in enumerate(results, start=1):
        if isinstance(result, Failure):
            return Failure(result.reason, numbered(number, images, result.detail), result.meta)
        found.append(result)
    first = found[0]
    return Payload(
        first.data, first.updates, first.meta, first.revision, tuple(payload.data for payload in found[1:])
    )
