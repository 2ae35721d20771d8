"""Finds the members' photos in a folder, whatever else is in it. A photo is known by its content."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from face128.errors import BadRequest, InvalidRequest
from face128.jobs.reencode.listing import (
    MemberPhoto,
    PhotoListing,
    RejectedEntry,
    clean_name,
    is_text,
    parse_reg_no,
)
from face128.photos.formats import sniff

DEFAULT_PATTERN = re.compile(r"(?P<regNo>(?=[^_/]*\d)[^_/\s]+)(_(?P<name>[^/]+))?(/.*)?")
"""``1029_Vicky T.jpg``, ``1029.jpg``, ``1029/anything.jpg``, ``1029_Vicky T/anything.jpg``; a regNo has a digit."""
PHOTO_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"} | {
    ".avif",
    ".heic",
    ".heif",
}
NO_NUMBER = (
    "The file name has no member's number: call it NUMBER_NAME.jpg, such as 1029_Vicky T.jpg, or say with --pattern "
    "where the number is."
)
SNIFFED_BYTES = 2048


def read_folder(folder: Path, pattern: str | None, own_files: Collection[Path]) -> PhotoListing:
    """As read_members. What is no photo is ``left_out``, unless it is called like a member's photo: it is damaged."""
    expression = _compile_pattern(pattern) if pattern else DEFAULT_PATTERN
    photos, rejected, left_out = [], [], []
    own_names, own_paths = {path.name for path in own_files}, {path.resolve() for path in own_files}
    files = (path for path in folder.rglob("*") if path.is_file())
    for path in sorted(files, key=lambda path: path.relative_to(folder).parts):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts):
            continue
        if path.name in own_names and path.resolve() in own_paths:
            continue
        name = relative.as_posix()
        match = expression.fullmatch(relative.with_suffix("").as_posix()) if is_text(name) else None
        is_image = is_photo(path)
        if match and (is_image or path.suffix.lower() in PHOTO_SUFFIXES):
            fields = match.groupdict()
            reg_no = parse_reg_no(fields.get("regNo") or fields["name"])
            photos.append(MemberPhoto(reg_no, clean_name(fields.get("name")), name, str(path)))
        elif is_image:
            error = NO_NUMBER if is_text(name) else "The file name is not in UTF-8."
            rejected.append(RejectedEntry(None, None, name, InvalidRequest.code, error))
        else:
            left_out.append(name)
    return PhotoListing(photos, rejected, left_out)


def is_photo(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return sniff(file.read(SNIFFED_BYTES)) is not None
    except OSError:
        return False


def _compile_pattern(pattern: str) -> re.Pattern[str]:
    counts = pattern.count("{regNo}"), pattern.count("{name}")
    if counts not in ((1, 0), (1, 1), (0, 1)):
        raise BadRequest(
            f"--pattern {pattern} has {{regNo}}, {{name}} or both, each once, as in {{name}}/{{regNo}}-* or {{name}}/*"
        )
    expression = re.escape(pattern).replace(r"\*", "[^/]*")
    for field in ("regNo", "name"):
        expression = expression.replace(re.escape(f"{{{field}}}"), f"(?P<{field}>[^/]+?)")
    return re.compile(expression)
