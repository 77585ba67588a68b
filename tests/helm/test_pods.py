"""What runs: as nobody, with nothing it does not need, told what its settings know, and waited for when it ends."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from helm.chart import EVERYTHING, VARIANTS, Object, containers, environment, one, pods, render
from helm.security import violations
from orrery.client.exits import Exit
from orrery.client.options import Connection
from orrery.dispatcher.settings import DispatcherSettings
from orrery.gateway.settings import GatewaySettings
from orrery.worker.settings import StageEnvironment
from orrery.worker.triton_server import TritonOptions
from orrery.worlds.environment import PREFIX, ProcessSettings, from_environment

SETTINGS: dict[str, type[ProcessSettings]] = {
    "gateway": GatewaySettings,
    "dispatcher": DispatcherSettings,
    "stage": StageEnvironment,
}
OF_LIBRARIES = {
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "AWS_REGION",
    "AWS_ENDPOINT",
    "AWS_ALLOW_HTTP",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
}
OF_OTHERS = {"video": {"ORRERY_API_KEY"}, "redis": {"VALKEYCLI_AUTH"}}
SECRET = re.compile("PASSWORD|SECRET|TOKEN|AUTH|ACCESS_KEY|API_KEY$")
OF_THE_IMAGE = {"ORRERY_MODELS_DIR": "/opt/models", "ORRERY_RUN_DIR": "/tmp/orrery"}


@pytest.fixture(params=VARIANTS, scope="module")
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return render(VARIANTS[request.param])


def test_every_pod_keeps_to_the_standard_restricted(objects: list[Object]) -> None:
    assert {name: found for name, pod in pods(objects) if (found := violations(pod))} == {}


def _root(pod: Object) -> None:
    pod["spec"]["securityContext"]["runAsUser"] = 0


def _no_seccomp(pod: Object) -> None:
    del pod["spec"]["securityContext"]["seccompProfile"]


def _host_path(pod: Object) -> None:
    pod["spec"]["volumes"].append({"name": "host", "hostPath": {"path": "/"}})


def _host_network(pod: Object) -> None:
    pod["spec"]["hostNetwork"] = True


def _of_container(field: str, value: Any) -> Callable[[Object], None]:
    def loosen(pod: Object) -> None:
        pod["spec"]["containers"][0]["securityContext"][field] = value

    return loosen


@pytest.mark.parametrize(
    ("loosen", "named"),
    [
        (_root, "runAsUser"),
        (_no_seccomp, "seccompProfile"),
        (_host_path, "volume host"),
        (_host_network, "hostNetwork"),
        (_of_container("runAsNonRoot", False), "runAsNonRoot"),
        (_of_container("privileged", True), "privileged"),
        (_of_container("allowPrivilegeEscalation", True), "allowPrivilegeEscalation"),
        (_of_container("capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]}), "capabilities"),
        (_of_container("readOnlyRootFilesystem", False), "readOnlyRootFilesystem"),
    ],
)
def test_a_pod_that_is_looser_is_found(loosen: Callable[[Object], None], named: str) -> None:
    pod = copy.deepcopy(one(render({}), "Deployment", "gateway")["spec"]["template"])
    loosen(pod)
    assert [found.removeprefix("gateway: ") for found in violations(pod)] == [named]


def test_no_pod_can_ask_kubernetes_for_anything(objects: list[Object]) -> None:
    accounts = {item["metadata"]["name"]: item for item in objects if item["kind"] == "ServiceAccount"}
    for _, pod in pods(objects):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert accounts[pod["spec"]["serviceAccountName"]]["automountServiceAccountToken"] is False
    assert not {item["kind"] for item in objects} & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}


def test_no_secret_is_in_the_chart(objects: list[Object]) -> None:
    assert [item for item in objects if item["kind"] == "Secret"] == []
    for _, pod in pods(objects):
        for container in containers(pod):
            named = {name: value for name, value in environment(container).items() if SECRET.search(name)}
            assert all(set(value) == {"secretKeyRef"} for value in named.values()), named


def test_every_variable_is_a_setting_of_its_process(objects: list[Object]) -> None:
    for _, pod in pods(objects):
        for container in containers(pod):
            names = set(environment(container)) - OF_LIBRARIES - OF_OTHERS.get(container["name"], set()) - {"REDIS_PASSWORD"}
            fields = {PREFIX + name.upper() for name in getattr(SETTINGS.get(container["name"]), "model_fields", ())}
            assert names <= fields, (container["name"], names - fields)


def test_every_process_takes_its_environment(objects: list[Object]) -> None:
    """The settings read what the chart says, with something in the place of each secret."""
    for name, kind in SETTINGS.items():
        for container in [c for _, pod in pods(objects) for c in containers(pod) if c["name"] == name]:
            given = environment(container)
            known = {key: value if isinstance(value, str) else _secret(key) for key, value in given.items()}
            settings = from_environment(kind, (OF_THE_IMAGE if name == "stage" else {}) | known)
            assert settings.model_fields_set >= {"redis_url", "artifacts_url"}


def _secret(name: str) -> str:
    return "whsec_" + "QUJD" * 11 if name == "ORRERY_WEBHOOK_SECRET" else "redis://elsewhere:6379/0"


def test_kubernetes_adds_no_variables_that_would_be_settings(objects: list[Object]) -> None:
    """For a service called `orrery` its links would set ORRERY_PORT to an address."""
    assert all(pod["spec"]["enableServiceLinks"] is False for _, pod in pods(objects))


def test_settings_reach_their_process_as_it_reads_them() -> None:
    gateway = environment(one(render(EVERYTHING), "Deployment", "gateway")["spec"]["template"]["spec"]["containers"][0])
    assert gateway["ORRERY_RATE_PER_SECOND"] == "2.5"
    assert gateway["ORRERY_MAX_UPLOAD_BYTES"] == "209715200"
    assert gateway["ORRERY_URL_HOSTS"] == "a.example"
    dispatcher = environment(one(render(EVERYTHING), "Deployment", "dispatcher")["spec"]["template"]["spec"]["containers"][0])
    assert dispatcher["ORRERY_SWEEP_DRY_RUN"] == "true"


def test_the_test_hands_its_key_over_as_clients_do() -> None:
    (video,) = one(render(EVERYTHING), "Pod", "test")["spec"]["containers"]
    (option,) = get_type_hints(Connection, include_extras=True)["api_key"].__metadata__
    assert list(environment(video)) == [option.envvar]


def test_the_password_of_the_bundled_store_is_put_together_by_kubernetes() -> None:
    objects = render(EVERYTHING)
    gateway = one(objects, "Deployment", "gateway")["spec"]["template"]["spec"]["containers"][0]
    names = [entry["name"] for entry in gateway["env"]]
    assert names.index("REDIS_PASSWORD") < names.index("ORRERY_REDIS_URL")
    assert environment(gateway)["ORRERY_REDIS_URL"] == "redis://:$(REDIS_PASSWORD)@orrery-redis:6379/0"
    (redis,) = one(objects, "StatefulSet", "redis")["spec"]["template"]["spec"]["containers"]
    assert redis["args"][-2:] == ["--requirepass", "$(VALKEYCLI_AUTH)"]


def test_the_bundled_store_keeps_what_was_accepted() -> None:
    (redis,) = one(render({}), "StatefulSet", "redis")["spec"]["template"]["spec"]["containers"]
    options = dict(zip(redis["args"][::2], redis["args"][1::2], strict=True))
    assert options == {
        "--protected-mode": "no",
        "--dir": "/data",
        "--appendonly": "yes",
        "--maxmemory-policy": "noeviction",
        "--save": "",
    }
    assert one(render({}), "StatefulSet", "redis")["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "data"


@pytest.mark.parametrize("drain", [0, 30, 300])
def test_a_stage_is_waited_for_until_it_has_handed_its_work_back_and_stopped_triton(drain: int) -> None:
    pod = one(render({"stageDefaults": {"drainSeconds": drain}}), "Deployment", "denoiser")["spec"]["template"]["spec"]
    assert environment(pod["containers"][0])["ORRERY_DRAIN_SECONDS"] == str(drain)
    exit_timeout = TritonOptions.__dataclass_fields__["exit_timeout"].default
    assert pod["terminationGracePeriodSeconds"] > drain + exit_timeout + 5 + 10


def test_a_gateway_is_waited_for_until_its_requests_have_ended() -> None:
    values = {"gateway": {"drainSeconds": 7, "settings": {"shutdown_seconds": 90}}}
    pod = one(render(values), "Deployment", "gateway")["spec"]["template"]["spec"]
    assert pod["containers"][0]["lifecycle"]["preStop"] == {"sleep": {"seconds": 7}}
    assert pod["terminationGracePeriodSeconds"] > 7 + 90
    usual = one(render({}), "Deployment", "gateway")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert usual > 5 + GatewaySettings.model_fields["shutdown_seconds"].default


def test_a_new_version_replaces_no_pod_before_another_is_ready() -> None:
    deployments = [item for item in render({}) if item["kind"] == "Deployment"]
    assert len(deployments) == 8
    for item in deployments:
        assert item["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert "readinessProbe" in item["spec"]["template"]["spec"]["containers"][0]


def test_a_gpu_stage_asks_for_its_slice_and_runs_the_image_for_it() -> None:
    denoiser = one(render(EVERYTHING), "Deployment", "denoiser")["spec"]["template"]["spec"]["containers"][0]
    assert denoiser["image"] == "registry.example/orrery/stage-gpu:0.1.0"
    assert denoiser["resources"]["limits"] == {"nvidia.com/mig-3g.40gb": 1}
    assert environment(denoiser)["ORRERY_DEVICE"] == "cuda"
    publisher = one(render(EVERYTHING), "Deployment", "publisher")["spec"]["template"]["spec"]["containers"][0]
    assert publisher["image"] == "registry.example/orrery/stage:0.1.0"
    assert "limits" not in publisher["resources"]


def test_a_volume_that_is_there_is_used_and_none_is_made() -> None:
    objects = render({"artifacts": {"volume": {"existingClaim": "shared"}}})
    assert [item for item in objects if item["kind"] == "PersistentVolumeClaim"] == []
    volumes = one(objects, "Deployment", "gateway")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "artifacts", "persistentVolumeClaim": {"claimName": "shared"}} in volumes


def test_volumes_with_what_cannot_be_made_again_outlive_the_release() -> None:
    claims = [item for item in render(EVERYTHING) if item["kind"] == "PersistentVolumeClaim"]
    assert {item["metadata"]["name"] for item in claims} == {"orrery-artifacts", "orrery-models"}
    assert all(item["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"} for item in claims)


def test_a_model_cache_that_is_wanted_otherwise_is_filled_by_another_job() -> None:
    def job(values: dict[str, Any]) -> Object:
        (found,) = [item for item in render(values) if item["kind"] == "Job"]
        return found

    wanted = {"enabled": True, "components": {"t5-11b": "text_encoder"}}
    more = wanted | {"components": {"t5-11b": "text_encoder", "wan2.1-vae": "video_tokenizer"}}
    first, second = job({"modelCache": wanted}), job({"modelCache": more})
    assert first["metadata"]["name"] != second["metadata"]["name"]
    (describe,) = second["spec"]["template"]["spec"]["containers"]
    assert describe["args"] == ["t5-11b=text_encoder", "wan2.1-vae=video_tokenizer"]
    (wait,) = one(render({"modelCache": more}), "Deployment", "denoiser")["spec"]["template"]["spec"]["initContainers"]
    assert wait["args"] == ["t5-11b", "wan2.1-vae"]


def fetching(**cache: Any) -> list[Object]:
    """What the Job runs before it checks."""
    components = {"predict2-2b-text2image": "transformer", "wan2.1-vae": "video_tokenizer", "t5-11b": "text_encoder"}
    (job,) = [
        item for item in render({"modelCache": {"enabled": True, "components": components, **cache}}) if item["kind"] == "Job"
    ]
    return list(job["spec"]["template"]["spec"].get("initContainers", []))


def test_components_are_pulled_by_the_command_line_unless_there_is_a_command_or_nothing_to_fetch() -> None:
    (pull,) = fetching(fetch={"secret": "hub-token", "revisions": {"t5-11b": "0123abc"}})
    assert pull["image"] == "orrery/stage:0.1.0"
    assert pull["command"] == ["orrery", "models", "pull", "--models-dir", "/models"]
    assert pull["args"] == ["--revision=t5-11b=0123abc", "t5-11b", "wan2.1-vae", "predict2-2b-text2image"]
    assert pull["envFrom"] == [{"secretRef": {"name": "hub-token"}}]
    (own,) = fetching(fetch={"command": ["mine"]})
    assert (own["command"], "args" in own) == (["mine"], False)
    assert fetching(fetch={"enabled": False}) == []


def test_what_the_job_runs_is_a_command_that_there_is(tmp_path: Path) -> None:
    """As it is rendered, against a port where no hub listens: every word is taken, and the first component is asked for."""
    (pull,) = fetching(fetch={"revisions": {"t5-11b": "0123abc"}})
    words = [str(tmp_path) if word == "/models" else word for word in [*pull["command"][1:], *pull["args"]]]
    told = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-m", "orrery.client.cli", *words], env=told, capture_output=True, text=True, check=False
    )
    assert done.returncode == Exit.UNREACHABLE
    assert "nvidia/Cosmos-Predict2-2B-Text2Image: http://127.0.0.1:9 cannot be reached" in done.stderr
