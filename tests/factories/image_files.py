"""ICC profiles and image files written by hand, for tests that must not trust a library's writer."""

from __future__ import annotations

import struct
import zlib

PRIMARIES = {
    # XYZ of red, green and blue, adapted to D50
    "srgb": ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)),
    "p3": ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
    "swapped": ((0.38515, 0.71687, 0.09708), (0.43607, 0.22249, 0.01392), (0.14307, 0.06061, 0.71410)),
    "prophoto": ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)),
}


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def icc_profile(
    gamma: float, primaries: str | None, description: str = "made for a test", pad: int = 0
) -> bytes:
    """A version 2 profile (ICC.1:2001-04): matrix and curves, or one curve for gray without `primaries`."""
    curve = b"curv\0\0\0\0" + (
        struct.pack(">I", 0) if gamma == 1 else struct.pack(">IH2x", 1, round(gamma * 256))
    )
    text = description.encode() + b"\0"
    body = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    tags = [(b"desc", body.ljust(-(-len(body) // 4) * 4, b"\0"))]
    tags += [(b"cprt", b"text\0\0\0\0x\0\0\0"), (b"wtpt", b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249))]
    if primaries is None:
        tags.append((b"kTRC", curve))
    else:
        for name, column in zip(b"rgb", PRIMARIES[primaries], strict=True):
            tags.append((bytes([name]) + b"XYZ", b"XYZ \0\0\0\0" + fixed(*column)))
            tags.append((bytes([name]) + b"TRC", curve))
    if pad:
        tags.append((b"priv", b"data\0\0\0\0\0\0\0\1" + bytes(range(251)) * (pad // 251)))
    offset, table, content = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, value in tags:
        table += tag + struct.pack(">II", offset + len(content), len(value))
        content += value.ljust(-(-len(value) // 4) * 4, b"\0")
    space = b"GRAY" if primaries is None else b"RGB "
    header = struct.pack(">I", 128 + len(table) + len(content)) + b"test\2\x10\0\0mntr" + space + b"XYZ "
    header = header.ljust(36, b"\0") + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249)
    return header.ljust(128, b"\0") + table + content


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_file(
    width: int, height: int, depth: int, color_type: int, rows: list[bytes], *chunks: tuple[bytes, bytes]
) -> bytes:
    """A PNG of unfiltered rows; `chunks` stand in front of the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    every = [(b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*each) for each in every)


def tiff_file(order: str, tags: dict[int, tuple[str, tuple[int, ...] | bytes]], strips: list[bytes]) -> bytes:
    """A classic TIFF: `tags` maps numbers to a type (H, I or B) and values; `strips` are its strips."""
    kinds = {"B": 7, "H": 3, "I": 4}
    offsets, position = [], 8
    for strip in strips:
        offsets.append(position)
        position += len(strip) + len(strip) % 2
    tags = {**tags, 273: ("I", tuple(offsets)), 279: ("I", tuple(map(len, strips)))}
    data = b"".join(strip + bytes(len(strip) % 2) for strip in strips)
    after = position + 2 + 12 * len(tags) + 4
    table, values = struct.pack(order + "H", len(tags)), b""
    for tag, (kind, numbers) in sorted(tags.items()):
        packed = bytes(numbers) if kind == "B" else struct.pack(f"{order}{len(numbers)}{kind}", *numbers)
        if len(packed) > 4:
            packed, values = (
                struct.pack(order + "I", after + len(values)),
                values + packed + bytes(len(packed) % 2),
            )
        table += struct.pack(order + "HHI", tag, kinds[kind], len(numbers)) + packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", position)
    return head + data + table + bytes(4) + values
