"""Holds requests to AWS KMS, as they were seen on the wire, against botocore's model of the service.

Members that the model has not, that it requires, values that it does not list, octets that are no Base64, lengths out of
bounds, a wrong protocol: each is told, and the exit code is 1. Prints how often each operation was asked for.
"""

import base64
import collections
import json
import re
import sys

import botocore.session


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


def judge(model, head, body, counted):
    request, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    prefix, operation = headers["x-amz-target"].rsplit(".", 1)
    found = []
    if prefix != model.metadata["targetPrefix"]:
        found.append(f"the target is {prefix}")
    if headers["content-type"] != f"application/x-amz-json-{model.metadata['jsonVersion']}":
        found.append(f"the content type is {headers['content-type']}")
    if operation not in model.operation_names:
        return found + [f"there is no {operation}"]
    shape = model.operation_model(operation)
    wanted = f"{shape.http['method']} {shape.http['requestUri']} HTTP/1.1"
    if request != wanted:
        found.append(f"{request}, not {wanted}")
    counted[operation] += 1
    return found + faults(shape.input_shape, json.loads(body), operation)


def main():
    model = botocore.session.get_session().get_service_model("kms")
    counted = collections.Counter()
    with open(sys.argv[1], encoding="utf-8") as file:
        asked = json.load(file)
    found = [fault for head, body in asked for fault in judge(model, head, body, counted)]
    print(json.dumps(counted))
    for fault in found:
        print(fault, file=sys.stderr)
    sys.exit(1 if found or not asked else 0)


main()
