"""The worker's side of rontgen's protocol for external models (docs/external-models.md), in plain Python and numpy.

    import rontgen_external
    rontgen_external.serve(lambda parameters, lo, hi: ...)     # photons/cm2/s per bin, as an array

Copy it beside your own model. Nothing else may be printed to the standard output; the standard error is shown by rontgen
when something goes wrong.
"""
import os
import struct
import sys

import numpy as np

VERSION = 1
HELLO, ENERGIES, EVALUATE, REFUSED = 1, 2, 3, 4


def serve(model, start=None):
    """Answers until rontgen closes the pipe.

    model(parameters, lo, hi): parameters without the norm (float64), lower and upper edges in keV (float64); returns one number
    per bin. An exception refuses these parameters with its text and the worker goes on. start(name): called once.
    """
    source = sys.stdin.buffer
    # Whatever the model or a library prints must not get into the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    lo = hi = np.zeros(0)

    def reply(kind, content):
        answers.write(struct.pack("<II", kind, len(content)) + content)
        answers.flush()

    while True:
        head = source.read(8)
        if len(head) < 8:
            return
        kind, length = struct.unpack("<II", head)
        content = source.read(length)
        if kind == HELLO:
            version = struct.unpack_from("<I", content)[0]
            if version != VERSION:
                reply(REFUSED, f"this worker speaks version {VERSION}, not {version}".encode())
                continue
            if start is not None:
                start(content[8:].decode())
            reply(HELLO, struct.pack("<I", VERSION))
        elif kind == ENERGIES:
            lo, hi = np.frombuffer(content, "<f8").reshape(2, -1)
        elif kind == EVALUATE:
            rows, count = struct.unpack_from("<II", content)
            parameters = np.frombuffer(content, "<f8", offset=8).reshape(rows, count)
            try:
                out = np.array([model(row, lo, hi) for row in parameters], "<f8")
                assert out.shape == (rows, len(lo)), f"the model returned {out.shape[1:]}, expected {len(lo)} bins"
                reply(EVALUATE, out.tobytes())
            except Exception as error:
                reply(REFUSED, f"{type(error).__name__}: {error}".encode())
        else:
            reply(REFUSED, f"unknown request {kind}".encode())
