"""face128 match and encode: what a photo says, without a service."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from face128.cli.errors import about, describe, print_error
from face128.cli.options import EngineOption, FacesOption, JittersOption, PassesOption, ThresholdOption
from face128.errors import BadRequest, Face128Error
from face128.jobs.files import read_file
from face128.settings import Settings, load_settings

if TYPE_CHECKING:
    from face128.encoding.encode import FaceChoice
    from face128.encoding.passes import Passes


def encode(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTOS", help="Photos of one face each.")],
    engine: EngineOption = None,
    faces: FacesOption = "one",
    num_jitters: JittersOption = 1,
    passes: PassesOption = None,
) -> None:
    """Print the descriptor of each photo.

    One line of JSON a photo, with the descriptor, the model, box and confidence. A photo that fails is named on stderr
    with the reason, and the exit status is 1.
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
                    print_error(describe(error, path))
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C, or where nobody reads the output any more
    raise typer.Exit(1 if failed else 0)


def match(
    probe: Annotated[Path, typer.Argument(metavar="PROBE", help="A photo, or a JSON file with a descriptor.")],
    enrolled: Annotated[
        Path,
        typer.Argument(metavar="ENROLLED", help="The members, as reencode and gallery export write them: JSON or CSV."),
    ],
    threshold: ThresholdOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Add the distance, and the runner-up.")] = False,
    engine: EngineOption = None,
    faces: FacesOption = "one",
) -> None:
    """Say whose face a photo shows.

    It prints what POST /match would answer. Exit status: 0 for a match, 1 for none, 2 for an error.
    """
    from face128.cli.member_files import read_members_file
    from face128.match_body import parser
    from face128.matching.decision import decide

    settings = load_settings()
    body = read_members_file(enrolled)
    with about(probe):
        body.update(_probe(probe, settings, engine, faces))
    if threshold is not None:
        body["threshold"] = threshold
    try:
        request = parser.parse(json.dumps(body).encode(), max_members=sys.maxsize, rule=settings.rule)
        decision = decide(request, order=settings.decision_models, explain=explain)
    except Face128Error as error:
        with about(_part_of_match(error, probe, enrolled)):
            raise
    print(json.dumps(decision.answer(explain=explain)))
    raise typer.Exit(0 if decision.matched else 1)


def _part_of_match(error: Face128Error, probe: Path, enrolled: Path) -> Path | str:
    """What the command line calls the field of /match that an error is about."""
    field = str(error.context.get("field", ""))
    if field.startswith("threshold"):
        return "--threshold"
    return probe if field.startswith(("descriptor", "model")) and "regNo" not in error.context else enrolled


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
        raise BadRequest(f"{path} is not valid JSON.") from None
