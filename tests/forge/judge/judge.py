"""Judges a batch of certforge: opens every bundle and holds it against manifest, index and issuer.

Nothing here is certforge's: archives are read by zipfile, certificates and keys by cryptography,
chains are built by cryptography's own verifier. Prints `judged N bundles`, or says what is wrong and
exits with 1.
"""

import argparse
import csv
import hashlib
import io
import json
import re
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID
    from cryptography.x509.verification import (
        Criticality,
        ExtensionPolicy,
        PolicyBuilder,
        Store,
        VerificationError,
    )
except ImportError as error:
    sys.exit(f"judge: {error}; `pip install 'cryptography>=45'` brings it")

INDEX_COLUMNS = [
    "device_id",
    "certificate_id",
    "certificate_serial",
    "not_after",
    "object",
    "offset",
    "length",
    "sha256",
]

# What is the same in every bundle comes first.
MEMBERS = [
    "AmazonRootCA1.pem",
    "AmazonRootCA3.pem",
    "private.pem.key",
    "certificate.pem.crt",
    "chain.pem.crt",
    "endpoint.json",
]

# SHA-256 of the DER, as Amazon Trust Services publishes them.
AMAZON_ROOTS = {
    "AmazonRootCA1.pem": "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
    "AmazonRootCA3.pem": "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
}


class Fault(Exception):
    """What is wrong with a batch."""


def require(condition: bool, message: str) -> None:
    if not condition:
        raise Fault(message)


def equal(what: str, found: object, expected: object) -> None:
    require(found == expected, f"{what} is {found!r}, not {expected!r}")


@dataclass
class Bundle:
    """One row of an index, and the octets that it points to."""

    row: dict[str, str]
    octets: bytes
    manifest: dict[str, str]

    @property
    def device_id(self) -> str:
        return self.row["device_id"]


@dataclass
class Seen:
    """What must be different in every bundle."""

    values: dict[str, dict[object, str]] = field(default_factory=dict)

    def add(self, what: str, value: object, device_id: str) -> None:
        devices = self.values.setdefault(what, {})
        require(value not in devices, f"{what} is also that of {devices.get(value)}")
        devices[value] = device_id


@dataclass
class Judge:
    """The issuer, and what it says about its devices."""

    issuer: x509.Certificate
    root: x509.Certificate
    endpoint: dict[str, str | int | None]
    seen: Seen = field(default_factory=Seen)
    member_times: set[tuple[int, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.verifier = (
            PolicyBuilder()
            .store(Store([self.root]))
            .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=device_policy())
            .build_client_verifier()
        )

    def bundle(self, bundle: Bundle) -> x509.Certificate:
        """Judges one bundle, and gives its certificate."""
        row, device_id = bundle.row, bundle.device_id
        self.seen.add("the device id", device_id, f"{row['object']} at {row['offset']}")
        equal("the length", len(bundle.octets), int(row["length"]))
        equal("the SHA-256", hashlib.sha256(bundle.octets).hexdigest(), row["sha256"])
        members = self.members(bundle.octets)
        certificate = self.certificate(members, row)
        self.key(members["private.pem.key"], certificate, device_id)
        endpoint = {
            name: value.format(**bundle.manifest) if isinstance(value, str) else value
            for name, value in self.endpoint.items()
        }
        equal("endpoint.json", json.loads(members["endpoint.json"]), endpoint)
        for name, fingerprint in AMAZON_ROOTS.items():
            equal(name, sha256_of(x509.load_pem_x509_certificate(members[name])), fingerprint)
        return certificate

    def members(self, octets: bytes) -> dict[str, bytes]:
        """The members of a bundle, whose names, order and modes are as documented."""
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            damaged = archive.testzip()
            require(damaged is None, f"{damaged} is damaged")
            equal("the list of members", archive.namelist(), MEMBERS)
            key_mode = archive.getinfo("private.pem.key").external_attr >> 16 & 0o777
            equal("the mode of the key", oct(key_mode), oct(0o600))
            self.member_times.update(info.date_time for info in archive.infolist())
            equal("the number of different member times", len(self.member_times), 1)
            return {name: archive.read(name) for name in MEMBERS}

    def certificate(self, members: dict[str, bytes], row: dict[str, str]) -> x509.Certificate:
        """Judges the certificate against the index and the issuer."""
        certificates = x509.load_pem_x509_certificates(members["certificate.pem.crt"])
        equal("the number of certificates", len(certificates), 1)
        [certificate] = certificates
        chain = x509.load_pem_x509_certificates(members["chain.pem.crt"])
        equal("the chain", [sha256_of(c) for c in chain], [sha256_of(certificate), sha256_of(self.issuer)])

        equal("the certificate id", sha256_of(certificate), row["certificate_id"])
        serial = certificate.serial_number
        require(serial > 0 and serial.bit_length() // 8 + 1 == 16, f"the serial {serial:x} has not 16 octets")
        equal("the certificate serial", f"{serial:032x}", row["certificate_serial"])
        not_after = certificate.not_valid_after_utc
        equal("notAfter", not_after.strftime("%Y-%m-%dT%H:%M:%SZ"), row["not_after"])
        require(not_after <= self.issuer.not_valid_after_utc, "the certificate outlives its issuer")
        require(
            certificate.not_valid_before_utc >= self.issuer.not_valid_before_utc,
            "the certificate is older than its issuer",
        )
        [name] = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        equal("the common name", name.value, row["device_id"])

        extensions = certificate.extensions
        equal(
            "the subject key identifier",
            extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex(),
            hashlib.sha256(bit_string_of(certificate)).digest()[:20].hex(),
        )
        equal(
            "the authority key identifier",
            extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier,
            self.issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest,
        )
        self.seen.add("the certificate id", row["certificate_id"], row["device_id"])
        self.seen.add("the certificate serial", serial, row["device_id"])
        self.chain(certificate)
        return certificate

    def chain(self, certificate: x509.Certificate) -> None:
        """Judges signatures, names, times and extensions up to the root."""
        intermediates = [] if self.issuer == self.root else [self.issuer]
        try:
            certificate.verify_directly_issued_by(self.issuer)
        except (InvalidSignature, ValueError, TypeError) as error:
            raise Fault(f"the issuer did not sign the certificate: {error!r}") from error
        try:
            self.verifier.verify(certificate, intermediates)
        except VerificationError as error:
            raise Fault(f"the certificate does not verify: {error}") from error

    def key(self, pem: bytes, certificate: x509.Certificate, device_id: str) -> None:
        """Judges the private key: by what it says it is, and by a signature that it makes."""
        key = load_pem_private_key(pem, password=None)
        public = certificate.public_key()
        equal("the algorithm of the key", type(key.public_key()), type(public))
        require(spki_of(key.public_key()) == spki_of(public), "the key is not the certificate's")
        message = device_id.encode()
        try:
            if isinstance(key, rsa.RSAPrivateKey):
                signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
                public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            else:
                signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
                public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise Fault("the key does not sign for the certificate") from error
        self.seen.add("the key", spki_of(public), device_id)


def device_policy() -> ExtensionPolicy:
    """What a device certificate must carry. It needs no subject alternative name, unlike a web client's."""

    def constraints(_policy, _certificate, extension: x509.BasicConstraints) -> None:
        if extension.ca:
            raise ValueError("a device certificate is no CA")

    def usage(_policy, _certificate, extension: x509.KeyUsage) -> None:
        expected = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        if extension != expected:
            raise ValueError("keyUsage is not digitalSignature alone")

    def extended(_policy, _certificate, extension: x509.ExtendedKeyUsage) -> None:
        if list(extension) != [ExtendedKeyUsageOID.CLIENT_AUTH]:
            raise ValueError("extKeyUsage is not clientAuth alone")

    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, constraints)
        .require_present(x509.KeyUsage, Criticality.CRITICAL, usage)
        .require_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, extended)
        .require_present(x509.SubjectKeyIdentifier, Criticality.NON_CRITICAL, None)
        .require_present(x509.AuthorityKeyIdentifier, Criticality.NON_CRITICAL, None)
        .may_be_present(x509.SubjectAlternativeName, Criticality.NON_CRITICAL, None)
    )


def sha256_of(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def spki_of(public) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def bit_string_of(certificate: x509.Certificate) -> bytes:
    """What the BIT STRING of the SubjectPublicKeyInfo holds."""
    public = certificate.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        return public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def read_manifest(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a manifest, by device id."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return {row["serial_number"]: row for row in csv.DictReader(file, strict=True)}


def read_index(batch: Path, path: Path, manifest: dict[str, dict[str, str]]) -> list[Bundle]:
    """The bundles of a chunk, read as its index says."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        equal(f"the header of {path.name}", reader.fieldnames, INDEX_COLUMNS)
        rows = list(reader)
    bundles = []
    for row in rows:
        object_name, offset, length = row["object"], int(row["offset"]), int(row["length"])
        require(row["device_id"] in manifest, f"{row['device_id']} is not in the manifest")
        is_pack = object_name == f"packs/{path.stem}.zip"
        is_object = re.fullmatch(rf"bundles/[0-9a-f]{{2}}/{re.escape(row['device_id'])}\.zip", object_name)
        require(is_pack or is_object is not None, f"{row['device_id']}: the object is {object_name!r}")
        octets = (batch / object_name).read_bytes()
        if is_object:
            equal(f"{row['device_id']}: the offset", offset, 0)
            equal(f"{row['device_id']}: the length of the object", len(octets), length)
        bundles.append(Bundle(row, octets[offset : offset + length], manifest[row["device_id"]]))
    return bundles


def judge_pack(path: Path, bundles: list[Bundle]) -> None:
    """A pack is a ZIP whose members are the bundles that the index cuts out of it."""
    with zipfile.ZipFile(path) as pack:
        require(all(info.compress_type == zipfile.ZIP_STORED for info in pack.infolist()), "a pack is stored")
        names = [f"{bundle.device_id}.zip" for bundle in bundles]
        equal(f"the list of members of {path.name}", pack.namelist(), names)
        for bundle, name in zip(bundles, names, strict=True):
            require(pack.read(name) == bundle.octets, f"{bundle.device_id}: pack and index differ")


def judge_batch(judge: Judge, batch: Path, manifest: dict[str, dict[str, str]]) -> int:
    bundles: list[Bundle] = []
    for path in sorted((batch / "index").iterdir()):
        chunk = read_index(batch, path, manifest)
        certificates = []
        for bundle in chunk:
            try:
                certificates.append(judge.bundle(bundle))
            except (Fault, ValueError, KeyError, x509.ExtensionNotFound, zipfile.BadZipFile) as error:
                raise Fault(f"{bundle.device_id}: {error}") from error
        pack = batch / "packs" / f"{path.stem}.zip"
        if pack.exists():
            judge_pack(pack, chunk)
        kept = x509.load_pem_x509_certificates((batch / "certificates" / f"{path.stem}.pem").read_bytes())
        require(kept == certificates, f"certificates/{path.stem}.pem is not the bundles' certificates")
        bundles.extend(chunk)

    found = [bundle.device_id for bundle in bundles]
    missing = [device_id for device_id in manifest if device_id not in set(found)]
    require(not missing, f"no bundle for {', '.join(missing)}")
    require(found == list(manifest), "the index does not follow the manifest")

    indexed = {bundle.row["object"] for bundle in bundles}
    folders = [batch / "bundles", batch / "packs"]
    present = {
        str(path.relative_to(batch)) for folder in folders for path in folder.rglob("*") if path.is_file()
    }
    equal("the set of objects that no index has", present - indexed, set())
    return len(bundles)


def main() -> None:
    parser = argparse.ArgumentParser(description="Judges a batch of certforge.")
    parser.add_argument("batch", type=Path, help="folder of the batch")
    parser.add_argument("--issuer", type=Path, required=True, help="certificate of the CA that signed")
    parser.add_argument("--root", type=Path, help="certificate that is trusted; the issuer's by default")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--host", help="endpoint that the bundles name; none by default")
    parser.add_argument("--region", help="Region that the bundles name; none by default")
    parser.add_argument("--port", type=int, default=8883)
    parser.add_argument("--thing-name", default="{serial_number}", help="with places for manifest columns")
    parser.add_argument("--client-id", default="{serial_number}", help="with places for manifest columns")
    arguments = parser.parse_args()
    issuer = x509.load_pem_x509_certificate(arguments.issuer.read_bytes())
    root = x509.load_pem_x509_certificate(arguments.root.read_bytes()) if arguments.root else issuer
    endpoint = {
        "host": arguments.host,
        "port": arguments.port,
        "client_id": arguments.client_id,
        "thing_name": arguments.thing_name,
        "region": arguments.region,
    }
    judge = Judge(issuer, root, endpoint)
    try:
        count = judge_batch(judge, arguments.batch, read_manifest(arguments.manifest))
    except (Fault, OSError, zipfile.BadZipFile) as error:
        sys.exit(f"judge: {error}")
    print(f"judged {count} bundles")


if __name__ == "__main__":
    main()
