"""The two files of face-reidentification-retail-0095: where they are, and their checksums."""

from __future__ import annotations

from pathlib import Path

from face128.errors import ConfigurationError

STEM = "face-reidentification-retail-0095"
XML_FILE, BIN_FILE = f"{STEM}.xml", f"{STEM}.bin"
SHA256 = {
    # Of Open Model Zoo's release 2022.1, FP16: its model.yml has the SHA-384 of the same bytes.
    XML_FILE: "879662c555c826e7a07683f95bb4387b810ab679a8b8c64cc46e07016bb3da2b",
    BIN_FILE: "4d8cdfa9447ddd6d8b447f76c6eaaa2c9345c1ee0146b94900ee5267ffcb9307",
}
RELEASE_URL = f"https://storage.openvinotoolkit.org/repositories/open_model_zoo/2022.1/models_bin/3/{STEM}/FP16/"
"""Where Open Model Zoo lists these two files."""
MAX_BYTES = {".xml": 2 * 2**20, ".bin": 64 * 2**20}  # the known files have 0.4 and 2.2 MB
HOW_TO_GET = "To get them: docs/second-network.md"


def find_files(setting: Path | None, data: Path) -> tuple[Path, Path]:
    """The .xml and the .bin that ``chosen_path`` leads to. Raises ConfigurationError if it leads nowhere."""
    path = chosen_path(setting, data)
    if path is None:
        raise ConfigurationError(
            f"Set FACE128_RETAIL_MODEL to the folder of {XML_FILE} and {BIN_FILE}, or add them with "
            f"'face128 models add retail'. {HOW_TO_GET}"
        )
    if path.suffix in MAX_BYTES and not path.is_dir():
        return path.with_suffix(".xml"), path.with_suffix(".bin")
    if not path.is_dir():
        raise ConfigurationError("FACE128_RETAIL_MODEL is not the folder of the two files, nor one of them.")
    found = sorted(path.glob("*.xml"))
    xml = found[0] if len(found) == 1 else path / XML_FILE
    return xml, xml.with_suffix(".bin")


def chosen_path(setting: Path | None, data: Path) -> Path | None:
    """FACE128_RETAIL_MODEL, the folder of the files or either file; else the folder of added files, if there is one."""
    added = models_folder(data)
    return setting or (added if added.is_dir() else None)


def models_folder(data: Path) -> Path:
    """Where `face128 models add` puts the files."""
    return data / "models" / "retail"


def read_bounded(path: Path) -> bytes:
    """The bytes of an .xml or a .bin. Raises ConfigurationError, naming it, if it cannot be read or is too large."""
    max_bytes = MAX_BYTES[path.suffix]
    try:
        if not path.is_file():  # a pipe would be waited for
            raise FileNotFoundError
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError:
        raise ConfigurationError(f"{path.name} is missing or cannot be read. {HOW_TO_GET}") from None
    if len(data) > max_bytes:
        raise ConfigurationError(f"{path.name} is too large to be {STEM}. {HOW_TO_GET}")
    return data
