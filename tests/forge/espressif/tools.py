"""Espressif's own tools, many cases in one process: a line of JSON asks, a line of JSON answers.

What is of chance comes in with the case: whatever the tools draw from `os.urandom` or `random` is what the case says.
"""

import base64
import contextlib
import io
import json
import os
import sys
import types

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from esp_idf_nvs_partition_gen import nvs_partition_gen as nvs
from esp_secure_cert import configure_ds, esp_secure_cert_helper, tlv_format
from esp_secure_cert.tlv_format import tlv_priv_key_t, tlv_priv_key_type_t, tlv_type_t
from esp_secure_cert.tlv_format_construct import EspSecureCert


def octets(text):
    return base64.b64decode(text)


def text(octets):
    return base64.b64encode(octets).decode()


def write(path, octets):
    with open(path, "wb") as file:
        file.write(octets)
    return os.path.abspath(path)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def keys(case):
    """PKCS#8 keys as they were before it, by cryptography."""
    def traditional(der):
        key = serialization.load_der_private_key(octets(der), None)
        return key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )

    return {"keys": [text(traditional(der)) for der in case["keys"]]}


def certificate_file(name, ders, is_pem):
    if not is_pem:
        return write(name, octets(ders[0]))
    encoding = serialization.Encoding.PEM
    pems = [x509.load_der_x509_certificate(octets(der)).public_bytes(encoding) for der in ders]
    return write(name, b"".join(pems))


def load_chain(path):
    """As the tool's own `load_certificate`, which reads the first certificate of a file and drops the others."""
    loaded = load_one(path)
    if path and loaded["encoding"] == serialization.Encoding.PEM:
        certificates = x509.load_pem_x509_certificates(read(path))
        loaded["bytes"] = b"".join(each.public_bytes(loaded["encoding"]) for each in certificates)
    return loaded


load_one = esp_secure_cert_helper.load_certificate


def set_loader(is_chain):
    from esp_secure_cert import tlv_format_construct

    loader = load_chain if is_chain else load_one
    tlv_format.load_certificate = loader
    tlv_format_construct.load_certificate = loader


def secure_cert(case):
    is_pem = case["pem"]
    pkcs8 = serialization.load_der_private_key(octets(case["key"]), None)
    encoding = serialization.Encoding.PEM if is_pem else serialization.Encoding.DER
    key = write(
        "key",
        pkcs8.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    certificate = certificate_file("certificate", case["certificates"], is_pem)
    ca = certificate_file("ca", case["ca"], is_pem) if case["ca"] else None
    set_loader(len(case["certificates"]) > 1 or len(case["ca"]) > 1)
    ds = case["ds"]
    if ds:
        write("hmac.bin", octets(ds["hmac_key"]))
        configure_ds.os = types.SimpleNamespace(urandom=lambda count: octets(ds["iv"])[:count])
    if case["layout"] == "whole-partition":
        return {"image": text(whole_partition(ds, key, certificate, ca))}

    tool = EspSecureCert()
    file = {"tlv_subtype": 0, "data_type": "file"}
    if ca:
        tool.add_entry({"tlv_type": tlv_type_t.ESP_SECURE_CERT_CA_CERT_TLV, "data_value": ca, **file})
    tool.add_entry({"tlv_type": tlv_type_t.ESP_SECURE_CERT_DEV_CERT_TLV, "data_value": certificate, **file})
    tool.add_entry({
        "tlv_type": tlv_type_t.ESP_SECURE_CERT_PRIV_KEY_TLV,
        "data_value": key,
        "priv_key_type": "rsa_ds" if ds else "plaintext",
        "algorithm": "RSA" if ds else "",
        "key_size": pkcs8.key_size,
        "efuse_id": ds["efuse_key"] if ds else None,
        "efuse_key_file": "hmac.bin" if ds else None,
        **file,
    })
    chip = ds["chip"] if ds else "esp32c3"
    image = tool.generate_esp_secure_cert(chip, None, add_tlv_integrity=case["layout"] == "current")
    return {"image": text(read(image))}


def whole_partition(ds, key, certificate, ca):
    if not ds:
        private = tlv_priv_key_t(tlv_priv_key_type_t.ESP_SECURE_CERT_DEFAULT_FORMAT_KEY, key, None)
        tlv_format.generate_partition_no_ds(private, certificate, ca, "esp32c3", "image.bin")
        return read("image.bin")
    private = tlv_priv_key_t(tlv_priv_key_type_t.ESP_SECURE_CERT_RSA_DS_PERIPHERAL_KEY, key, None)
    parameters = configure_ds.calculate_rsa_ds_params(key, None, read("hmac.bin"), ds["chip"])
    private.ciphertext, private.iv, private.priv_key_len = parameters
    private.efuse_key_id = ds["efuse_key"]
    tlv_format.generate_partition_ds(private, certificate, ca, ds["chip"], "image.bin")
    return read("image.bin")


def parse_secure_cert(case):
    """`configure_esp_secure_cert.py --parse_bin`: what it wrote into its folder."""
    image = write("parsed.bin", octets(case["image"]))
    with contextlib.redirect_stdout(io.StringIO()):
        EspSecureCert.parse_esp_secure_cert_bin(image)
    folder = "esp_secure_cert_parsed_data"
    files = sorted(os.listdir(f"{folder}/contents"))
    report = read(f"{folder}/tlv_entries_raw.txt").decode()
    return {
        "files": {name: text(read(f"{folder}/contents/{name}")) for name in files},
        "valid": report.count("✓ VALID"),
        "entries": report.count("TLV Entry #"),
    }


def nvs_image(case):
    try:
        size, read_only = nvs.check_size(hex(case["size"]))
        image = io.BytesIO()
        key = octets(case["keys"]) if case["keys"] else None
        tool = nvs.nvs_open(image, size, nvs.Page.VERSION2, key is not None, key, read_only)
        for entry in case["entries"]:
            nvs.write_entry(tool, entry["namespace"], "namespace", "", "")
            value = entry["value"]
            if entry["type"] == "binary":
                value = octets(value)
            namespace = nvs.get_namespace_idx(tool)
            nvs.write_entry(tool, entry["key"], "data", entry["type"], value, namespace)
        nvs.nvs_close(tool)
        return {"image": text(image.getvalue())}
    except (nvs.InputError, nvs.InsufficientSizeError, nvs.PageFullError) as error:
        return {"error": type(error).__name__}


def nvs_csv(case):
    """The command itself: `esp_idf_nvs_partition_gen generate` of a CSV, or `encrypt --inputkey`."""
    write("values.csv", case["csv"].encode())
    arguments = types.SimpleNamespace(
        input=["values.csv"], output="nvs.bin", size=hex(case["size"]), version=2, outdir=os.getcwd()
    )
    if case["keys"]:
        write("keys.bin", octets(case["keys"]))
        arguments.keygen, arguments.keyfile, arguments.inputkey = False, None, "keys.bin"
        nvs.encrypt(arguments)
    else:
        nvs.generate(arguments)
    return {"image": text(read("nvs.bin"))}


def nvs_decrypt(case):
    write("nvs.bin", octets(case["image"]))
    write("keys.bin", octets(case["keys"]))
    nvs.decrypt(types.SimpleNamespace(input="nvs.bin", key="keys.bin", output="plain.bin", outdir=os.getcwd()))
    return {"image": text(read("plain.bin"))}


def nvs_keys(case):
    """The partition with the keys: drawn as the case says, or from an HMAC key."""
    digits = iter(octets(case["keys"]).hex()) if case["keys"] else None
    nvs.random = types.SimpleNamespace(choice=lambda _: next(digits))
    if case["hmac_key"]:
        write("hmac.bin", octets(case["hmac_key"]))
    nvs.generate_key(types.SimpleNamespace(
        keyfile="drawn.bin",
        outdir=os.getcwd(),
        key_protect_hmac=case["keys"] is None,
        kp_hmac_keygen=False,
        kp_hmac_keyfile=None,
        kp_hmac_inputkey="hmac.bin",
    ))
    return {"image": text(read("keys/drawn.bin"))}


ASKED = {
    "keys": keys,
    "secure-cert": secure_cert,
    "parse-secure-cert": parse_secure_cert,
    "nvs": nvs_image,
    "nvs-csv": nvs_csv,
    "nvs-decrypt": nvs_decrypt,
    "nvs-keys": nvs_keys,
}


def main():
    os.chdir(sys.argv[1])
    answers = sys.stdout
    for line in sys.stdin:
        case = json.loads(line)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            answer = ASKED[case["ask"]](case)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


main()
