"""For a process with this folder on PYTHONPATH: nothing is counted for /metrics."""

from face128.api.metrics.prometheus import Metrics

EVENTS = ("count_request", "count_error", "count_key_request", "count_decision")
for method in (*EVENTS, "stage_ended", "faces_found", "queue_length"):
    setattr(Metrics, method, lambda *_: None)
