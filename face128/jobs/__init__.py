"""Work on many photos at once: re-encoding members, and knowing what a threshold costs."""
