"""reencode --post: enrols the members in a running service, through POST /enroll_faces/{user_id}."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face128.errors import BadRequest, ConfigurationError, Face128Error
from face128.jobs.execution.photo_task import read
from face128.jobs.execution.progress import shown
from face128.jobs.reencode.results import ADVICE, Failure, Member

MOST = 4  # photos of a member that the service keeps (document 3)
PATIENCE = 20  # times that a busy service is asked again
TIMEOUT = 300  # seconds for the answer to four photos
AT_ONCE = 4  # members on their way; the service encodes on all its cores


@dataclass(frozen=True)
class Service:
    url: str
    key: str | None

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise BadRequest("--post takes the URL of a service: http://127.0.0.1:8000")


def post(service: Service, members: list[Member], done: Path) -> tuple[int, list[Failure]]:
    """Enrol every member who has photos; how many are enrolled now or were before, and what the service refused.

    What a member had before is replaced. ``done`` keeps a line for each member who is enrolled, so that a second run
    sends only those who are new or changed. Raises ConfigurationError where the service cannot be reached.
    """
    known = set(done.read_text().split()) if done.exists() else set()
    wanted = [member for member in members if member.photos]
    failures = []
    with done.open("a") as journal, ThreadPoolExecutor(AT_ONCE) as threads:
        outcomes = threads.map(lambda member: _enrol(service, member, known), wanted)
        for failed, fingerprint in shown(outcomes, len(wanted), "members"):
            failures += failed
            if not any(failure.code != "too_many_images" for failure in failed) and fingerprint not in known:
                journal.write(fingerprint + "\n")
                journal.flush()
    refused = {failure.regNo for failure in failures if failure.code != "too_many_images"}
    return sum(member.reg_no not in refused for member in wanted), failures


def _enrol(service: Service, member: Member, known: set[str]) -> tuple[list[Failure], str]:
    """What failed, and what tells this member with these photos, on this service, from all others."""
    failures = [_failure(member, photo.photo, "too_many_images", "") for photo in member.photos[MOST:]]
    files = []
    digest = hashlib.sha256(json.dumps([service.url, member.reg_no, member.name]).encode())
    for photo in member.photos[:MOST]:
        try:
            files.append((Path(photo.photo).name, read(photo.source)))
        except Face128Error as error:
            return [*failures, _failure(member, photo.photo, error.code, str(error))], ""
        digest.update(hashlib.sha256(files[-1][1]).digest())
    fingerprint = digest.hexdigest()
    if fingerprint not in known:
        answer = _send(service, member, files)
        if "code" in answer:
            failures.append(_failure(member, member.photos[0].photo, str(answer["code"]), str(answer.get("error"))))
    return failures, fingerprint


def _failure(member: Member, photo: str, code: str, error: str) -> Failure:
    return Failure(member.reg_no, member.name, photo, code, error, ADVICE.get(code, "Ask the service's operator."))


def _send(service: Service, member: Member, files: list[tuple[str, bytes]]) -> dict[str, Any]:
    boundary = secrets.token_hex(16)
    user_id = urllib.parse.quote(str(member.reg_no), safe="")
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    if service.key:
        headers["X-API-Key"] = service.key
    request = urllib.request.Request(  # noqa: S310  (Service lets only http and https pass)
        f"{service.url.rstrip('/')}/enroll_faces/{user_id}?replace=true",
        b"".join(_multipart(boundary, member.name or str(member.reg_no), files)),
        headers,
    )
    for _ in range(PATIENCE):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                answer.read()
                return {}
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                return _refusal(error)
            time.sleep(float(error.headers.get("Retry-After") or 1))
        except OSError:
            break
    raise ConfigurationError("The service cannot be reached, or is too busy. Run again to go on.")


def _refusal(error: urllib.error.HTTPError) -> dict[str, Any]:
    try:
        body = json.loads(error.read())
    except ValueError:
        body = None
    if error.code in (401, 403, 404, 405) or not isinstance(body, dict) or "code" not in body:
        raise ConfigurationError(f"The service does not enrol: it answers {error.code}. Is the URL, is the key right?")
    return body


def _multipart(boundary: str, name: str, files: list[tuple[str, bytes]]) -> Iterator[bytes]:
    yield f'--{boundary}\r\nContent-Disposition: form-data; name="name"\r\n\r\n{name}\r\n'.encode()
    for file_name, data in files:
        safe = urllib.parse.quote(file_name)  # no quotes and no line ends in a header
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{safe}"\r\n\r\n'.encode()
        yield data + b"\r\n"
    yield f"--{boundary}--\r\n".encode()
