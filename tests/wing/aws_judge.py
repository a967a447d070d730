"""Holds requests to AWS IoT, IAM and KMS, as they were seen on the wire, against botocore's models of the services, and
their signatures against botocore's.

Operations and paths that the model has not, members that it requires, values that it does not list, octets that are no
Base64, lengths out of bounds, a wrong protocol, a signature that is not of the secret: each is told, and the exit code
is 1. Prints how often each operation was asked for. `aws_judge.py FILE SECRET`; without a secret no signature is looked at.
"""

import base64
import collections
import json
import re
import sys
import urllib.parse

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SCOPE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)


def faults(shape, value, where):
    """What the model has against a value."""
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            return [f"{where} is no structure"]
        found = [f"{where}.{name} is required" for name in shape.required_members if name not in value]
        for name, member in value.items():
            if name not in shape.members:
                found.append(f"{where}.{name} is not in the model")
            else:
                found += faults(shape.members[name], member, f"{where}.{name}")
        return found
    if kind == "list":
        return [fault for i, one in enumerate(value) for fault in faults(shape.member, one, f"{where}[{i}]")]
    if kind == "map":
        return [fault for name, one in value.items() for fault in faults(shape.value, one, f"{where}.{name}")]
    if kind in ("string", "blob"):
        if not isinstance(value, str):
            return [f"{where} is no text"]
        if kind == "blob":
            try:
                value = base64.b64decode(value, validate=True)
            except ValueError as error:
                return [f"{where} is no Base64: {error}"]
        least, most = shape.metadata.get("min", 0), shape.metadata.get("max", float("inf"))
        if not least <= len(value) <= most:
            return [f"{where} has length {len(value)}, not {least} to {most}"]
        if kind == "string" and shape.enum and value not in shape.enum:
            return [f"{where} is {value}, none of {shape.enum}"]
        pattern = shape.metadata.get("pattern")
        if kind == "string" and pattern and not re.search(pattern, value):
            return [f"{where} is {value!r}, not as {pattern}"]
        return []
    python = {"boolean": bool, "integer": int, "long": int, "float": float, "double": float}.get(kind)
    return [] if python is None or isinstance(value, python) else [f"{where} is no {kind}"]


def by_target(model, request, headers, body):
    """Operation and input of JSON 1.1: the operation is in a header."""
    found = []
    prefix, operation = headers["x-amz-target"].rsplit(".", 1)
    if prefix != model.metadata["targetPrefix"]:
        found.append(f"the target is {prefix}")
    if headers["content-type"] != f"application/x-amz-json-{model.metadata['jsonVersion']}":
        found.append(f"the content type is {headers['content-type']}")
    if operation in model.operation_names:
        http = model.operation_model(operation).http
        wanted = f"{http['method']} {http['requestUri']} HTTP/1.1"
        if request != wanted:
            found.append(f"{request}, not {wanted}")
    return operation, json.loads(body), found


def by_form(model, request, headers, body):
    """Operation and input of the query protocol: all is in a form."""
    found = []
    if request != "POST / HTTP/1.1":
        found.append(request)
    if headers["content-type"] != "application/x-www-form-urlencoded":
        found.append(f"the content type is {headers['content-type']}")
    fields = urllib.parse.parse_qsl(body, keep_blank_values=True, strict_parsing=True)
    asked = dict(fields)
    if len(asked) != len(fields):
        found.append("a field comes twice")
    if asked.pop("Version", None) != model.metadata["apiVersion"]:
        found.append("the version is another one")
    return asked.pop("Action"), asked, found


def by_path(model, request, headers, body):
    """Operation and input of JSON with names in paths and settings in queries."""
    method, target, _ = request.split(" ")
    path, _, query = target.partition("?")
    for operation in model.operation_names:
        shape = model.operation_model(operation)
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(shape.http["requestUri"].split("?")[0]))
        match = re.fullmatch(pattern, path)
        if match and shape.http["method"] == method:
            break
    else:
        return request, {}, []
    found, asked = [], {}
    settings = dict(urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    members = shape.input_shape.members if shape.input_shape else {}
    of_body = {}
    for name, member in members.items():
        at, wire = member.serialization.get("location"), member.serialization.get("name", name)
        if at == "uri":
            asked[name] = urllib.parse.unquote(match[wire])
        elif at == "querystring" and wire in settings:
            value = settings.pop(wire)
            asked[name] = value == "true" if member.type_name == "boolean" and value in ("true", "false") else value
        elif at is None:
            of_body[wire] = name
    found += [f"{operation}: {name} is no setting of its query" for name in settings]
    if body:
        if headers.get("content-type") != "application/json":
            found.append(f"{operation}: the content type is {headers.get('content-type')}")
        said = json.loads(body)
        payload = shape.input_shape.serialization.get("payload")
        if payload:
            asked[payload] = said
        else:
            found += [f"{operation}: {name} is not in the model" for name in said if name not in of_body]
            asked.update({of_body[name]: value for name, value in said.items() if name in of_body})
    elif "content-type" in headers:
        found.append(f"{operation}: a content type without a body")
    return operation, asked, found


PROTOCOLS = {"json": by_target, "query": by_form, "rest-json": by_path}


def signature_faults(request, headers, body, scope, secret):
    method, target, _ = request.split(" ")
    key, region, service, signed, signature = scope
    asked = AWSRequest(
        method=method,
        url=f"http://{headers['host']}{target}",
        headers={name: headers[name] for name in signed.split(";")},
        data=body.encode(),
    )
    asked.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(key, secret), service, region)
    wanted = signer.signature(signer.string_to_sign(asked, signer.canonical_request(asked)), asked)
    return [] if wanted == signature else [f"{request} is not signed as botocore signs it"]


def judge(models, head, body, secret, counted):
    request, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    scope = SCOPE.fullmatch(headers["authorization"])
    if not scope:
        return [f"{request} is not signed"]
    service = scope[3]
    if service not in models:
        return []
    model = models[service]
    operation, asked, found = PROTOCOLS[model.metadata["protocol"]](model, request, headers, body)
    if operation not in model.operation_names:
        return found + [f"there is no {operation}"]
    if secret:
        found += signature_faults(request, headers, body, scope.groups(), secret)
    counted[operation] += 1
    shape = model.operation_model(operation).input_shape
    return found + (faults(shape, asked, operation) if shape else [])


def main():
    session = botocore.session.get_session()
    models = {service: session.get_service_model(service) for service in ("iam", "iot", "kms")}
    secret = sys.argv[2] if len(sys.argv) > 2 else None
    counted = collections.Counter()
    with open(sys.argv[1], encoding="utf-8") as file:
        asked = json.load(file)
    found = [fault for head, body in asked for fault in judge(models, head, body, secret, counted)]
    print(json.dumps(counted))
    for fault in found:
        print(fault, file=sys.stderr)
    sys.exit(1 if found or not asked else 0)


main()
