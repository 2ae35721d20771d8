"""deploy/: the metrics and labels of the dashboard and the alerts exist, and the programs accept their files.

The tests do not run Docker or Grafana: they check the compose file and the dashboard statically.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from paths import ROOT
from prometheus_client.parser import text_string_to_metric_families

from face128.settings import Settings, load_settings

DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
PROMETHEUS_LABELS = {"job", "instance"}


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def alerts() -> list[dict[str, Any]]:
    return [rule for group in read("prometheus/alerts.yml")["groups"] for rule in group["rules"]]


def board() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DEPLOY / "grafana" / "face128.json").read_text())
    return loaded


def queries() -> list[str]:
    return [rule["expr"] for rule in alerts()] + [t["expr"] for panel in board()["panels"] for t in panel["targets"]]


def test_every_metric_of_a_query_exists(fake_service: httpx.Client) -> None:
    families = list(text_string_to_metric_families(fake_service.get("/metrics").text))
    exist = {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}
    queried = {name for query in queries() for name in re.findall(r"\bface128_\w+", query)}
    assert queried <= exist, queried - exist
    assert len(queried) > 12


def test_every_label_of_a_query_is_documented() -> None:
    page = (DEPLOY.parent / "docs" / "operations.md").read_text()
    documented = set(
        re.findall(r"`(\w+)`", "".join(line for line in page.splitlines() if line.startswith("| `face128_")))
    )
    matched = {label for query in queries() for label in re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query)}
    grouped = {
        label
        for query in queries()
        for group in re.findall(r"\b(?:by|on) \(([^)]+)\)", query)
        for label in group.split(", ")
    }
    assert matched | grouped <= documented | PROMETHEUS_LABELS | {"le"}


def test_the_panels_of_the_dashboard_have_their_own_id_and_place() -> None:
    panels = board()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
@pytest.mark.parametrize(
    "check",
    [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
        ["check", "config", "--syntax-only", "prometheus.yml"],
    ],
)
def test_promtool_accepts_the_files(check: list[str]) -> None:
    done = subprocess.run(["promtool", *check], cwd=PROMETHEUS, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_health_checks_ask_the_address_that_is_listened_on() -> None:
    """tests/server/test_listening.py runs the command."""
    assert read("compose.yml")["services"]["face128"]["healthcheck"]["test"] == ["CMD", "face128", "health"]
    assert re.search(r'^HEALTHCHECK .* CMD \["face128", "health"\]$', (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_the_compose_file_is_consistent(monkeypatch: pytest.MonkeyPatch) -> None:
    compose = read("compose.yml")
    services = compose["services"]
    assert set(services) == {"face128", "mariadb", "prometheus"}
    for service in services.values():
        assert service["healthcheck"]["test"][0] == "CMD"
        assert not [port for port in service.get("ports", ()) if not port.startswith("127.0.0.1:")]
        assert set(service.get("depends_on", ())) <= set(services)
        named = [volume.partition(":")[0] for volume in service.get("volumes", ())]
        assert all(volume in compose["volumes"] or (DEPLOY / volume).exists() for volume in named)
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
        secrets = service.get("env_file")
        assert secrets is None or (DEPLOY / f"{secrets}.example").exists()
    (scrape,) = read("prometheus/prometheus.yml")["scrape_configs"]
    assert scrape["static_configs"][0]["targets"] == ["face128:8000"]
    assert scrape["authorization"]["credentials_file"] == "/run/secrets/metrics_key"
    # The example has only settings that exist, and its database URL is valid.
    lines = (DEPLOY / "face128.env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert {name.removeprefix("FACE128_").lower() for name in example} <= set(Settings.model_fields)
    monkeypatch.setenv("FACE128_DATABASE_URL", example["FACE128_DATABASE_URL"])
    assert load_settings().database_url is not None


# The current one, the older one (1.29, which knows no `name:` in the file), and Podman's.
COMPOSES = (["docker", "compose"], ["docker-compose"], ["podman-compose"])


@pytest.mark.parametrize("command", COMPOSES, ids=" ".join)
def test_compose_reads_the_file(command: list[str], tmp_path: Path) -> None:
    if not shutil.which(command[0]) or subprocess.run([*command, "version"], capture_output=True).returncode:
        pytest.skip(f"{' '.join(command)} is not installed")
    folder = tmp_path / "deploy"
    shutil.copytree(DEPLOY, folder)
    for example in folder.glob("*.env.example"):
        example.rename(example.with_suffix(""))
    (folder / "metrics.key").touch()
    done = subprocess.run([*command, "config"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    read_back = yaml.safe_load(done.stdout)
    assert set(read_back["services"]) == set(read("compose.yml")["services"])
    assert read_back["services"]["face128"]["depends_on"]["mariadb"]["condition"] == "service_healthy"


def test_the_containers_and_volumes_are_named_after_the_project() -> None:
    """The volumes of version 0.1.0 have this name, from `name:` in compose.yml."""
    assert "COMPOSE_PROJECT_NAME=face128" in (DEPLOY / ".env").read_text().splitlines()
    assert "name" not in read("compose.yml")


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "face128.service").read_text()
    grace = load_settings().grace
    assert int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) > grace
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    installed = tmp_path / "face128.service"
    installed.write_text(re.sub("ExecStart=.*", "ExecStart=/bin/true", unit))  # this machine has no /opt/face128
    done = subprocess.run(["systemd-analyze", "verify", str(installed)], capture_output=True, text=True)
    assert not [line for line in done.stderr.splitlines() if "face128" in line]  # other units may have warnings
    security = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(installed)]
    assert subprocess.run(security, capture_output=True).returncode == 0


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = read("kubernetes/deployment.yaml")["spec"]["template"]["spec"]
    return spec


def test_the_probes_are_answered_without_a_key(fake_service: httpx.Client) -> None:
    container = pod()["containers"][0]
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/ready", "readiness": "/ready", "liveness": "/health"}
    paths |= {
        "render": read("render.yaml")["services"][0]["healthCheckPath"],
        "railway": json.loads((DEPLOY / "railway.json").read_text())["deploy"]["healthcheckPath"],
        "fly": tomllib.loads((DEPLOY / "fly.toml").read_text())["http_service"]["checks"][0]["path"],
    }
    for path in paths.values():
        assert fake_service.get(path, headers={"Authorization": ""}).status_code == 200


def test_each_platform_waits_until_the_grace_is_over() -> None:
    grace_s = Settings.model_fields["grace"].default
    waits = {
        "kubernetes": pod()["terminationGracePeriodSeconds"],
        "render": read("render.yaml")["services"][0]["maxShutdownDelaySeconds"],
        "railway": json.loads((DEPLOY / "railway.json").read_text())["deploy"]["drainingSeconds"],
        "fly": int(tomllib.loads((DEPLOY / "fly.toml").read_text())["kill_timeout"].removesuffix("s")),
        "compose": int(read("compose.yml")["services"]["face128"]["stop_grace_period"].removesuffix("s")),
    }
    assert min(waits.values()) >= grace_s + 5, waits


def test_the_user_and_the_folder_are_those_of_the_image() -> None:
    image = (ROOT / "Dockerfile").read_text()
    user = int(re.findall(r"^USER (\d+)$", image, re.MULTILINE)[0])
    folder = re.findall(r"^VOLUME (\S+)$", image, re.MULTILINE)[0]
    security = pod()["securityContext"]
    assert (security["runAsUser"], security["fsGroup"]) == (user, user)
    mounts = {
        "kubernetes": pod()["containers"][0]["volumeMounts"][0]["mountPath"],
        "render": read("render.yaml")["services"][0]["disk"]["mountPath"],
    }
    assert set(mounts.values()) == {folder} == {re.findall(r"FACE128_DATA=(\S+)", image)[0]}


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_kustomize_renders_the_manifests() -> None:
    done = subprocess.run(["kubectl", "kustomize", DEPLOY / "kubernetes"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}
    labels = made["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert set(made) == {"Deployment", "Service", "PersistentVolumeClaim"}
    assert made["Service"]["spec"]["selector"].items() <= labels.items()
    assert made["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
