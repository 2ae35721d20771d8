"""For processes with this folder on PYTHONPATH: the engine ``fake`` fails on some photos as native code can.

A photo 13 pixels wide: a segmentation fault. 17: an endless loop under the GIL. 19: two seconds of work. 29: endless
sleep. 31: an error whose message must not be logged, and a warning.
Each photo adds a line to the file POISON_LOG.
"""

import ctypes
import os
import time
import warnings

from face128.engines.fake import FakeEngine

_detect = FakeEngine.detect


def detect(self, photo):
    if log := os.environ.get("POISON_LOG"):
        with open(log, "a") as file:
            file.write(f"{photo.width}\n")
    if photo.width == 13:
        ctypes.string_at(0)
    if photo.width == 17:
        while True:
            pow(3, 10**7, 10**5000)  # one long call of C code after the other, all under the GIL
    if photo.width in (19, 29):
        time.sleep(2 if photo.width == 19 else 1000)
    if photo.width == 31:
        warnings.warn("this photo is strange", stacklevel=1)
        raise KeyError("-".join(["marked", "in-a-worker"]))
    return _detect(self, photo)


FakeEngine.detect = detect
