"""Where `face128 models add` takes files from: a folder, or a URL. Nothing else in face128 fetches anything."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

from face128.engines.retail.model_files import BIN_FILE, MAX_BYTES, XML_FILE, find_files, read_bounded
from face128.errors import BadRequest, ConfigurationError

DOWNLOAD_SECONDS = 120.0
"""For one file, with everything before its first byte."""
SILENCE_SECONDS = 15.0
"""Before the connection is there, and between two parts of the file."""
MAX_REDIRECTS = 5


def read_source(source: str) -> dict[str, bytes]:
    """The .xml and the .bin of a folder, of a file beside the other, or of a URL, by the names that they will have.

    A URL is that of either file, or ends with a slash before their names. Raises BadRequest or ConfigurationError.
    """
    if "://" in source:
        return {name: _download(url) for name, url in zip((XML_FILE, BIN_FILE), _urls(source), strict=True)}
    if not Path(source).exists():
        raise BadRequest(f"{source} does not exist.")
    xml_file, bin_file = find_files(Path(source), Path())
    return {XML_FILE: read_bounded(xml_file), BIN_FILE: read_bounded(bin_file)}


def _urls(source: str) -> tuple[str, str]:
    try:
        parts = urlsplit(source)
    except ValueError:
        raise BadRequest("This is not a URL.") from None
    if parts.path.endswith("/"):
        stem = parts.path + XML_FILE.removesuffix(".xml")
    elif parts.path.endswith((".xml", ".bin")):
        stem = parts.path[:-4]
    else:
        raise BadRequest("The URL is that of the .xml or of the .bin, or of their folder, with a slash at the end.")
    xml, bin_ = (urlunsplit(parts._replace(path=stem + suffix)) for suffix in (".xml", ".bin"))
    return xml, bin_


def _download(url: str) -> bytes:
    """The bytes of an https URL: bounded in size and in time, with the server's certificate checked."""
    name = Path(urlsplit(url).path).name
    try:
        return asyncio.run(_fetch(url, name))
    except TimeoutError:
        reason = f"it took more than {DOWNLOAD_SECONDS:.0f} seconds"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        reason = str(error).rstrip(".") or "the server does not answer"
    raise ConfigurationError(f"{name} could not be downloaded: {reason}.") from None


async def _fetch(url: str, name: str) -> bytes:
    # Asynchronous for the deadline alone: it holds from the look-up of the server's address on.
    # The file as it is: what a server has compressed could become large.
    client = httpx.AsyncClient(timeout=SILENCE_SECONDS, headers={"Accept-Encoding": "identity"})
    async with asyncio.timeout(DOWNLOAD_SECONDS), client:
        for _ in range(MAX_REDIRECTS + 1):
            if urlsplit(url).scheme != "https":
                raise ConfigurationError(f"{name} is not at an https URL: anybody on the way could change it.")
            async with client.stream("GET", url) as response:
                if response.has_redirect_location:
                    url = urljoin(url, response.headers["Location"])
                    continue
                if response.status_code != httpx.codes.OK:
                    raise ConfigurationError(f"The server answers {response.status_code} for {name}.")
                return await _receive(response, name)
    raise ConfigurationError(f"{name} could not be downloaded: the server redirects again and again.")


async def _receive(response: httpx.Response, name: str) -> bytes:
    max_bytes = MAX_BYTES[Path(name).suffix]
    data = bytearray()
    async for part in response.aiter_raw():
        data += part
        if len(data) > max_bytes:
            raise ConfigurationError(f"{name} is another file: it has more than {max_bytes} bytes.")
    return bytes(data)
