"""The command line: serve, encode, match, doctor and version; the other commands are in the files beside this one."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from face128 import __version__
from face128.api_keys import SAFE_SECRET_CHARACTERS
from face128.cli.errors import describe, print_error
from face128.cli.gallery import app as gallery
from face128.cli.jobs import COMMANDS as JOBS
from face128.cli.keys import app as keys
from face128.cli.options import EngineOption, FacesOption, JittersOption, PassesOption
from face128.errors import BadRequest, Face128Error
from face128.jobs.files import read_file
from face128.logs import set_up_logging, silence_native_output
from face128.network_names import url_to_open
from face128.settings import Settings, load_settings, unknown_variables
from face128.workers import launcher

if TYPE_CHECKING:
    from face128.encoding.encode import FaceChoice
    from face128.encoding.passes import Passes
    from face128.workers.process_pool import ProcessPool

log = logging.getLogger("face128")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(gallery, name="gallery")
app.add_typer(keys, name="keys")


@app.callback()
def main() -> None:
    """Whose face is this? 128-d face descriptors, exactly dlib's and much faster."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; they share the cores and the gallery.")] = 1,
) -> None:
    """Serve HTTP until SIGTERM or Ctrl-C. Every FACE128_* setting applies."""
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

    return create_app(settings, process_pool)


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


@app.command()
def encode(
    photos: Annotated[list[Path], typer.Argument(help="Photos of one face each.")],
    engine: EngineOption = None,
    faces: FacesOption = "one",
    num_jitters: JittersOption = 1,
    passes: PassesOption = None,
) -> None:
    """Print one line of JSON a photo: its descriptor, the model, box and confidence.

    A photo that fails is named on stderr with the reason, and the exit status is 1.
    """
    from face128.workers.memory_budget import MemoryBudget

    settings = load_settings()
    encode_photo = _photo_encoder(settings, engine, faces, num_jitters, passes)
    failed = False
    encode_in_turn = partial(MemoryBudget().call, lambda path: encode_photo(read_file(path)))
    with ThreadPoolExecutor(settings.threads) as pool:
        jobs = [(path, pool.submit(encode_in_turn, path)) for path in photos]
        try:
            for path, job in jobs:
                try:
                    print(json.dumps({"photo": str(path), **job.result()}), flush=True)
                except Face128Error as error:
                    failed = True
                    print_error(f"{path}: {describe(error).removeprefix(f'{path} ')}")
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C, or where nobody reads the output any more
    raise typer.Exit(1 if failed else 0)


@app.command()
def match(
    probe: Annotated[Path, typer.Argument(help="A photo, or a JSON file with a descriptor.")],
    enrolled: Annotated[Path, typer.Argument(help="JSON: a list of members, or a body of /match.")],
    threshold: Annotated[float | None, typer.Option(help="Greatest distance that is a match.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Add the distance, and the runner-up.")] = False,
    engine: EngineOption = None,
    faces: FacesOption = "one",
) -> None:
    """Print what POST /match would answer. Exit status: 0 for a match, 1 for none, 2 for an error."""
    from face128.match_body import parser
    from face128.matching.decision import decide

    settings = load_settings()
    members = _parse_json(enrolled, read_file(enrolled))
    body = dict(members) if isinstance(members, dict) else {"enrolled": members}
    body.update(_probe(probe, settings, engine, faces))
    if threshold is not None:
        body["threshold"] = threshold
    request = parser.parse(json.dumps(body).encode(), max_members=sys.maxsize, rule=settings.rule)
    decision = decide(request, explain=explain)
    print(json.dumps(decision.answer(explain=explain)))
    raise typer.Exit(0 if decision.matched else 1)


@app.command()
def doctor() -> None:
    """Check the installation, the weights and the settings, and say how to mend what is wrong."""
    from face128.cli.doctor import examine

    raise typer.Exit(0 if examine(load_settings()) else 1)


@app.command()
def health() -> None:
    """Ask the running service whether it is ready, as the health check of a container. Exit status: 0 or 1.

    It asks the address that FACE128_HOST and FACE128_PORT name.
    """
    from face128.cli.health import find_fault

    if fault := find_fault(load_settings()):
        print_error(fault)
        raise typer.Exit(1)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def _probe(path: Path, settings: Settings, engine: str | None, faces: FaceChoice) -> dict[str, Any]:
    """The probe's descriptor (and model, if known), from a JSON file or from a photo."""
    data = read_file(path)
    if data.lstrip()[:1] in (b"[", b"{", b'"'):
        document = _parse_json(path, data)
        answer = document if isinstance(document, dict) and "descriptor" in document else {"descriptor": document}
    else:
        answer = _photo_encoder(settings, engine, faces)(data)
    return {name: answer[name] for name in ("descriptor", "model") if name in answer}


def _photo_encoder(
    settings: Settings, engine: str | None, faces: FaceChoice, num_jitters: int = 1, passes: Passes | None = None
) -> Callable[[bytes], dict[str, Any]]:
    """Load an engine. The function gives the answer of /encode-image for a photo, and raises what ``encode`` raises."""
    from face128.encoding.encode import encode as encode_photo
    from face128.encoding.passes import with_passes
    from face128.engines.loader import load_engine
    from face128.photos.photo import Limits

    loaded = with_passes(load_engine(engine or settings.engines[0], settings), passes or settings.passes)
    limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
    return lambda data: encode_photo(loaded, data, limits, faces, num_jitters).answer()


def _parse_json(path: Path, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadRequest(f"{path.name} is not valid JSON.") from None


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


for command in JOBS:
    app.command()(command)
