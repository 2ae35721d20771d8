"""The vault that the settings ask for."""

from __future__ import annotations

from face128.gallery.encryption.key_source import master_secrets
from face128.gallery.encryption.keystore import Keystore
from face128.gallery.encryption.master_key import MasterKey
from face128.gallery.encryption.vault import Vault
from face128.settings import Settings


def vault_from_settings(settings: Settings, *, hurried: bool = False) -> Vault | None:
    """Not unlocked yet; None if the gallery is not to be encrypted. Raises GalleryLocked."""
    secrets = master_secrets(settings)
    if not secrets:
        return None
    keystore = Keystore(keystore_url(settings), hurried=hurried)
    return Vault([MasterKey(secret) for secret in secrets], keystore)


def keystore_url(settings: Settings) -> str:
    if settings.keystore_url is not None:
        return settings.keystore_url.get_secret_value()
    return f"sqlite:///{settings.keystore_file}"
