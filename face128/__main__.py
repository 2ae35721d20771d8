"""python -m face128 is the command line."""

from face128.head_start import main

main()
