"""The peer in Python: the package cryptography, zipfile, and a process for each core.

pyca.py --rows N --to DIR --ca DIR prints the devices and the seconds that they took as a line of JSON.
"""

import argparse
import io
import json
import multiprocessing
import os
import time
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Forge:
    """What is the same for all devices."""

    def __init__(self, ca: Path, to: Path):
        self.to = to
        self.ca_pem = (ca / "certificate.pem").read_bytes()
        self.roots = {name: (ca / name).read_bytes() for name in ("AmazonRootCA1.pem", "AmazonRootCA3.pem")}
        issuer = x509.load_pem_x509_certificate(self.ca_pem)
        self.key = serialization.load_pem_private_key((ca / "key.pem").read_bytes(), None)
        self.issuer = issuer.subject
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        self.authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        self.usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        self.extended_usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        self.not_before = datetime.now(timezone.utc) - timedelta(hours=1)
        self.not_after = self.not_before + timedelta(days=3650)

    def make(self, row: int) -> None:
        device = f"SN{row:09}"
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.certificate(device, key.public_key())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        endpoint = {"host": None, "port": 8883, "client_id": device, "thing_name": device, "region": None}
        bundle = io.BytesIO()
        with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("private.pem.key", private)
            archive.writestr("certificate.pem.crt", certificate)
            archive.writestr("chain.pem.crt", certificate + self.ca_pem)
            for name, root in self.roots.items():
                archive.writestr(name, root)
            archive.writestr("endpoint.json", json.dumps(endpoint, indent=2))
        (self.to / f"{device}.zip").write_bytes(bundle.getvalue())

    def certificate(self, device: str, public: ec.EllipticCurvePublicKey) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)]))
            .issuer_name(self.issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.not_before)
            .not_valid_after(self.not_after)
            .add_extension(self.authority, critical=False)
            .add_extension(self.usage, critical=True)
            .add_extension(self.extended_usage, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def begin(ca: Path, to: Path) -> None:
    """Keys do not travel between processes, so each loads its own."""
    global forge
    forge = Forge(ca, to)


def make(row: int) -> None:
    forge.make(row)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--ca", type=Path, required=True)
    options = parser.parse_args()
    options.to.mkdir()
    start = time.monotonic()
    cores = len(os.sched_getaffinity(0))
    with multiprocessing.Pool(cores, begin, (options.ca, options.to)) as pool:
        for _ in pool.imap_unordered(make, range(options.rows), chunksize=100):
            pass
    print(json.dumps({"devices": options.rows, "seconds": round(time.monotonic() - start, 6)}))


if __name__ == "__main__":
    main()
