"""deploy/kubernetes, rendered by kustomize: valid by the schemas of the oldest
and the newest Kubernetes it is for, with every selector and port meeting
something, no right to spare, rules as shipped, and Corefiles that are right.
What is broken on purpose is turned down."""

import copy
import pathlib

import cloudcoil.models.prometheus_operator.v1 as operator
import kubernetes_validate
import pydantic
import yaml

import kubectl

DEPLOY = pathlib.Path(__file__).resolve().parents[3] / "deploy"
OVERLAYS = ("base", "example")
# Pods that are spread with those of their own rollout alone are there from 1.27 on.
VERSIONS = ("1.27", kubernetes_validate.latest_version())
APP = "app.kubernetes.io/name"


def render(bed, folder):
    """The objects that `kubectl apply -k` would apply."""
    code, out, told = bed.run(kubectl.find(), "kustomize", folder)
    if code != 0:
        raise ValueError(told)
    return [each for each in yaml.safe_load_all(out) if each]


def unknown(given, known, path=""):
    """Fields that a model has dropped because it does not know them."""
    if isinstance(given, dict) and isinstance(known, dict):
        return [place for key, value in given.items()
                for place in (unknown(value, known[key], f"{path}.{key}") if key in known
                              else [f"{path}.{key}"])]
    if isinstance(given, list) and isinstance(known, list):
        return [place for n, (one, other) in enumerate(zip(given, known))
                for place in unknown(one, other, f"{path}[{n}]")]
    return []


def by_schema(each):
    """What the schema of its kind has against an object."""
    if each["apiVersion"].startswith("monitoring.coreos.com/"):
        try:
            model = getattr(operator, each["kind"]).model_validate(each)
        except pydantic.ValidationError as error:
            return [str(error)]
        return unknown(each, model.model_dump(by_alias=True, exclude_none=True, mode="json"))
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(each, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            found.append(f"{each['kind']} in {version}: {error}")
    return found


def one(objects, kind, name="gathersrv"):
    found, = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def relations(objects):
    """Selectors and ports that meet nothing: no schema sees those."""
    deployment = one(objects, "Deployment")
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"]
    container, = template["spec"]["containers"]
    ports = {port["name"]: port for port in container["ports"]}
    found = []

    def selects(what, selector):
        selector = (selector or {}).get("matchLabels", selector)
        if not selector or any(labels.get(key) != value for key, value in selector.items()):
            found.append(f"{what} selects no pod")

    def port(what, name, protocol):
        if ports.get(name, {}).get("protocol") != protocol:
            found.append(f"{what}: no port {name} ({protocol})")

    selects("the Deployment", deployment["spec"]["selector"])
    for spread in template["spec"]["topologySpreadConstraints"]:
        selects("the spread over " + spread["topologyKey"], spread["labelSelector"])
    for probe in ("readinessProbe", "livenessProbe"):
        port(probe, container[probe]["httpGet"]["port"], "TCP")
    mounts = [mount["name"] for mount in container["volumeMounts"]]
    for volume in template["spec"]["volumes"]:
        names = [each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"]
        if volume["name"] not in mounts or volume["configMap"]["name"] not in names:
            found.append(f"the volume {volume['name']} is of no ConfigMap, or nobody's")
    for each in objects:
        kind, spec = each["kind"], each.get("spec", {})
        if each["metadata"].get("namespace", each["metadata"]["name"]) != "gathersrv":
            found.append(f"{kind} is in another namespace")
        if kind == "Service":
            selects("a Service", spec["selector"])
            for way in spec["ports"]:
                port("a Service", way["targetPort"], way["protocol"])
        elif kind == "PodDisruptionBudget":
            selects(kind, spec.get("selector"))
        elif kind == "NetworkPolicy":
            selects(kind, spec.get("podSelector"))
            for way in (way for rule in spec["ingress"] for way in rule["ports"]):
                port(kind, way["port"], way["protocol"])
        elif kind == "HorizontalPodAutoscaler":
            named = spec["scaleTargetRef"]
            if [named[key] for key in ("apiVersion", "kind", "name")] != [
                    deployment["apiVersion"], "Deployment", "gathersrv"]:
                found.append("the autoscaler scales something else")
        elif kind == "ServiceMonitor":
            wanted = spec["selector"]["matchLabels"].items()
            ways = [way["name"] for service in objects if service["kind"] == "Service"
                    and wanted <= service["metadata"]["labels"].items()
                    for way in service["spec"]["ports"]]
            if [end["port"] for end in spec["endpoints"]] != ways:
                found.append("the ServiceMonitor meets no port")
            if spec["jobLabel"] != APP or labels[APP] != "gathersrv":
                found.append("the rules expect another job")
    return found


def rights(objects):
    """What the pod may do beyond Kubernetes' profile `restricted`, and more."""
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    container, = pod["containers"]
    may = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
    wanted = {"runAsNonRoot": True, "runAsUser": 10053, "allowPrivilegeEscalation": False,
              "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
              "seccompProfile": {"type": "RuntimeDefault"}}
    found = [key for key, value in wanted.items() if may.get(key) != value]
    found += [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    found += [f"port {port['containerPort']}" for port in container["ports"]
              if port["containerPort"] < 1024 or "hostPort" in port]
    if pod.get("automountServiceAccountToken") is not False:
        found.append("a token of the service account")
    return found


def corefile(bed, objects):
    """What `gathersrv check` has against the Corefile, and against the words."""
    container, = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    home = bed.dir / "mounted"
    home.mkdir(exist_ok=True)
    for name, text in one(objects, "ConfigMap")["data"].items():
        (home / name).write_text(text)
    words = [word.replace("/etc/gathersrv", str(home)) for word in container["args"]]
    code, out, told = bed.run(bed.binary, "check", *words)
    if code != 0:
        return [told]
    return [] if "0.0.0.0:5353 (UDP and TCP)" in out else ["port 5353 is not served: " + out]


def broken(objects):
    """The same with a mistake each, and which of the looks should see it."""
    def change(kind, path, value, name="gathersrv"):
        copied = copy.deepcopy(objects)
        place = one(copied, kind, name)
        for key in path[:-1]:
            place = place[key]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        return copied

    pod = ("spec", "template", "spec")
    container = (*pod, "containers", 0)
    text = one(objects, "ConfigMap")["data"]["Corefile"]
    schemas = lambda all: [told for each in all for told in by_schema(each)]
    return [
        ("a field that is spelled wrong", schemas,
         change("Deployment", (*container, "livenesProbe"), {})),
        ("a number that is none", schemas, change("Deployment", ("spec", "replicas"), "two")),
        ("a field of the operator that is spelled wrong", schemas,
         change("ServiceMonitor", ("spec", "endpoints", 0, "intervall"), "15s")),
        ("a duration that is none", schemas,
         change("PrometheusRule", ("spec", "groups", 1, "rules", 0, "for"), "a minute")),
        ("a budget for no pod", relations, change("PodDisruptionBudget", ("spec", "selector"), None)),
        ("a Service that leads nowhere", relations,
         change("Service", ("spec", "ports", 1, "targetPort"), "dns")),
        ("a monitor of no port", relations,
         change("ServiceMonitor", ("spec", "endpoints", 0, "port"), "metrics")),
        ("a right too many", rights,
         change("Deployment", (*container, "securityContext", "capabilities"), {})),
        ("a Corefile with a mistake", None,
         change("ConfigMap", ("data", "Corefile"), text.replace("gathersrv dist", "gathersrv dits"))),
    ]


def run(bed, check):
    for overlay in OVERLAYS:
        objects = render(bed, DEPLOY / "kubernetes" / overlay)
        check.that(f"{overlay}: {len(objects)} objects", len(objects) >= 7, objects)
        for each in objects:
            check.same(f"{overlay}: {each['kind']} {each['metadata']['name']}", by_schema(each), [])
        check.same(f"{overlay}: selectors and ports meet", relations(objects), [])
        check.same(f"{overlay}: no right to spare", rights(objects), [])
        check.same(f"{overlay}: the Corefile can be served", corefile(bed, objects), [])
    shipped = yaml.safe_load((DEPLOY / "prometheus/gathersrv.rules.yml").read_text())
    check.same("the operator's rules are those of deploy/prometheus",
               one(objects, "PrometheusRule")["spec"], shipped)
    check.same("the address that docs/kubernetes.md names", one(objects, "Service")["spec"]["clusterIP"],
               "10.96.0.53")
    for what, look, wrong in broken(objects):
        told = look(wrong) if look else [each for each in corefile(bed, wrong) if "Corefile:" in each]
        check.that(f"turned down: {what}", told != [], "nobody minded")
