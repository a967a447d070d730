"""Judges what `certforge job aws-batch --json` or `certforge job kubernetes --json` prints, from standard input.

AWS Batch: by botocore's model of the service, names of values too. Kubernetes: by the schemas of the version that
`kubernetes-validate` has newest, and of the oldest that has all that is used; then by what no schema holds. Ends with 1 and
says what is wrong.
"""

import json
import sys

OLDEST = "1.31"


def judge_batch(document):
    import botocore.session
    from botocore.validate import ParamValidator

    model = botocore.session.get_session().get_service_model("batch")
    for operation, part in [("RegisterJobDefinition", "job_definition"), ("SubmitJob", "submit_job")]:
        shape = model.operation_model(operation).input_shape
        value = json.loads(document[part])
        report = ParamValidator().validate(value, shape)
        if report.has_errors():
            sys.exit(f"{operation}: {report.generate_report()}")
        refuse_other_values(value, shape, operation)


def refuse_other_values(value, shape, path):
    """Fields that the model does not have, and values that it does not list; botocore leaves them to the server."""
    if shape.type_name == "structure":
        for name, below in value.items():
            if name not in shape.members:
                sys.exit(f"{path} has no {name}")
            refuse_other_values(below, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for item in value:
            refuse_other_values(item, shape.member, path)
    elif shape.type_name == "string" and getattr(shape, "enum", None) and value not in shape.enum:
        sys.exit(f"{path} cannot be {value}")


def judge_kubernetes(document):
    import kubernetes_validate
    import yaml

    jobs = list(yaml.safe_load_all(document["text"]))
    for job in jobs:
        for version in [OLDEST, kubernetes_validate.latest_version()]:
            kubernetes_validate.validate(job, version, strict=True)
    (job,) = jobs
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    expect("command", container["command"] + [a.replace("$$(", "$(") for a in container["args"]], document["command"])
    expect("completions", [spec["completions"], spec["parallelism"]], [document["tasks"]] * 2)
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    expect("volumes that are mounted", mounted, {volume["name"] for volume in pod["volumes"]})
    paths = [mount["mountPath"] for mount in container["volumeMounts"]]
    expect("mounts", len(paths), len(set(paths)))
    writable = {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    expect("what can be written", writable, {"tmp"} if document["shared_ledger"] else {"tmp", "ledgers"})
    # Of Kubernetes' pod security standards, the one that is called restricted.
    expect("user", [pod["securityContext"][k] for k in ("runAsNonRoot", "runAsUser")], [True, 65532])
    expect("seccomp", pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
    of_container = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    expect("rights", container["securityContext"], of_container)
    # Rules of the API server that no schema has.
    expect("restart policy", pod["restartPolicy"], "Never")
    named = [rule["onExitCodes"]["containerName"] for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    expect("containers of rules", named, [container["name"]])
    expect("replacement", spec["podReplacementPolicy"], "Failed")


def expect(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: {found}, not {expected}")


document = json.load(sys.stdin)
{"aws-batch": judge_batch, "kubernetes": judge_kubernetes}[document["scheduler"]](document)
