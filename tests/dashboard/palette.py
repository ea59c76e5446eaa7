"""Makes a picture of a page small: 256 of its colours in a palette, any other as the nearest of these."""

import struct
import zlib
from collections import Counter

SIGNATURE = b"\x89PNG\r\n\x1a\n"


APART = 48
"""Squared distance of two colours in the palette: the greys of text would else take the place of the icons' colours."""


def in_palette(png, most=256):
    """A PNG as Chromium takes it (8 bits a channel, not interlaced), with a palette."""
    width, height, pixels = _pixels(png)
    counted = Counter(pixels)
    palette = []
    for colour, _ in counted.most_common():
        if len(palette) < most and all(_distance(colour, other) > APART for other in palette):
            palette.append(colour)
    place = {colour: number for number, colour in enumerate(palette)}
    for colour in counted:
        place.setdefault(colour, min(range(len(palette)), key=lambda number: _distance(palette[number], colour)))
    rows = b"".join(
        b"\0" + bytes(place[pixel] for pixel in pixels[start : start + width])
        for start in range(0, width * height, width)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _pixels(png):
    """(width, height, the colour of each pixel as three bytes)."""
    place, data = len(SIGNATURE), b""
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        if kind == b"IHDR":
            width, height, bits, colours, _, _, interlaced = struct.unpack(">IIBBBBB", png[place + 8 : place + 21])
            assert (bits, interlaced) == (8, 0)
        if kind == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += length + 12
    size = {2: 3, 6: 4}[colours]
    raw, stride, above, pixels = zlib.decompress(data), width * size, bytearray(width * size), []
    for start in range(0, height * (stride + 1), stride + 1):
        above = _unfiltered(raw[start], raw[start + 1 : start + 1 + stride], above, size)
        pixels += [bytes(above[n : n + 3]) for n in range(0, stride, size)]
    return width, height, pixels


def _unfiltered(kind, line, above, size):
    """A line of bytes, of which the PNG holds the difference from its neighbours."""
    out = bytearray(line)
    for n in range(len(line)) if kind else ():
        left, up = (out[n - size] if n >= size else 0), above[n]
        corner = above[n - size] if n >= size else 0
        guess = (0, left, up, (left + up) // 2, 0)[kind] if kind < 4 else _paeth(left, up, corner)
        out[n] = (line[n] + guess) & 255
    return out


def _paeth(left, up, corner):
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))


def _distance(one, other):
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
