"""face128 init: five questions, each answer checked at once, and settings that the service reads."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from forked_command import forked
from pseudo_terminal import CTRL_C, CTRL_D, PseudoTerminal, pseudo_terminal
from serving import PHOTOS, environment, free_port, ready

KEY = re.compile(r"face128_[A-Za-z0-9_-]{43}")


@pytest.fixture
def club(tmp_path: Path) -> Path:
    """A folder of two members' photos, named as a club might."""
    (tmp_path / "our photos").mkdir()
    for photo, name in (("obama-2012.jpg", "Barack O - 1029.jpg"), ("biden-2010.jpg", "Joe B - 1030.jpg")):
        shutil.copy(PHOTOS / photo, tmp_path / "our photos" / name)
    (tmp_path / "empty").mkdir()
    return tmp_path


def settings_of(file: Path) -> dict[str, str]:
    """As docker run --env-file reads it: no quotes, no blanks, comments only on lines of their own."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Z0-9_]+=[^'\"\s]+", line) for line in lines), lines
    return dict(line.split("=", 1) for line in lines)


def answer(terminal: PseudoTerminal, question: str, reply: str, then: str) -> None:
    terminal.wait_for(question)
    terminal.type(f"{reply}\n")
    terminal.wait_for(then)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_five_questions_with_wrong_answers_first(club: Path, columns: int) -> None:
    port = free_port()
    with pseudo_terminal(club, "init", columns=columns) as terminal, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer(terminal, "1/5", "our fotos", "our fotos does not exist.")
        answer(terminal, "1/5", "empty", "empty has no photos in it.")
        answer(terminal, "1/5", "'our photos'", "[{name} - {regNo}]")
        answer(terminal, "2/5", "{regNo}_{name}", "None of 2 photos gets a number.")
        answer(terminal, "2/5", "{regNo} - {name}", "does not look like a number")
        answer(terminal, "2/5", "{name} - {regNo}", "2 photos of 2 members; Barack O - 1029.jpg is number 1029")
        answer(terminal, "3/5", "cloud", "Answer machine, docker, proxy.")
        answer(terminal, "3/5", "", "4/5")
        answer(terminal, "4/5", "99999", "A port is a number from 1 to 65535.")
        answer(terminal, "4/5", str(taken.getsockname()[1]), "cannot be used")
        answer(terminal, "4/5", str(port), "5/5")
        answer(terminal, "5/5", "a b", "letters, digits")
        terminal.type("\n")
        assert terminal.end() == 0, terminal.text
    assert max(map(len, terminal.lines)) <= columns
    (secret,) = KEY.findall(terminal.text.replace("\n", ""))
    settings = settings_of(club / "face128.env")
    digest = hashlib.sha256(secret.encode()).hexdigest()
    assert settings == {
        "FACE128_HOST": "127.0.0.1",
        "FACE128_PORT": str(port),
        "FACE128_API_KEYS": f"backend:{digest}:match+encode+gallery",
    }
    assert (club / "face128.env").stat().st_mode & 0o777 == 0o600
    assert secret not in (club / "face128.env").read_text()


def test_the_commands_that_it_prints_work(club: Path) -> None:
    """Without a terminal, by options; then everything that is printed is run, as a person would paste it."""
    port = free_port()
    run = forked(club, "init", "--photos", "our photos", "--address", str(port))
    assert run.returncode == 0, run.stderr
    (secret,) = KEY.findall(run.stdout)
    commands = [line.strip() for line in run.stdout.splitlines() if line.startswith("    face128 ")]
    assert [line.split()[-1] for line in commands] == ["enrolled.json", "enrolled.json", "serve"]
    variables = environment(FACE128_DATA=str(club / "data"))
    *before, serve = [[sys.executable, "-m", *shlex.split(line)] for line in commands]
    for line in before:
        done = subprocess.run(line, cwd=club, env=variables, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done
    with (
        subprocess.Popen(serve, cwd=club, env=variables, stderr=subprocess.DEVNULL) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        try:
            assert ready(client, process, "/ready")
            photo = {"image": (PHOTOS / "obama-2009.jpg").read_bytes()}
            assert client.post("/match_face", files=photo).status_code == 401
            found = client.post("/match_face", files=photo, headers={"X-API-Key": secret})
            assert found.json()["user_id"] == "1029"
            assert client.get("/metrics", headers={"X-API-Key": secret}).status_code == 403
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("options", "settings", "commands"),
    [
        (
            ["--where", "docker", "--photos", "our photos", "--numbers", "{name} - {regNo}", "--key", "door"],
            {"FACE128_HOST": "0.0.0.0", "FACE128_API_KEYS": "door:"},
            ["docker build", "-p 127.0.0.1:{port}:8000", "--env-file face128.env face128", "FACE128_POST_KEY=KEY"],
        ),
        (
            ["--where", "proxy", "--key", "none"],
            {
                "FACE128_HOST": "127.0.0.1",
                "FACE128_ALLOWED_HOSTS": "face.example",
                "FACE128_TRUSTED_PROXIES": "127.0.0.1,::1",
            },
            ["face128 --env-file face128.env serve", "docs/operations.md"],
        ),
        (["--key", "none"], {"FACE128_HOST": "127.0.0.1"}, ["serve", "open http://127.0.0.1:{port}/"]),
    ],
)
def test_every_place_has_its_settings_and_commands(
    club: Path, options: list[str], settings: dict[str, str], commands: list[str]
) -> None:
    port = str(free_port())
    run = forked(club, "init", "--address", "Face.example" if "proxy" in options else port, *options)
    assert run.returncode == 0, run.stderr
    written = settings_of(club / "face128.env")
    assert all(written[name].startswith(value) for name, value in settings.items()), written
    assert bool(KEY.findall(run.stdout)) == ("FACE128_API_KEYS" in written) == ("none" not in options)
    assert all(part.format(port=port) in run.stdout for part in commands), run.stdout
    check = forked(
        club,
        code="from pathlib import Path\nfrom face128.cli.env_file import apply_env_file\n"
        "from face128.settings import load_settings, unknown_variables\n"
        "apply_env_file(Path('face128.env'))\nload_settings().check_exposure()\nassert not unknown_variables()",
    )
    assert check.returncode == 0, check.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--photos", "missing"], "--photos: missing does not exist."),
        (["--photos", "empty"], "--photos: empty has no photos in it."),
        (["--photos", "our photos", "--numbers", "{name}/{regNo}"], "--numbers: None of 2 photos gets a number."),
        (["--where", "docker", "--key", "none"], "--key: In Docker other machines might reach the service"),
        (["--where", "proxy"], "--address: It is a name without scheme and path"),
        (["--address", "0"], "--address: A port is a number"),
        (["--key", "a b"], "--key: A name has letters"),
        (["--out", "empty"], "--out empty is a folder."),
        (["--out", "missing/face128.env"], "The folder of --out does not exist: missing"),
    ],
)
def test_a_wrong_option_is_one_sentence_that_names_it_and_nothing_is_written(
    club: Path, options: list[str], sentence: str
) -> None:
    before = sorted(club.rglob("*"))
    run = forked(club, "init", *options)
    assert run.returncode == 2
    assert run.stderr.startswith(f"face128: {sentence}"), run.stderr
    assert run.stderr.count("\n") == 1
    assert sorted(club.rglob("*")) == before


def test_a_table_gives_the_numbers(club: Path) -> None:
    rows = (
        "Member;Full name;Scan\n1029;Barack O;our photos/Barack O - 1029.jpg\n1030;Joe B;our photos/Joe B - 1030.jpg\n"
    )
    (club / "list.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    columns = "regNo=Member,name=Full name,photo=Scan"
    run = forked(club, "init", "--photos", "list.csv", "--numbers", columns, "--address", str(free_port()))
    assert run.returncode == 0, run.stderr
    assert "2 photos of 2 members" in run.stderr
    assert f"face128 reencode list.csv --columns '{columns}' --out enrolled.json" in run.stdout
    run = forked(club, "init", "--photos", "list.csv", "--yes")
    assert run.returncode == 2
    assert run.stderr.startswith("face128: --numbers: ")
    assert "There is no column for regNo" in run.stderr
    assert "Member, Full name, Scan" in run.stderr


def test_an_existing_file_is_replaced_only_if_somebody_agrees(club: Path) -> None:
    old = "FACE128_PORT=1\n"
    (club / "face128.env").write_text(old)
    (club / "face128.env").chmod(0o644)
    run = forked(club, "init")
    assert run.returncode == 2
    assert "--yes" in run.stderr
    with pseudo_terminal(club, "init") as terminal:
        answer(terminal, "face128.env exists. Replace it? [y/N]", "perhaps", "Answer y for yes or n for no.")
        terminal.type("\n")
        assert terminal.end() == 1
    assert (club / "face128.env").read_text() == old
    run = forked(club, "init", "--yes", "--address", str(free_port()))
    assert run.returncode == 0, run.stderr
    assert (club / "face128.env").read_text() != old
    assert (club / "face128.env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("key", "status"), [(CTRL_C, 130), (CTRL_D, 2)])
def test_it_can_be_left_at_any_question(club: Path, key: str, status: int) -> None:
    with pseudo_terminal(club, "init", columns=60) as terminal:
        answer(terminal, "1/5", "", "3/5")
        terminal.type(key)
        assert terminal.end() == status
    assert "Traceback" not in terminal.text
    assert not (club / "face128.env").exists()


def test_a_file_of_settings_that_is_wrong_is_named(club: Path) -> None:
    for text, sentence in (
        ("FACE128_PORT 1", "Line 1 of bad.env is not NAME=value."),
        ("\xff", "bad.env is not UTF-8."),
    ):
        (club / "bad.env").write_bytes(text.encode("latin-1"))
        run = forked(club, "--env-file", "bad.env", "version")
        assert (run.returncode, run.stderr) == (2, f"face128: {sentence}\n")
    run = forked(club, "--env-file", "missing.env", "version")
    assert run.returncode == 2
    assert "missing.env cannot be read" in run.stderr


def test_what_is_set_already_wins_over_the_file(club: Path) -> None:
    (club / "my.env").write_text("# a comment\n\nexport FACE128_PORT='70000'\r\nFACE128_HOST=\n")
    run = forked(club, "--env-file", "my.env", "health")
    assert run.returncode == 2
    assert "FACE128_PORT" in run.stderr
    run = forked(club, "--env-file=my.env", "health", FACE128_PORT="9")
    assert run.returncode == 1
    assert "http://127.0.0.1:9 does not answer: Connection refused" in run.stderr
