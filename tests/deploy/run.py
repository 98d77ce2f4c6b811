"""What is deployed, judged by those who are to understand it.

    run.py --server BINARY

- metrics of a running server by the parser of Prometheus' own Python client; docs/operate.md lists each of them, and no
  other; alerts of the documentation name only metrics that there are;
- the unit of systemd by `systemd-analyze verify` and `security`, where that is there;
- the container file by hadolint, and that what it copies is there and what it builds is what Cargo builds;
- the manifests of Kubernetes, as kustomize (kubectl) puts them together, by the schemas of Kubernetes, and by what they
  promise each other: ports, selectors, settings that the server accepts.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import kubernetes_validate
import yaml
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/common"))
from harness import Checks  # noqa: E402
CONFIG = ROOT / "config"
TOOLS = Path(sys.executable).parent
KUBERNETES = "1.32"


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, **options)


class Server:
    """The server over the demo's data."""

    def __init__(self, binary, *arguments):
        environment = {**os.environ, "THALWEG_INDEX_FOLDER": "none", "THALWEG_LIMITS_DRAIN_DELAY": "0 s"}
        command = [binary, "serve", "--listen", "127.0.0.1:0", *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        while "listening on" not in (line := self.process.stderr.readline()):
            assert line, "the server ended"
        self.url = line.split()[2].rstrip("/")

    def get(self, target):
        with urllib.request.urlopen(self.url + target, timeout=30) as answer:
            return answer.read().decode("utf-8", errors="replace")

    def stop(self):
        self.process.stderr.close()
        self.process.terminate()
        self.process.wait(timeout=40)


def metrics(binary, folder, checks):
    (folder / "data").mkdir()
    source = ROOT / ".work" / "data" / "SOI_Darwin.nc"
    shutil.copy(source, folder / "data" / "one.nc")
    server = Server(binary, folder / "data")
    try:
        for target in ("/", "/opendap/one.nc.dmr", "/opendap/one.nc.dods", "/files/one.nc", "/zarr/one.nc/.zmetadata"):
            server.get(target)
        text = server.get("/-/metrics")
    finally:
        server.stop()
    families = list(text_string_to_metric_families(text))
    names = {}
    for family in families:
        checks.that(family.documentation and family.type in ("counter", "gauge", "histogram"), f"{family.name} is a {family.type}")
        checks.that(family.name not in names, f"{family.name} is told twice")
        # The parser takes the ending off the names of counters.
        names[family.name + ("_total" if family.type == "counter" else "")] = family
        if family.type == "histogram":
            histogram(family, checks)
    samples = sum(len(family.samples) for family in families)
    checks.that(samples < 1000, f"{samples} samples")
    read = [s for f in families if f.name == "thalweg_read_bytes" for s in f.samples]
    checks.that(any(s.value >= source.stat().st_size / 4 for s in read), f"what was read is not counted: {read}")
    documentation = (ROOT / "docs" / "operate.md").read_text()
    (table,) = re.findall(r"^\| metric \|.*?\n\n", documentation, re.M | re.S)
    listed = set(re.findall(r"`([a-z_]+)`", "\n".join(row.split("|")[1] for row in table.strip().splitlines())))
    # Stores are told of where there are any.
    checks.that(set(names) == listed, f"docs/operate.md lists other metrics: {set(names) ^ listed}")
    (alerts,) = re.findall(r"in PromQL:\n\n```text\n(.*?)```", documentation, re.S)
    for name in re.findall(r"\b(?:thalweg|dap|config|process)_[a-z_]+", alerts):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        checks.that(base in names, f"an alert is about {name}, which is no metric")
    return f"{len(families)} metrics, {samples} samples"


def histogram(family, checks):
    """Buckets grow, the last is the count."""
    by_route = {}
    for sample in family.samples:
        if sample.name.endswith("_bucket"):
            by_route.setdefault(sample.labels["route"], []).append((float(sample.labels["le"]), sample.value))
    counts = {s.labels["route"]: s.value for s in family.samples if s.name.endswith("_count")}
    checks.that(by_route and set(by_route) == set(counts), f"{family.name}: {set(by_route)} and {set(counts)}")
    for route, buckets in by_route.items():
        values = [value for _, value in buckets]
        checks.that(buckets == sorted(buckets) and values == sorted(values), f"{family.name} {route} does not grow")
        checks.that(buckets[-1] == (float("inf"), counts[route]), f"{family.name} {route} ends with {buckets[-1]}")


def systemd(binary, folder, checks):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return "systemd-analyze is not here: the unit was NOT checked"
    unit = folder / "thalweg.service"
    text = (CONFIG / "systemd" / "thalweg.service").read_text()
    # It looks whether the program is there.
    assert "/usr/local/bin/thalweg" in text
    unit.write_text(text.replace("/usr/local/bin/thalweg", str(binary)))
    verified = run(analyze, "verify", "--man=no", unit)
    said = [line for line in (verified.stdout + verified.stderr).splitlines() if "thalweg.service" in line]
    checks.that(verified.returncode == 0 and not said, f"systemd-analyze verify: {said}")
    # Scores are tenths: 2.0 of 10.
    judged = run(analyze, "security", "--offline=true", "--no-pager", "--threshold=20", unit)
    last = judged.stdout.strip().splitlines()[-1:] or [judged.stderr]
    checks.that(judged.returncode == 0, f"systemd-analyze security: {last}")
    broken = folder / "broken.service"
    broken.write_text(unit.read_text().replace("Type=notify", "Type=notyfi").replace("ProtectSystem=strict", ""))
    checks.that("notyfi" in run(analyze, "verify", "--man=no", broken).stderr, "systemd-analyze finds no fault at all")
    return last[0].strip("→ ").strip()


def container(checks):
    file = CONFIG / "container" / "Containerfile"
    linted = run(TOOLS / "hadolint", "--no-color", "--failure-threshold", "style", file)
    checks.that(linted.returncode == 0, f"hadolint: {linted.stdout}{linted.stderr}")
    text = file.read_text()
    ignored = (ROOT / ".dockerignore").read_text()
    for name in re.findall(r"^!(\S+)$", ignored, re.M):
        checks.that((ROOT / name).exists(), f".dockerignore lets {name} in, which is not there")
    metadata = json.loads(run("cargo", "metadata", "--format-version", "1", "--no-deps", cwd=ROOT).stdout)
    members = {Path(package["manifest_path"]).parent.relative_to(ROOT) for package in metadata["packages"]}
    allowed = [Path(name) for name in re.findall(r"^!(\S+)$", ignored, re.M)]
    for member in members - {Path(".")}:
        checks.that(any(member.is_relative_to(a) for a in allowed), f".dockerignore keeps the crate {member} out")
    for package in metadata["packages"]:
        for target in package["targets"]:
            source = Path(target["src_path"]).relative_to(ROOT)
            if package["name"] == "thalweg" and target["kind"] in (["lib"], ["bin"]):
                checks.that(any(source.is_relative_to(a) for a in allowed), f".dockerignore keeps {source} out")
    checks.that("USER 65532:65532" in text and "ENTRYPOINT [" in text, "the container runs as another user, or in a shell")
    built = [t["name"] for p in metadata["packages"] for t in p["targets"] if t["kind"] == ["bin"] and p["name"] == "thalweg"]
    checks.that(built == ["thalweg"] and "--package thalweg --bin thalweg" in text, f"Cargo builds {built}")
    return "hadolint is content"


def manifests(folder, checks):
    """What kustomize makes of the base; where it is not there, the files as they are."""
    base = CONFIG / "kubernetes"
    names = yaml.safe_load((base / "kustomization.yaml").read_text())["resources"]
    present = {path.name for path in base.glob("*.yaml")} - {"kustomization.yaml"}
    checks.that(set(names) == present, f"kustomization.yaml lists {set(names) ^ present} wrongly")
    if shutil.which("kubectl") is None:
        return [d for name in names for d in yaml.safe_load_all((base / name).read_text())], "files alone: kubectl is not here"
    made = run("kubectl", "kustomize", base)
    checks.that(made.returncode == 0, f"kustomize: {made.stderr}")
    return list(yaml.safe_load_all(made.stdout)), "put together by kustomize"


def kubernetes(binary, folder, checks):
    found, how = manifests(folder, checks)
    is_whole = how.startswith("put")
    for document in found:
        what = f"{document['kind']} {document['metadata']['name']}"
        if not is_whole and document["kind"] == "Deployment":
            continue  # Its selector comes from the kustomization.
        try:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
            checks.that(True, what)
        except kubernetes_validate.ValidationError as problem:
            checks.that(False, f"{what}: {problem}")
    kinds = {d["kind"]: d for d in found}
    wanted = {"Namespace", "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"}
    checks.that(wanted <= set(kinds), f"missing: {wanted - set(kinds)}")
    pod = kinds["Deployment"]["spec"]["template"]
    (program,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in program["ports"]}
    for service in (d for d in found if d["kind"] == "Service"):
        for port in service["spec"]["ports"]:
            checks.that(port["targetPort"] in ports, f"a Service leads to the port {port['targetPort']}")
    for probe, path in (("startupProbe", "/-/live"), ("livenessProbe", "/-/live"), ("readinessProbe", "/-/ready")):
        get = program[probe]["httpGet"]
        checks.that(get["path"] == path and get["port"] in ports, f"{probe} asks {get}")
    checks.that(program["securityContext"]["readOnlyRootFilesystem"], "the root is not read-only")
    checks.that(pod["spec"]["securityContext"]["runAsUser"] == 65532, "the user is another than the container's")
    hpa = kinds["HorizontalPodAutoscaler"]["spec"]
    checks.that(any(m.get("pods", {}).get("metric", {}).get("name") == "dap_inflight_bytes" for m in hpa["metrics"]), "the autoscaler looks at no bytes")
    if is_whole:
        labels = pod["metadata"]["labels"]
        selectors = [kinds["Deployment"]["spec"]["selector"]["matchLabels"], kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
                     kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]]  # fmt: skip
        selectors += [d["spec"]["selector"] for d in found if d["kind"] == "Service"]
        checks.that(all(s and s.items() <= labels.items() for s in selectors), f"selectors {selectors} of pods with {labels}")
        (settings,) = [d["data"]["thalweg.toml"] for d in found if d["kind"] == "ConfigMap"]
        names = [v["configMap"]["name"] for v in pod["spec"]["volumes"] if "configMap" in v]
        checks.that(names == [kinds["ConfigMap"]["metadata"]["name"]], f"the pod mounts the settings {names}")
    else:
        settings = (CONFIG / "kubernetes" / "thalweg.toml").read_text()
    mounts = [mount["mountPath"] for mount in program["volumeMounts"]]
    (folder / "k").mkdir()
    # The server itself says whether it would start with them, with the folders of the pod.
    for path in ("/data", "/cache"):
        checks.that(path in mounts and f'"{path}"' in settings, f"{path} is not mounted, or not used")
        settings = settings.replace(f'"{path}"', f'"{folder / "k"}"')
    (folder / "thalweg.toml").write_text(settings)
    checked = run(binary, "config", "check", folder / "thalweg.toml")
    checks.that(checked.returncode == 0, f"settings of the pods: {checked.stdout}{checked.stderr}")
    printed = run(binary, "config", "print", "--config", folder / "thalweg.toml").stdout
    checks.that(all(f':{port}"' in printed for port in ports.values()), f"the pod's ports are not those of its settings: {ports}")
    seconds = {k: int(v) for k, v in re.findall(r'(drain_\w+) = "(\d+) s"', settings)}
    grace = pod["spec"]["terminationGracePeriodSeconds"]
    checks.that(grace >= seconds["drain_delay"] + seconds["drain_timeout"] + 5, f"{grace} s are too few for {seconds}")
    memory = sum(int(n) for n in re.findall(r'(?:memory|chunk_cache) = "(\d+) MiB"', settings))
    checks.that(memory + 256 <= 1024 and program["resources"]["limits"]["memory"] == "1Gi", f"{memory} MiB do not fit")
    return f"{len(found)} manifests, {how}, against Kubernetes {KUBERNETES}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default=os.environ.get("THALWEG"), required="THALWEG" not in os.environ)
    binary = Path(parser.parse_args().server).resolve()
    checks, begin = Checks(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told = [metrics(binary, folder, checks), systemd(binary, folder, checks), container(checks), kubernetes(binary, folder, checks)]
    for what in checks.wrong:
        print(what, file=sys.stderr)
    for line in told:
        print(line)
    print(f"deployment: {checks.count} checks, {len(checks.wrong)} failed, {time.monotonic() - begin:.0f} s")
    return 1 if checks.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
