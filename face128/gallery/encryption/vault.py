"""The keys of an encrypted gallery in this process: it seals, opens, and makes the tokens by which SQL compares."""

from __future__ import annotations

import hmac
import logging
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from face128.errors import GalleryLocked
from face128.gallery.encryption.keystore import OTHER_KEYSTORE, TOKEN_KEY, Keystore, Wrapped
from face128.gallery.encryption.master_key import KEY_BYTES, NONCE_BYTES, MasterKey, derived, opened, sealed
from face128.gallery.encryption.unreadable import Unreadable

log = logging.getLogger("face128")

MAX_CACHED_KEYS = 50_000  # 10 MB
POOL_KEYS = 32  # made at once for people to come: else each new person would cost a commit of the keystore, too
TOKEN_BYTES = 16  # two of four billion texts have one token with a probability of 1 in 40 quintillion
WRONG_KEY = (
    "The gallery's key is not the one that it was encrypted with. Nothing was changed. Set the right one, or both, "
    "separated by a comma, until face128 gallery rekey has run."
)
OTHER_KEYS = (
    "Of the keys in the keystore, {} are wrapped by another key than FACE128_GALLERY_KEY. Nothing was changed. Set "
    "both, separated by a comma, until face128 gallery rekey has run."
)


class Vault:
    """Thread-safe. ``unlock`` comes first."""

    def __init__(self, masters: Sequence[MasterKey], keystore: Keystore) -> None:
        """The first of the master keys wraps, all of them unwrap."""
        self._masters = {master.fingerprint: master for master in masters}
        self._first = masters[0]
        self.keystore = keystore
        self.unreadable = Unreadable()
        self.all_sealed = False
        """Whether no row is in clear any more, and none can be: see ``Database``."""
        self._token_key = b""
        self._keys: dict[str, bytes] = {}
        self._pool: list[tuple[str, bytes]] = []
        self._lock = threading.Lock()

    def unlock(self, gallery_id: str, keystore_id: str | None) -> None:
        """Open the keystore. Raises GalleryLocked for another keystore, or where a master key is missing."""
        self.keystore.open(gallery_id, keystore_id)
        masters = self.keystore.masters()
        if masters and masters.keys().isdisjoint(self._masters):
            raise GalleryLocked(WRONG_KEY)
        if unknown := sum(count for master, count in masters.items() if master not in self._masters):
            raise GalleryLocked(OTHER_KEYS.format(unknown))
        token_key = self._read([TOKEN_KEY]).get(TOKEN_KEY)
        if token_key is None and keystore_id is None and not masters:
            token_key = self._make_token_key()
        if not token_key:
            raise GalleryLocked("The keystore is damaged: restore it from its backup. Nothing was changed.")
        self._token_key = token_key

    def require(self, keystore_id: str) -> None:
        """Raise GalleryLocked unless this is the keystore that a gallery names, which was opened without one."""
        if self.keystore_id not in ("", keystore_id):
            raise GalleryLocked(OTHER_KEYSTORE)

    def close(self) -> None:
        self.keystore.close()

    @property
    def keystore_id(self) -> str:
        return self.keystore.keystore_id

    @property
    def fingerprint(self) -> str:
        """Of the first master key."""
        return self._first.fingerprint

    def token(self, text: str, collection: str = "") -> str:
        """The same for equal texts of one collection; without the key nobody can compute or compare it."""
        data = f"{collection}\x1f{text}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._token_key, data, "sha256")[:TOKEN_BYTES].hex()

    def derive(self, purpose: str) -> bytes:
        """A key for another purpose; a new master key does not change it."""
        return derived(self._token_key, f"face128 {purpose}")

    def keys(self, key_ids: Iterable[str]) -> dict[str, bytes]:
        """Those of the keys that there are."""
        cache = self._keys
        wanted = set(key_ids)
        found = {key_id: key for key_id in wanted if (key := cache.get(key_id)) is not None}
        if missing := sorted(wanted - found.keys()):
            read = self._read(missing)
            self._remember(cache, read)
            found |= read
        return found

    def new_keys(self, count: int) -> list[tuple[str, bytes]]:
        """New keys with their ids, which the keystore has when this returns."""
        with self._lock:
            cache, pooled, self._pool = self._keys, self._pool[:count], self._pool[count:]
        if missing := count - len(pooled):
            made = [(secrets.token_hex(16), secrets.token_bytes(KEY_BYTES)) for _ in range(missing + POOL_KEYS)]
            self.keystore.add([self._wrapped(key_id, key) for key_id, key in made])
            pooled += made[:missing]
            with self._lock:
                self._pool += made[missing:]
        self._remember(cache, dict(pooled))
        return pooled

    def destroy(self, key_ids: Sequence[str]) -> bool:
        """Destroy keys. Returns whether nothing of them remains in the keystore's files."""
        self.forget()
        return self.keystore.destroy(key_ids)

    def forget(self) -> None:
        """Drop the keys that were read, since some may have been destroyed."""
        self._keys = {}

    def seal(self, key: bytes, data: bytes, *bound_to: str) -> bytes:
        return sealed(AESGCM(key), data, self._binding(bound_to))

    def open(self, key: bytes, data: bytes, *bound_to: str) -> bytes | None:
        """None where a bit of the data, of what it is bound to, or of the key was changed."""
        return opened(AESGCM(key), data, self._binding(bound_to)) if key else None

    def opener(self, *bound_to: str) -> Callable[[bytes, bytes, str], bytes | None]:
        """As ``open``, for many values that are bound to the same and, each, to one text more."""
        before = self._binding((*bound_to, ""))

        def open_one(key: bytes, data: bytes, own: str) -> bytes | None:
            try:
                return AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], before + own.encode())
            except (InvalidTag, ValueError):  # ValueError: no key, or no nonce
                return None

        return open_one

    def rewrap(self, limit: int) -> int:
        """Wrap some keys anew, by the first master key. Returns how many were still wrapped by others."""
        before = self.keystore.wrapped_by_others(self.fingerprint, limit)
        after = []
        for key_id, master, wrapped in before:
            key = self._unwrap(key_id, master, wrapped) if master in self._masters else None
            if key is None:
                raise GalleryLocked(f"The key {key_id} of the keystore is damaged: restore it from its backup.")
            after.append(self._wrapped(key_id, key))
        if before:
            self.keystore.replace(before, after)
        return len(before)

    def _binding(self, bound_to: Sequence[str]) -> bytes:
        return "\x1f".join(("face128", self.keystore.gallery_id, *bound_to)).encode()

    def _read(self, key_ids: Sequence[str]) -> dict[str, bytes]:
        found = {}
        for key_id, master, wrapped in self.keystore.read(key_ids):
            if master not in self._masters:  # rekey has run, and this process does not know the new key
                raise GalleryLocked(WRONG_KEY)
            if (key := self._unwrap(key_id, master, wrapped)) is not None:
                found[key_id] = key
            else:
                log.error("the keystore: the key %s was changed or is damaged", key_id)
                found[key_id] = b""  # it opens nothing: its rows are damaged, their people not erased
        return found

    def _unwrap(self, key_id: str, master: str, wrapped: bytes) -> bytes | None:
        return self._masters[master].unwrap(wrapped, self.keystore.gallery_id, key_id)

    def _wrapped(self, key_id: str, key: bytes) -> Wrapped:
        return key_id, self.fingerprint, self._first.wrap(key, self.keystore.gallery_id, key_id)

    def _make_token_key(self) -> bytes:
        with suppress(sa.exc.IntegrityError):  # another process was faster
            self.keystore.add([self._wrapped(TOKEN_KEY, secrets.token_bytes(KEY_BYTES))])
        return self._read([TOKEN_KEY])[TOKEN_KEY]

    def _remember(self, cache: dict[str, bytes], keys: dict[str, bytes]) -> None:
        """Keep them in ``cache``, which is not used any more if ``forget`` was called since they were read."""
        with self._lock:
            if len(cache) + len(keys) > MAX_CACHED_KEYS:
                cache.clear()
            cache.update(islice(keys.items(), MAX_CACHED_KEYS))
