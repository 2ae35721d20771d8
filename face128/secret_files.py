"""Secrets that stand in a file instead of a variable: ``NAME_FILE`` names it, as images commonly do.

A file is not inherited by other processes and not shown by tools that list an environment.
"""

from __future__ import annotations

import os
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from face128.errors import ConfigurationError

SUFFIX = "_FILE"
SECRETS = {
    "api_keys": ("FACE128_API_KEYS_FILE", "FACE128_API_KEY_FILE", "API_KEY_FILE"),
    "post_key": ("FACE128_POST_KEY_FILE",),
    "database_url": ("FACE128_DATABASE_URL_FILE",),
    "milvus_uri": ("FACE128_MILVUS_URI_FILE",),
    "keystore_url": ("FACE128_KEYSTORE_URL_FILE",),
}
"""The settings that may stand in a file, with what names it. FACE128_GALLERY_KEY_FILE is a setting of its own."""
FILE_VARIABLES = tuple(name for names in SECRETS.values() for name in names)
MAX_FILE_BYTES = 64 * 1024


class SecretFiles(PydanticBaseSettingsSource):
    """Raises ConfigurationError for a file that cannot be read, and where the variable is set as well."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        for name in SECRETS.get(field_name, ()):
            if path := os.environ.get(name):
                if os.environ.get(name.removesuffix(SUFFIX)):
                    raise ConfigurationError(f"Set only one of {name.removesuffix(SUFFIX)} and {name}.")
                return _read(path, name), field_name, False
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields
        found = {name: self.get_field_value(fields[name], name)[0] for name in SECRETS}
        return {name: value for name, value in found.items() if value is not None}


def _read(path: str, variable: str) -> str:
    """Of several lines, as of several keys, each is a part of a list with commas."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise ConfigurationError(f"The file of {variable} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"The file of {variable} is not UTF-8.") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(f"The file of {variable} is empty, or larger than {MAX_FILE_BYTES // 1024} KiB.")
    return ",".join(lines)
