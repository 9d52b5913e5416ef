#!/usr/bin/env python3
"""Packs the cross-section tables (CSV, gzipped) into cross_sections.bin.gz.

usage: pack_cross_sections.py FOLDER   (holds xspec_cross_sections.csv.gz and the same with _vern and _bcmc)

Payload, little endian: "RXS1", u32 tables; per table a name, u32 rows, u32 columns, the column names (each name: u8
length + ASCII), the energies as f64 in 8 byte planes, then per column f32 bit patterns: difference to the row before
(wrapping), zigzag, in 4 byte planes. Planes and differences only serve the compression.
"""
import csv, gzip, io, struct, sys

TABLES = [
    ("tbabs", "xspec_cross_sections.csv.gz"),
    ("vern", "xspec_cross_sections_vern.csv.gz"),
    ("bcmc", "xspec_cross_sections_bcmc.csv.gz"),
]


def planes(raw, size):
    return b"".join(raw[k::size] for k in range(size))


def text(s):
    return bytes([len(s)]) + s.encode("ascii")


out = [b"RXS1", struct.pack("<I", len(TABLES))]
for name, file in TABLES:
    rows = csv.reader(io.TextIOWrapper(gzip.open(f"{sys.argv[1]}/{file}")))
    head = next(rows)
    data = [[float(x) for x in row] for row in rows]
    n, columns = len(data), list(zip(*data))
    out += [text(name), struct.pack("<II", n, len(head) - 1)] + [text(h) for h in head[1:]]
    out.append(planes(struct.pack(f"<{n}d", *columns[0]), 8))
    for column in columns[1:]:
        bits = struct.unpack(f"<{n}I", struct.pack(f"<{n}f", *column))
        delta = [(b - a) & 0xFFFFFFFF for a, b in zip((0,) + bits, bits)]
        zigzag = [((d << 1) ^ (0xFFFFFFFF if d >> 31 else 0)) & 0xFFFFFFFF for d in delta]
        out.append(planes(struct.pack(f"<{n}I", *zigzag), 4))
with open("cross_sections.bin.gz", "wb") as f:
    f.write(gzip.compress(b"".join(out), 9, mtime=0))
