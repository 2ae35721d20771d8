"""face128 health: asks the running service whether it is ready, at the address that it listens on."""

from __future__ import annotations

import urllib.error
import urllib.request

from face128.network_names import url_to_open
from face128.settings import Settings

TIMEOUT_S = 2.0


def find_fault(settings: Settings) -> str | None:
    """What is wrong with the service, in a sentence; None if it is ready."""
    url = url_to_open(settings.host, settings.port)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # HTTP_PROXY is for other addresses
    try:
        opener.open(f"{url}/ready", timeout=TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        with error:
            return f"{url} answers {error.code}: {error.read(1000).decode(errors='replace')}"
    except OSError as error:
        reason = getattr(error, "reason", error)
        return (
            f"{url} does not answer: {getattr(reason, 'strerror', None) or reason}. To start the service: face128 serve"
        )
    return None
