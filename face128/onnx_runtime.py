"""ONNX Runtime, made silent: the only module that imports it.

The official builds of its versions from 1.29 on report every session to their maker, and keep an identifier of the
machine in the home folder; the variable, read at the import, prevents both.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime
from onnxruntime import InferenceSession as InferenceSession
from onnxruntime import SessionOptions as SessionOptions
from onnxruntime import get_available_providers as get_available_providers

onnxruntime.disable_telemetry_events()  # for where another package has imported it before
