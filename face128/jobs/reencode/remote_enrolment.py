"""reencode --post: enrols the members in a running service, through POST /enroll_faces/{user_id}."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from face128.domain.members import RegNo
from face128.errors import ConfigurationError, Face128Error
from face128.jobs.execution.photo_task import read_photo
from face128.jobs.reencode.advice import ADVICE
from face128.jobs.reencode.job_reports import JobReports
from face128.jobs.reencode.remote_service import RemoteService
from face128.jobs.reencode.results import EncodedMember, PhotoFailure
from face128.terminal.progress import Progress

Result = TypeVar("Result")

MAX_MEMBER_PHOTOS = 4  # that the service keeps (as in the original door service)
MAX_ATTEMPTS = 20  # at a service that is busy
MAX_RETRY_AFTER_S = 60
REQUEST_TIMEOUT_S = 300  # for the response to four photos
CONCURRENT_MEMBERS = 4  # the service encodes on all its cores
CHECK_TIMEOUT_S = 20


def check_service(service: RemoteService) -> None:
    """Raise ConfigurationError, before the work of an hour, if the service is away or would refuse every member."""
    try:
        # Without a photo nobody can be enrolled; the key is checked first.
        response = httpx.post(
            f"{service.url.rstrip('/')}/enroll_faces/0", headers=service.headers, timeout=CHECK_TIMEOUT_S
        )
    except (httpx.HTTPError, httpx.InvalidURL):
        raise ConfigurationError(f"--post {service.url}: the service cannot be reached.") from None
    if response.is_client_error and response.status_code != 429:
        _refusal(response)


def enrol_members(
    service: RemoteService, members: list[EncodedMember], done_file: Path, reports: JobReports
) -> tuple[int, list[PhotoFailure]]:
    """Enrol every member who has photos, replacing what was enrolled before.

    Returns how many are enrolled, now or by an earlier run, and what the service refused. ``done_file`` has a line for
    each member who is enrolled, so that a second run sends only new and changed ones. Raises ConfigurationError if the
    service cannot be reached.
    """
    done = set(done_file.read_text(errors="replace").split()) if done_file.exists() else set()
    with_photos = [member for member in members if member.photos]
    failed_by_place: dict[int, list[PhotoFailure]] = {}
    reports.begin("enrolling", len(with_photos))
    # The service might close a connection at the moment in which it is used again.
    limits = httpx.Limits(max_keepalive_connections=0)
    with (
        done_file.open("a") as file,
        httpx.Client(headers=service.headers, timeout=REQUEST_TIMEOUT_S, limits=limits) as client,
        Progress("Enrolling in the service", len(with_photos)) as bar,
    ):
        for place, (failed, fingerprint) in _in_threads(partial(_enrol, client, service, done), with_photos):
            bar.advance()
            failed_by_place[place] = failed
            refused_by = [failure.code for failure in failed if failure.code != "too_many_images"]
            reports.add(refused_by[0] if refused_by else None)
            if not refused_by and fingerprint not in done:
                file.write(fingerprint + "\n")
                file.flush()
    failures = [failure for place in sorted(failed_by_place) for failure in failed_by_place[place]]
    refused = {failure.regNo for failure in failures if failure.code != "too_many_images"}
    return sum(member.reg_no not in refused for member in with_photos), failures


def _in_threads(work: Callable[[EncodedMember], Result], members: list[EncodedMember]) -> Iterator[tuple[int, Result]]:
    """Each member's place and result, as it comes. Nobody waits for the threads: one may take minutes."""
    waiting, results = enumerate(members), SimpleQueue[tuple[int, Result] | Exception]()
    lock = threading.Lock()

    def work_on() -> None:
        while True:
            with lock:
                place, member = next(waiting, (0, None))
            if member is None:
                return
            try:
                results.put((place, work(member)))
            except Exception as error:
                results.put(error)
                return

    for _ in range(CONCURRENT_MEMBERS):
        threading.Thread(target=work_on, daemon=True).start()
    try:
        for _ in members:
            result = results.get()
            if isinstance(result, Exception):
                raise result
            yield result
    finally:
        with lock:
            waiting = enumerate(())


def _enrol(
    client: httpx.Client, service: RemoteService, done: set[str], member: EncodedMember
) -> tuple[list[PhotoFailure], str]:
    """What failed, and a fingerprint of the service, the member and the content of the photos."""
    failures = [_failure(member, photo.photo, "too_many_images", "") for photo in member.photos[MAX_MEMBER_PHOTOS:]]
    files = []
    sent = [service.url, member.reg_no, member.name, *([dict(service.terms)] if service.terms else [])]
    sent += [service.collection] if service.collection else []
    digest = hashlib.sha256(json.dumps(sent).encode())
    for photo in member.photos[:MAX_MEMBER_PHOTOS]:
        try:
            files.append((Path(photo.photo).name, read_photo(photo.source)))
        except Face128Error as error:
            return [*failures, _failure(member, photo.photo, error.code, str(error))], ""
        digest.update(hashlib.sha256(files[-1][1]).digest())
    fingerprint = digest.hexdigest()
    if fingerprint not in done:
        refusal = _send(client, service, member, files)
        if refusal:
            code, sentence = str(refusal["code"]), str(refusal.get("error"))
            failures.append(_failure(member, member.photos[0].photo, code, sentence))
    return failures, fingerprint


def _failure(member: EncodedMember, photo: str, code: str, error: str) -> PhotoFailure:
    return PhotoFailure(member.reg_no, member.name, photo, code, error, ADVICE.get(code, "Ask the service's operator."))


def _send(
    client: httpx.Client, service: RemoteService, member: EncodedMember, files: list[tuple[str, bytes]]
) -> dict[str, Any]:
    """The body of the service's refusal; empty if it enrolled the member."""
    user_id = quote(str(member.reg_no), safe="")
    for _ in range(MAX_ATTEMPTS):
        try:
            response = client.post(
                f"{service.url.rstrip('/')}/enroll_faces/{user_id}?replace=true",
                data={"name": member.name or str(member.reg_no), "reg_no_type": _json_type(member.reg_no)}
                | dict(service.terms),
                files=[("files", file) for file in files],
            )
        except (httpx.HTTPError, httpx.InvalidURL):
            break
        if response.is_success:
            return {}
        if response.status_code not in (429, 503):
            return _refusal(response)
        time.sleep(_retry_after_s(response))
    raise ConfigurationError("The service cannot be reached, or is too busy. Run again to go on.")


def _json_type(reg_no: RegNo) -> str:
    return "string" if isinstance(reg_no, str) else "number"


def _retry_after_s(response: httpx.Response) -> float:
    try:
        return min(max(0.0, float(response.headers["Retry-After"])), MAX_RETRY_AFTER_S)
    except (KeyError, ValueError):  # none, or a date
        return 1


def _refusal(response: httpx.Response) -> dict[str, Any]:
    status = response.status_code
    try:
        body = response.json()
    except ValueError:
        body = None
    if status in (401, 403, 404, 405) or not isinstance(body, dict) or "code" not in body:
        raise ConfigurationError(f"The service does not enrol: it answers {status}. Are the URL and the key right?")
    return body
