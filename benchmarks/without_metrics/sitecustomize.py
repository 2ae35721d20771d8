"""For a process with this folder on PYTHONPATH: nothing is counted for /metrics."""

from face128.api.metrics.prometheus import Metrics

for told in ("request", "error", "key", "decided", "stage", "faces", "queue"):
    setattr(Metrics, told, lambda *_: None)
