"""python -m face128 is the command line."""

from face128.cli import app

app()
