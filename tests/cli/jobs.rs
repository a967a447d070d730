//! What `certforge job` prints is judged by those who know the schedulers, and does what it says: its command is run as a
//! task would run it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::Workplace;

const BATCH: [&str; 9] = [
    "--image",
    "registry.factory/certforge:1",
    "--queue",
    "factory",
    "--efs",
    "fs-0123456789abcdef0",
    "--job-role",
    "arn:aws:iam::123456789012:role/forge",
    "--execution-role=arn:aws:iam::123456789012:role/start",
];

/// A run whose words need care everywhere.
const ODD: &str = "it's $(HOME) \"x\" # é";

fn job(place: &Workplace, arguments: &[&str], run: &[&str]) -> Value {
    let line = [&["job"], arguments, &["--json", "--", "run"], run].concat();
    serde_json::from_str(&place.succeed(&line)).unwrap()
}

/// A part of a document that is one itself.
fn part(document: &Value, name: &str) -> Value {
    serde_json::from_str(document[name].as_str().unwrap()).unwrap()
}

/// `CERTFORGE_TEST_PYTHON` names a Python that has `botocore` and `kubernetes-validate`.
fn judge(document: &Value) -> Output {
    let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/jobs/judge.py");
    let mut judge = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    judge
        .stdin
        .take()
        .unwrap()
        .write_all(document.to_string().as_bytes())
        .unwrap();
    judge.wait_with_output().unwrap()
}

fn is_sound(document: &Value) {
    let judged = judge(document);
    let said = String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success(), "{said}\n{document:#}");
}

#[test]
fn aws_batch_knows_what_is_printed_for_it() {
    let place = Workplace::new();
    let secret = "PGPASSWORD=arn:aws:secretsmanager:eu-central-1:123456789012:secret:forge";
    let run = [
        "/factory/devices.csv",
        "--ca",
        "/factory/ca",
        "--to",
        "s3://factory/b",
    ];
    let batch = [&["aws-batch"], &BATCH[..]].concat();
    let shards = job(&place, &[&batch[..], &["--tasks", "10"]].concat(), &run);
    is_sound(&shards);
    assert_eq!(part(&shards, "submit_job")["arrayProperties"]["size"], 10);
    let shared = [&run[..], &["--ledger", "postgres://forge@db/x", "--batch", ODD]].concat();
    let shared = job(
        &place,
        &[&batch[..], &["--tasks", "1", "--secret", secret]].concat(),
        &shared,
    );
    is_sound(&shared);
    assert_eq!(part(&shared, "submit_job")["arrayProperties"], Value::Null);
    let definition = shared["job_definition"].as_str().unwrap();
    for (wrong, right) in [
        ("\"privileged\": 1", "\"privileged\": false"),
        ("EC3", "EC2"),
        ("\"images\"", "\"image\""),
    ] {
        let mut document = shared.clone();
        document["job_definition"] = definition.replace(right, wrong).into();
        assert!(
            !judge(&document).status.success(),
            "the judge passes over {wrong}"
        );
    }
}

/// The script for people hands over what the document has.
#[test]
fn the_script_for_aws_batch_says_what_the_document_says() {
    let place = Workplace::new();
    let run = [
        "/factory/devices.csv",
        "--ca=/factory/ca",
        "--to",
        "s3://factory/b",
        "--batch",
        ODD,
    ];
    let arguments = [&["aws-batch"], &BATCH[..], &["--tasks", "3"]].concat();
    let document = job(&place, &arguments, &run);
    let script = place.succeed(&[&["job"], &arguments[..], &["--", "run"], &run].concat());
    fs::write(
        place.join("aws"),
        "#!/bin/sh\necho \"$@\" >> called\ntest \"$2\" = submit-job || cat >> given\n",
    )
    .unwrap();
    fs::set_permissions(place.join("aws"), Permissions::from_mode(0o755)).unwrap();
    is_run(&place, &script, Command::new("sh"), &[]);
    let given: Value = serde_json::from_str(&fs::read_to_string(place.join("given")).unwrap()).unwrap();
    assert_eq!(given, part(&document, "job_definition"));
    assert_eq!(
        fs::read_to_string(place.join("called")).unwrap(),
        "batch register-job-definition --cli-input-json file:///dev/stdin\n\
         batch submit-job --job-name certforge --job-queue factory --job-definition certforge --array-properties size=3\n"
    );
}

#[test]
fn kubernetes_knows_what_is_printed_for_it() {
    let place = Workplace::new();
    place.manifest(3);
    let text = "name = \"p\"\n[bundle]\nfiles = [{ name = \"id\", content = [\"private-key\", \"certificate\"] }, { name = \"r\", content = { file = \"own.pem\" } }]\n";
    fs::create_dir(place.join("p")).unwrap();
    fs::write(place.join("p/p.toml"), text).unwrap();
    fs::write(place.join("p/own.pem"), "x").unwrap();
    let run = ["./devices.csv", "--to", "s3://factory/b"];
    let kubernetes = ["kubernetes", "--image", "registry.factory/certforge:1"];
    let shards = job(&place, &kubernetes, &run);
    is_sound(&shards);
    let shared = [
        "--ledger=postgresql://forge@db/x",
        "--profile",
        "p/p.toml",
        "--ca",
        "/etc/ca",
        "--batch",
        ODD,
    ];
    let more = [
        "--service-account",
        "forge",
        "--input-claim",
        "input",
        "--tasks",
        "1",
        "--ca-secret",
        "root",
    ];
    let shared = job(
        &place,
        &[&kubernetes[..], &more].concat(),
        &[&run[..], &shared].concat(),
    );
    is_sound(&shared);
    let text = shared["text"].as_str().unwrap();
    for path in [
        "/factory/devices.csv",
        "/factory/p/p.toml",
        "/factory/p/own.pem",
        "/etc/ca",
    ] {
        assert!(
            text.contains(&format!("mountPath: \"{path}\"\n")),
            "{path}\n{text}"
        );
    }
    for (wrong, right) in [
        ("privileged: true", "readOnlyRootFilesystem: true"),
        ("restartPolicy: Always", "restartPolicy: Never"),
        ("completions: x", "completions: 1"),
    ] {
        let mut document = shared.clone();
        document["text"] = text.replace(right, wrong).into();
        assert!(
            !judge(&document).status.success(),
            "the judge passes over {wrong}"
        );
    }
}

/// Runs a script, with what is in the workplace's folder found first.
fn is_run(place: &Workplace, script: &str, mut shell: Command, variables: &[(&str, String)]) -> String {
    fs::write(place.join("script"), script).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_certforge")).parent().unwrap();
    let path = format!(
        "{}:{}:{}",
        place.path().display(),
        program.display(),
        std::env::var("PATH").unwrap()
    );
    let output = shell
        .arg("script")
        .current_dir(place.path())
        .env("PATH", path)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{script}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &said
}

/// Every task of the array, as Slurm would start it.
#[test]
fn the_tasks_of_a_script_make_the_whole_batch() {
    let place = Workplace::new();
    place.manifest(500);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let run = [
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "b",
        "--chunk-rows",
        "50",
    ];
    let arguments = [
        "job",
        "slurm",
        "--tasks",
        "3",
        "--ledgers",
        "the ledgers",
        "--",
        "run",
    ];
    let script = place.succeed(&[&arguments[..], &run, &["--json"]].concat());
    // What Slurm starts on the node that it chose.
    fs::write(place.join("srun"), "#!/bin/sh\nshift\nexec \"$@\"\n").unwrap();
    fs::set_permissions(place.join("srun"), Permissions::from_mode(0o755)).unwrap();
    for round in ["made", "nothing left"] {
        for id in 0..3 {
            let variables = [("ID", id), ("MIN", 0), ("MAX", 2), ("STEP", 1), ("COUNT", 3)];
            let variables =
                variables.map(|(name, value)| (format!("SLURM_ARRAY_TASK_{name}"), value.to_string()));
            let variables: Vec<_> = variables
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect();
            let said = is_run(&place, &script, Command::new("bash"), &variables);
            let shard = id + 1;
            let from = format!(
                "SLURM_ARRAY_TASK_ID={id}, SLURM_ARRAY_TASK_MIN=0, SLURM_ARRAY_TASK_MAX=2, SLURM_ARRAY_TASK_STEP=1, SLURM_ARRAY_TASK_COUNT=3"
            );
            for expected in [
                format!("certforge: shard {shard}/3: {from}\n"),
                format!("\"shard\": \"{shard}/3\",\n  \"shard_from\": \"{from}\",\n"),
                format!("\"ledger\": \"the ledgers/certforge-{shard}-of-3.db\",\n"),
                format!(
                    "\"made\": {},\n",
                    if round == "made" { [200, 150, 150][id] } else { 0 }
                ),
            ] {
                assert!(said.contains(&expected), "{expected}\n{said}");
            }
        }
    }
    place.succeed(&["seal", "out/b", "--ca", "ca"]);
    let verified = place.succeed(&["verify", "out/b", "--no-ledger"]);
    assert!(verified.contains("500 devices verified, sealed"), "{verified}");
}

/// Nobody learns a password from a file, nor from what is said of it.
#[test]
fn a_password_is_not_printed() {
    let place = Workplace::new();
    for arguments in [
        &["--ledger", "postgres://forge:geheim@db/certforge"][..],
        &["--ledger=postgres://forge@db/certforge?password=geheim"],
        &[
            "--endpoint-url",
            "https://key:geheim@store",
            "--to",
            "s3://factory/b",
        ],
    ] {
        let line = [&["job", "slurm", "--json", "--", "run", "devices.csv"], arguments].concat();
        let output = place.run(&line);
        assert_eq!(output.status.code(), Some(2), "{line:?}");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(
            said.contains("has a password") && !said.contains("geheim"),
            "{said}"
        );
    }
}

/// The CA in a pod is what Kubernetes makes of a Secret: root's files, behind links, which a group may read.
#[test]
fn a_ca_in_a_secret_of_kubernetes_signs_for_a_process_that_is_not_root() {
    const USER: u32 = 65532;
    let place = Workplace::new();
    place.manifest(3);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let (ca, data) = (place.join("secret"), place.join("secret/..2026_11_29"));
    fs::create_dir_all(&data).unwrap();
    fs::set_permissions(&ca, Permissions::from_mode(0o1777)).unwrap();
    symlink("..2026_11_29", ca.join("..data")).unwrap();
    for file in ["certificate.pem", "key.pem"] {
        fs::copy(place.join("ca").join(file), data.join(file)).unwrap();
        symlink(Path::new("..data").join(file), ca.join(file)).unwrap();
        fs::set_permissions(data.join(file), Permissions::from_mode(0o440)).unwrap();
        if chown(data.join(file), Some(0), Some(USER)).is_err() {
            eprintln!("LEFT OUT: only root can be another user");
            return;
        }
    }
    chown(place.path(), Some(USER), Some(USER)).unwrap();
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "secret",
        "--ledger",
        "own.db",
    ];
    let output = place.command(&run).uid(USER).gid(USER).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // Others may not read it, whoever owns it.
    fs::set_permissions(data.join("key.pem"), Permissions::from_mode(0o444)).unwrap();
    let output = place.command(&run).uid(USER).gid(USER).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(
        said.contains("key.pem can be read by others (mode 0444)"),
        "{said}"
    );
}
