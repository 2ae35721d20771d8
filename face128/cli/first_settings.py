"""What ``face128 init`` writes, and the commands that it names."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from face128.api_keys import ApiKey
from face128.cli.member_source import MemberSource
from face128.network_names import url_to_open

Place = Literal["machine", "docker", "proxy"]

MEMBERS_FILE = "enrolled.json"
IMAGE_PORT = 8000  # of the Dockerfile
LOCAL_PROXY = "127.0.0.1,::1"


@dataclass(frozen=True)
class FirstSettings:
    place: Place
    port: int
    host_name: str
    """Under which people reach the proxy; empty without one."""
    key: ApiKey | None
    source: MemberSource | None
    numbers: str

    def lines(self) -> list[str]:
        """The file of settings. No value needs quotes: Docker would take them as part of it."""
        listening = [f"FACE128_HOST=127.0.0.1\nFACE128_PORT={self.port}"]
        if self.place == "docker":
            listening = [
                "# Every address of the container; docker run -p says which of the machine's.",
                "FACE128_HOST=0.0.0.0",
            ]
        if self.place == "proxy":
            listening += [
                "# The web server in front, whose X-Forwarded-For is believed.",
                f"FACE128_TRUSTED_PROXIES={LOCAL_PROXY}",
            ]
        if self.key:
            keys = [
                "# The hash of the key. Another key: face128 keys new NAME; entries are separated by commas.",
                f"FACE128_API_KEYS={self.key.entry}",
            ]
        else:
            keys = ["# No key: only this machine may ask."]
            keys += [f"FACE128_ALLOWED_HOSTS={self.host_name}"] if self.host_name else []
        return [
            f"# Settings of face128, written by face128 init on {date.today()}. docs/settings.md lists all.",
            *listening,
            *keys,
        ]

    def first_commands(self, settings_file: Path) -> list[tuple[str, str]]:
        """What to do, and the command."""
        face128 = f"face128 --env-file {shlex.quote(str(settings_file))}"
        steps = []
        if self.place == "docker":
            steps.append(("Build the image, in the folder of face128's Dockerfile:", "docker build -t face128 ."))
            run = f"docker run -d --name face128 -p 127.0.0.1:{self.port}:{IMAGE_PORT} -v face128:/data"
            steps.append(("Start the service:", f"{run} --env-file {shlex.quote(str(settings_file))} face128"))
            if self.source:
                reencode = self.source.reencode_command(self.numbers, MEMBERS_FILE)
                post = f"FACE128_POST_KEY=KEY {reencode} --post {url_to_open('127.0.0.1', self.port)}"
                steps.append(("Describe the members' photos, and enrol them (KEY is the key above):", post))
            return steps
        if self.source:
            reencode = self.source.reencode_command(self.numbers, MEMBERS_FILE)
            steps.append(("Describe the members' photos:", reencode))
            steps.append(("Enrol the members in the service:", f"{face128} gallery import {MEMBERS_FILE}"))
        steps.append(("Start the service:", f"{face128} serve"))
        return steps

    def last_words(self) -> str:
        if self.place == "proxy":
            return "The lines for nginx, Caddy or Traefik are in docs/operations.md, under 'Behind a reverse proxy'."
        return f"Then open {url_to_open('127.0.0.1', self.port)}/ in a browser."
