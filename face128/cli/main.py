"""The command line: serve, doctor, health and version; the other commands are in the files beside this one."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from face128 import __version__
from face128.api_keys import SAFE_SECRET_CHARACTERS
from face128.caller import caller, command_line
from face128.cli.env_file import apply_env_file
from face128.cli.errors import print_error
from face128.cli.gallery import app as gallery
from face128.cli.init import init
from face128.cli.jobs import COMMANDS as JOBS
from face128.cli.keys import app as keys
from face128.cli.models import app as models
from face128.cli.photos import encode, match
from face128.cli.trail import app as trail
from face128.logs import set_up_logging, silence_native_output
from face128.network_names import check_listening_host, url_to_open
from face128.settings import Settings, load_settings, unknown_variables
from face128.traces.start import start_sending
from face128.workers import launcher

if TYPE_CHECKING:
    from face128.workers.process_pool import ProcessPool

log = logging.getLogger("face128")

# Plain help: it fits narrow terminals, and puts no colours into a pipe.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(gallery, name="gallery")
app.add_typer(keys, name="keys")
app.add_typer(models, name="models")
app.add_typer(trail, name="trail")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version, and end.")
    ] = False,
    env_file: Annotated[
        Path | None,
        typer.Option("--env-file", metavar="FILE", help="Settings, NAME=value a line, as face128 init writes them."),
    ] = None,
) -> None:
    """Whose face is this? A service for face descriptors: exactly dlib's, and much faster.

    To begin: face128 init asks five questions, and writes the settings. face128 doctor says whether all is well.
    """
    caller.set(command_line())
    if env_file:
        apply_env_file(env_file)


def serve(
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", parser=check_listening_host, help="Address to listen on; or FACE128_HOST."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", min=1, max=65535, help="Port to listen on; or FACE128_PORT.")
    ] = None,
    workers: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, help="Processes; they share the cores and the gallery.")
    ] = 1,
) -> None:
    """Run the service, until Ctrl-C or SIGTERM.

    The settings are FACE128_* variables: face128 init writes them into a file, docs/settings.md lists them.
    """
    settings = load_settings(host=host, port=port)
    settings.check_exposure()
    set_up_logging(settings.log_level, settings.log_format)
    for name in unknown_variables():
        log.warning("%s is no setting of face128: is it misspelt?", name)
    _warn_of_weak_keys(settings)
    url = url_to_open(settings.host, settings.port)
    log.info("face128 starts. Open %s/ or, to try its endpoints, %s/docs", url, url)
    process_pool = _start_process_pool(settings) if workers == 1 else None
    from face128.api.app import create_app
    from face128.api.metrics.multiprocess import metrics_folder
    from face128.server.run import run

    with metrics_folder(workers):
        if workers == 1:
            run(create_app(settings, process_pool), settings)
            return
        if settings.traces:
            start_sending(__version__).stop()  # an error belongs here: a worker that fails is started again and again
        if host is not None:
            os.environ["FACE128_HOST"] = host
        if "threads" not in settings.model_fields_set:
            os.environ["FACE128_THREADS"] = str(max(1, settings.threads // workers))
        run("face128.cli.main:create_worker_app", settings, workers)


def create_worker_app() -> Any:
    """The factory that uvicorn calls in each of several worker processes."""
    from face128.server.parent_watch import end_with_parent

    settings = load_settings()
    set_up_logging(settings.log_level, settings.log_format)
    end_with_parent()
    process_pool = _start_process_pool(settings)
    from face128.api.app import create_app

    return create_app(settings, process_pool, among_workers=True)


def _start_process_pool(settings: Settings) -> ProcessPool | None:
    """Let the fork server load the engines while this process imports the rest, which takes about as long."""
    if not settings.process_isolation:
        launcher.drop_early()
        silence_native_output()
        return None
    from face128.workers.process_pool import ProcessPool

    process_pool = ProcessPool(settings)
    process_pool.start_loading()
    return process_pool


def doctor() -> None:
    """Check the installation and the settings.

    It says how to mend what is wrong. Exit status: 0 if all is well, else 1.
    """
    from face128.cli.doctor import examine

    raise typer.Exit(0 if examine(load_settings()) else 1)


def health() -> None:
    """Ask the running service whether it is ready.

    This is the health check of a container. It asks the address that FACE128_HOST and FACE128_PORT name. Exit status:
    0 if the service is ready, else 1.
    """
    from face128.cli.health import find_fault

    if fault := find_fault(load_settings()):
        print_error(fault)
        raise typer.Exit(1)


def version() -> None:
    """Print the version."""
    print(__version__)


def _warn_of_weak_keys(settings: Settings) -> None:
    if any(key.plain for key in settings.api_keys):
        log.warning(
            "an API key is set in plain text, and has every scope. 'face128 keys hash NAME' makes an entry for "
            "FACE128_API_KEYS that does not reveal the key"
        )
    if any(key.short for key in settings.api_keys):
        log.warning(
            "an API key has fewer than %d characters and might be guessed: make one with 'face128 keys new NAME'",
            SAFE_SECRET_CHARACTERS,
        )


for command in (init, doctor, serve, *JOBS, match, encode, health, version):
    app.command()(command)
