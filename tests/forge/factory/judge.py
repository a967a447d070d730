"""Judges a batch that several hosts have made: what the store has released against what the database knows.

    judge.py BATCH-FOLDER MANIFEST DATABASE-URL PSQL

Every row of the manifest is released once, and nothing else; the database has each of them, with the same certificate and
the same bundle; every bundle is as its index says, and its key is its certificate's.
"""

import csv
import hashlib
import io
import pathlib
import struct
import subprocess
import sys
import zipfile

from cryptography import x509
from cryptography.hazmat.primitives import serialization

folder, manifest, url, psql = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
faults = []


def ask(sql):
    """Rows of text, fields apart by tabs."""
    asked = subprocess.run([psql, "-X", "-q", "-d", url, "-c", f"COPY ({sql}) TO STDOUT"], capture_output=True, text=True, check=True)
    return [line.split("\t") for line in asked.stdout.splitlines()]


def entries(octets):
    """A chunk as the database has it."""
    assert octets[0] == 1, "the form of a chunk"
    at = 1
    while at < len(octets):
        length = octets[at]
        device = octets[at + 1 : at + 1 + length].decode()
        at += 1 + length
        certificate, serial = octets[at : at + 32], octets[at + 32 : at + 48]
        not_after, offset, size = struct.unpack(">qQQ", octets[at + 48 : at + 72])
        sha256 = octets[at + 72 : at + 104]
        at += 104
        yield device, (certificate.hex(), serial.hex(), offset, size, sha256.hex())


with open(manifest, newline="") as rows:
    wanted = [row["serial_number"] for row in csv.DictReader(rows)]

name = folder.name
known = {}
for chunk, released, octets in ask(
    f"SELECT chunk, released, encode(entries, 'hex') FROM certforge.committed JOIN certforge.batch USING (batch) WHERE name = '{name}'"
):
    if released != "t":
        faults.append(f"chunk {chunk} is not released")
    for device, facts in entries(bytes.fromhex(octets)):
        if device in known:
            faults.append(f"the database has {device} twice")
        known[device] = facts

for device, times in ask("SELECT device_id, count(*) FROM certforge.identity GROUP BY 1 HAVING count(*) > 1"):
    faults.append(f"the database gives {device} to {times} chunks")
for device, batch in ask(
    f"SELECT device_id, b.name FROM certforge.identity JOIN certforge.batch b USING (batch) WHERE b.name = '{name}'"
):
    if device not in known:
        faults.append(f"{device} is reserved and not made")
for (left,) in ask("SELECT count(*) FROM certforge.lease"):
    if left != "0":
        faults.append(f"{left} leases are left")

seen, keys, objects = {}, set(), set()
for index in sorted((folder / "index").glob("*.csv")):
    with open(index, newline="") as rows:
        for row in csv.DictReader(rows):
            device = row["device_id"]
            if device in seen:
                faults.append(f"{device} is released twice")
            objects.add(row["object"])
            offset, size = int(row["offset"]), int(row["length"])
            with open(folder / row["object"], "rb") as object:
                object.seek(offset)
                bundle = object.read(size)
            if hashlib.sha256(bundle).hexdigest() != row["sha256"]:
                faults.append(f"{device}: the bundle is not what the index says")
                continue
            seen[device] = (row["certificate_id"], row["certificate_serial"].lower().zfill(32), offset, size, row["sha256"])
            with zipfile.ZipFile(io.BytesIO(bundle)) as members:
                certificate = x509.load_pem_x509_certificate(members.read("certificate.pem.crt"))
                key = serialization.load_pem_private_key(members.read("private.pem.key"), None)
            der = certificate.public_bytes(serialization.Encoding.DER)
            if hashlib.sha256(der).hexdigest() != row["certificate_id"]:
                faults.append(f"{device}: another certificate")
            public = key.public_key().public_numbers()
            if public != certificate.public_key().public_numbers():
                faults.append(f"{device}: the key is not the certificate's")
            if public in keys:
                faults.append(f"{device}: its key is another's too")
            keys.add(public)

if sorted(seen) != sorted(wanted) or len(wanted) != len(seen):
    faults.append(f"{len(wanted)} rows, {len(seen)} released: {sorted(set(wanted) ^ set(seen))[:5]}")
if seen != known:
    differ = [device for device in seen if seen[device] != known.get(device)]
    faults.append(f"store and database differ: {differ[:5]}, {sorted(set(known) ^ set(seen))[:5]}")
for path in folder.rglob("*.zip"):
    if str(path.relative_to(folder)) not in objects and path.parent.name in ("packs", "bundles"):
        faults.append(f"{path}: no index accounts for it")

for fault in faults[:20]:
    print(fault)
print(f"{len(seen)} devices, {len(faults)} faults")
sys.exit(1 if faults else 0)
