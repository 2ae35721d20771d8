"""``python -m face128`` and the command ``face128``.

``face128 serve`` starts the fork server before it imports anything else: loading the engines takes longest, and what
reads the settings takes half a second to import.
"""

from __future__ import annotations

import os
import sys

from face128.workers import launcher


def main() -> None:
    arguments = _without_env_file(sys.argv[1:])
    if _will_need_dlib_fork_server(arguments):
        launcher.launch_early()
    from face128.cli import errors
    from face128.cli.main import app
    from face128.logs import silence_native_output

    if arguments[:1] != ["serve"]:
        silence_native_output()
    errors.run(app)


def _without_env_file(arguments: list[str]) -> list[str]:
    """The arguments from the command on. The fork server does not wait for the settings of the file."""
    if arguments[:1] == ["--env-file"]:
        return arguments[2:]
    return arguments[1:] if arguments and arguments[0].startswith("--env-file=") else arguments


def _will_need_dlib_fork_server(arguments: list[str]) -> bool:
    """Whether this is ``serve`` with one worker and dlib's engine, as far as can be seen before the settings are read.

    A wrong guess costs only the work of that process.
    """
    words = " ".join(arguments).replace("=", " ").split()
    return (
        words[:1] == ["serve"]
        and "--help" not in words
        and ("--workers" not in words or words[words.index("--workers") + 1 :][:1] == ["1"])
        and sys.platform == "linux"
        and os.environ.get("FACE128_ISOLATION") in (None, "", "process")
        and os.environ.get("FACE128_ENGINES") in (None, "", "dlib", "dlib,retail")
    )


if __name__ == "__main__":
    main()
