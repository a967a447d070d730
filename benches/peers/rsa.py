"""RSA keys, one process for each maker in turns: certforge's engines, OpenSSL as Debian has it and as Python's
cryptography brings it, and Go. Prints a Markdown table of keys a second of one core.

benches/peers/rsa.py [--bits 2048] [--seconds 20] [--certforge FILE] [--go FILE]: keys are counted by the time of the
processor that they took, for RSA keys take as long as chance has it. A maker whose tools are missing is named and left out.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

GO = """package main
import ("crypto/rand"; "crypto/rsa"; "fmt"; "os"; "strconv"; "time")
func main() {
    bits, _ := strconv.Atoi(os.Args[1]); seconds, _ := strconv.ParseFloat(os.Args[2], 64)
    start, made := time.Now(), 0
    for time.Since(start).Seconds() < seconds {
        if _, err := rsa.GenerateKey(rand.Reader, bits); err != nil { panic(err) }
        made++
    }
    fmt.Println(made)
}
"""


def of_children(work):
    """What it gives, and the time of the processor that its processes took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    given = work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return given, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def with_certforge(program, engine, bits, seconds):
    command = [program, "bench", "--only", "keys", "--key-type", f"RSA-{bits}", "--engine", engine, "--jobs", "1"]
    command += ["--seconds", str(seconds), "--json"]
    start = time.monotonic()
    said, took = of_children(lambda: subprocess.run(command, capture_output=True, check=True).stdout)
    # Its rate is by the clock: others may have had the processor meanwhile.
    had = took / (time.monotonic() - start)
    measures = json.loads(said)["measures"]
    return next(it["per_second"] for it in measures if it["quantity"] == "keys") / had


def with_openssl(bits, seconds):
    def work():
        made, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            subprocess.run(["openssl", "genrsa", "-out", "/dev/null", str(bits)], capture_output=True, check=True)
            made += 1
        return made

    made, took = of_children(work)
    return made / took


def with_cryptography(bits, seconds):
    from cryptography.hazmat.primitives.asymmetric import rsa

    made, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        rsa.generate_private_key(65537, bits)
        made += 1
    return made / (time.process_time() - start)


def with_go(go, bits, seconds):
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "main.go", Path(folder) / "rsa"
        source.write_text(GO)
        environment = os.environ | {"GOFLAGS": "-mod=mod", "GOCACHE": folder}
        subprocess.run([go, "build", "-o", program, source], cwd=folder, env=environment, check=True)
        one = os.environ | {"GOMAXPROCS": "1"}
        command = [program, str(bits), str(seconds)]
        made, took = of_children(lambda: int(subprocess.run(command, env=one, capture_output=True, check=True).stdout))
        return made / took


def openssl_of_cryptography():
    from cryptography.hazmat.backends.openssl import backend

    return backend.openssl_version_text()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, default=2048)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--certforge", default="target/release/certforge")
    parser.add_argument("--go", default=shutil.which("go"))
    options = parser.parse_args()
    bits, seconds = options.bits, options.seconds
    engines = {f"certforge, engine {engine}": engine for engine in ("rsa", "rsa-portable", "aws-lc")}
    makers = {
        name: lambda engine=engine: with_certforge(options.certforge, engine, bits, seconds)
        for name, engine in engines.items()
    } | {
        "openssl genrsa, a process a key": lambda: with_openssl(bits, seconds),
        "Python's cryptography": lambda: with_cryptography(bits, seconds),
        "Go": lambda: with_go(options.go, bits, seconds),
    }
    rates = {}
    for name, measure in makers.items():
        try:
            rates[name] = measure()
        except (ImportError, OSError, TypeError, StopIteration, subprocess.CalledProcessError) as error:
            print(f"- left out: {name}: {error!r}")
    ours = [name for name in engines if name in rates][:2]
    heads = "".join(f" {name.removeprefix('certforge, engine ')} against it |" for name in ours)
    print(f"\n| RSA-{bits} | keys a second of one core |{heads}\n| --- | ---: |{' ---: |' * len(ours)}")
    for name, rate in rates.items():
        against = "".join(f" {rates[our] / rate:.1f} times |" for our in ours)
        print(f"| {name} | {rate:.1f} |{against}")
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True).stdout.strip()
    print(f"\nopenssl: {version}")
    if "Python's cryptography" in rates:
        print(f"Python's cryptography: {openssl_of_cryptography()}")


if __name__ == "__main__":
    main()
