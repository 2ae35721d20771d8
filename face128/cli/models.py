"""face128 models: puts the files of a network that face128 does not ship into FACE128_DATA, and lists what is there."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from face128.engines.retail.model_files import (
    BIN_FILE,
    RELEASE_URL,
    SHA256,
    XML_FILE,
    chosen_path,
    find_files,
    models_folder,
)
from face128.errors import BadRequest, ConfigurationError
from face128.jobs.files import write_files
from face128.settings import load_settings
from face128.terminal.speech import OUT

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Networks that face128 does not ship: add one, list them."
)

FOLDER_MODE = 0o700


@app.command()
def add(
    model: Annotated[
        Literal["retail"], typer.Argument(metavar="retail", help="Intel's face-reidentification-retail-0095.")
    ],
    source: Annotated[
        str,
        typer.Argument(
            metavar="PATH|URL", help="Folder of the .xml and the .bin, either file, or the https URL of either."
        ),
    ],
    sha256: Annotated[
        list[str] | None,
        typer.Option("--sha256", metavar="HEX", help="Checksum of a file that face128 does not know; once for each."),
    ] = None,
) -> None:
    """Put the two files of a network into FACE128_DATA.

    They are taken only if their checksums are those that face128 knows, or those of --sha256. With a URL they are
    downloaded: no other command fetches anything.
    """
    from face128.cli.model_sources import read_source

    folder = models_folder(load_settings().data)
    files = read_source(source)
    _verify(files, sha256 or [])
    name = _install(files, folder)
    OUT.say(f"{name} is in {folder}. To use it: FACE128_ENGINES=dlib,{model}")


@app.command("list")
def list_models() -> None:
    """Show which networks are there, and where."""
    settings = load_settings()
    path = chosen_path(settings.retail_model, settings.data)
    if path is None:
        OUT.say("There is no second network (docs/second-network.md). To download its two files from their maker:")
        OUT.command(f"face128 models add retail {RELEASE_URL}")
        return
    from face128.engines.retail.network import read_model

    card, _ = read_model(*find_files(settings.retail_model, settings.data))
    used = "in use" if "retail" in settings.engines else "not in FACE128_ENGINES"
    OUT.say(f"retail: {card.name}, {used}, in {path}. {card.licence}")


def _verify(files: dict[str, bytes], given: list[str]) -> None:
    """Raise BadRequest unless every file has a checksum that is known or given, and every one that is given occurs."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    wanted = {digest.strip().lower() for digest in given}
    if unused := wanted - set(digests.values()):
        raise BadRequest(f"Neither file has the SHA-256 {min(unused)}. {_found(digests)}")
    unknown = [name for name, digest in digests.items() if digest != SHA256[name] and digest not in wanted]
    if unknown:
        raise BadRequest(
            f"{' and '.join(unknown)}: not the known checksum. {_found(digests)} If its maker publishes the same, "
            "repeat with --sha256."
        )


def _found(digests: dict[str, str]) -> str:
    return f"The .xml has {digests[XML_FILE]}, the .bin {digests[BIN_FILE]}."


def _install(files: dict[str, bytes], folder: Path) -> str:
    """Put the files into ``folder``, both or neither, in place of what was there. Returns the model's name."""
    from face128.engines.retail.network import read_model

    try:
        for parent in (folder.parents[1], folder.parent):  # FACE128_DATA too is its owner's alone
            parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".adding-") as staging:
            new, old = Path(staging, "new"), Path(staging, "old")
            write_files(new, files)
            new.chmod(FOLDER_MODE)
            card, _ = read_model(new / XML_FILE, new / BIN_FILE)
            if folder.exists():
                folder.rename(old)
            try:
                new.rename(folder)
            except OSError:
                with suppress(OSError):
                    old.rename(folder)
                raise
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}.") from None
    return card.name
