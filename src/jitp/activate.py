"""Activates the certificates of batches when its devices connect for the first time (JITR).

A rule on $aws/events/certificates/registered/<caCertificateId> calls handler() for each certificate that
AWS IoT has registered by itself. Those that stand in the allow list beside this file become ACTIVE, with
their policy and, where the list has names, their thing; all others become INACTIVE.

The function's role needs iot:DescribeCertificate and iot:UpdateCertificate, and for what it attaches
iot:AttachPolicy, iot:CreateThing and iot:AttachThingPrincipal.

Environment: POLICY_NAME, the policy to attach; without it none is.
"""

import json
import logging
import mmap
import os
import pathlib

import boto3

FOLDER = pathlib.Path(__file__).parent
ABOUT = json.loads((FOLDER / "about.json").read_text())
ID_OCTETS = 32

log = logging.getLogger()
log.setLevel(logging.INFO)


def _open(name):
    with open(FOLDER / name, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


IDS = _open("ids.bin")  # certificate ids, 32 octets each, sorted
THINGS = _open("things.txt") if ABOUT["things"] else None  # thing names, a line each, in the same order
OFFSETS = _open("things.idx") if ABOUT["things"] else None  # where each line begins, 4 octets, little-endian


def position(certificate_id):
    """The place of a certificate in the allow list, or None."""
    wanted = bytes.fromhex(certificate_id)
    low, high = 0, len(IDS) // ID_OCTETS
    while low < high:
        middle = (low + high) // 2
        found = IDS[middle * ID_OCTETS : (middle + 1) * ID_OCTETS]
        if found == wanted:
            return middle
        if found < wanted:
            low = middle + 1
        else:
            high = middle
    return None


def thing_name(place):
    start = int.from_bytes(OFFSETS[place * 4 : place * 4 + 4], "little")
    return THINGS[start : THINGS.find(b"\n", start)].decode()


def handler(event, _context):
    """Decides on one certificate; AWS calls it again when it fails, and each step may be repeated."""
    iot = boto3.client("iot")
    certificate_id = event["certificateId"]
    described = iot.describe_certificate(certificateId=certificate_id)["certificateDescription"]
    if described["status"] == "REVOKED":
        log.warning("certificate %s is revoked and stays so", certificate_id)
        return {"certificateId": certificate_id, "status": "REVOKED"}
    place = position(certificate_id)
    if place is None or described.get("caCertificateId") not in (None, ABOUT["caCertificateId"]):
        iot.update_certificate(certificateId=certificate_id, newStatus="INACTIVE")
        log.error("certificate %s is not of %s: refused", certificate_id, ABOUT["batches"])
        return {"certificateId": certificate_id, "status": "INACTIVE"}
    arn = described["certificateArn"]
    policy = os.environ.get("POLICY_NAME")
    if policy:
        iot.attach_policy(policyName=policy, target=arn)
    thing = None
    if ABOUT["things"]:
        thing = thing_name(place)
        iot.create_thing(thingName=thing)
        iot.attach_thing_principal(thingName=thing, principal=arn)
    # Last, so that a device that comes up has all it needs.
    iot.update_certificate(certificateId=certificate_id, newStatus="ACTIVE")
    log.info("certificate %s is active", certificate_id)
    return {"certificateId": certificate_id, "status": "ACTIVE", "thingName": thing}
