"""Who did what to whom, and when: an append-only trail, each entry chained to the last by a hash (docs/trail.md)."""
