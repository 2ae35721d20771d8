"""Turns off all counting for /metrics in a process that has this folder on PYTHONPATH."""

from face128.api.metrics.prometheus import Metrics

COUNT_METHODS = ("count_request", "count_error", "count_key_request", "count_decision")
for method in (*COUNT_METHODS, "stage_ended", "faces_found", "queue_length"):
    setattr(Metrics, method, lambda *_: None)
