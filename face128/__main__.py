"""``python -m face128`` and the command ``face128``.

``face128 serve`` starts the process of the engines before anything else is imported: a start waits longest for the
engines, and what reads the settings takes half a second to import.
"""

from __future__ import annotations

import os
import sys

from face128.workers import launcher


def main() -> None:
    """The command line."""
    if _will_serve(sys.argv[1:]):
        launcher.start_early()
    from face128.cli.main import app

    app()


def _will_serve(arguments: list[str]) -> bool:
    """In one process, and with dlib's engine in another, as far as can be seen. A wrong guess costs only its work."""
    words = " ".join(arguments).replace("=", " ").split()
    return (
        words[:1] == ["serve"]
        and "--help" not in words
        and ("--workers" not in words or words[words.index("--workers") + 1 :][:1] == ["1"])
        and sys.platform == "linux"
        and os.environ.get("FACE128_ISOLATION") in (None, "", "process")
        and os.environ.get("FACE128_ENGINES") in (None, "", "dlib")
    )


if __name__ == "__main__":
    main()
