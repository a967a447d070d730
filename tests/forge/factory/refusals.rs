//! Servers that cannot be used: each is told with what to do, and nothing is made.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::Factory;
use crate::postgres::Postgres;
use crate::support::Workplace;

/// Runs with a ledger, which has to be refused.
fn refused(factory: &Factory, ledger: &str, code: i32, variables: &[(&str, &str)]) -> String {
    let mut command = factory.place.command(&[
        "run",
        "devices.csv",
        "--ca",
        "ca",
        "--no-endpoint",
        "--ledger",
        ledger,
    ]);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{ledger}: {said}");
    assert!(said.contains("hint: "), "{said}");
    assert!(!factory.place.join("out").exists(), "nothing is made");
    said
}

#[test]
fn a_server_that_cannot_be_used_is_told_with_what_to_do() {
    let server = Postgres::start();
    let factory = Factory::new(&server, 3);
    let port = server.port();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();

    let said = refused(&factory, &format!("postgres://forge@127.0.0.1:{free}/c"), 7, &[]);
    assert!(
        said.contains("cannot be reached") && said.contains("look at host and port"),
        "{said}"
    );
    let said = refused(
        &factory,
        &format!("postgres://postgres@127.0.0.1:{port}/none"),
        7,
        &[],
    );
    assert!(said.contains("database \"none\" does not exist"), "{said}");
    let said = refused(
        &factory,
        &format!("postgres://nobody@127.0.0.1:{port}/postgres"),
        7,
        &[],
    );
    assert!(said.contains("role \"nobody\" does not exist"), "{said}");
    let said = refused(&factory, "postgress://forge@127.0.0.1/c", 2, &[]);
    assert!(said.contains("postgres://user@host/database"), "{said}");
    let said = refused(&factory, "postgres://forge:s3cret@127.0.0.1/c", 2, &[]);
    assert!(said.contains("PGPASSFILE") && !said.contains("s3cret"), "{said}");

    let foreign = server.database();
    server.ask(
        &foreign,
        "CREATE SCHEMA certforge; CREATE TABLE certforge.other (x int)",
    );
    assert!(refused(&factory, &foreign, 7, &[]).contains("is no certforge ledger"));
    let newer = server.database();
    certforge::ledger::open(newer.parse::<certforge::ledger::LedgerName>().unwrap(), [1; 16]).unwrap();
    server.ask(&newer, "UPDATE certforge.meta SET version = 99");
    assert!(refused(&factory, &newer, 7, &[]).contains("has schema version 99"));
    server.ask(
        &newer,
        "UPDATE certforge.meta SET version = 1; INSERT INTO certforge.meta VALUES ('two', 1)",
    );
    assert!(refused(&factory, &newer, 7, &[]).contains("is no certforge ledger"));

    server.sql("postgres", "CREATE ROLE reader LOGIN");
    let said = refused(
        &factory,
        &format!("postgres://reader@127.0.0.1:{port}/postgres"),
        7,
        &[],
    );
    assert!(
        said.contains("permission denied") && said.contains("CREATE DATABASE"),
        "{said}"
    );
}

#[test]
fn who_says_how_long_waits_for_a_server_that_is_not_there_yet() {
    let server = Postgres::start();
    let factory = Factory::new(&server, 64);
    server.crash();
    let mut waits = factory.start();
    let mut aside = BufReader::new(waits.stderr.take().unwrap());
    let mut line = String::new();
    aside.read_line(&mut line).unwrap();
    assert!(
        line.contains(" does not answer: waiting for it up to 120 s; nothing is lost"),
        "{line}"
    );
    server.go_on();
    let output = waits.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // For so long, and no longer.
    server.crash();
    let output = factory.run_and_wait("1s").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(7), "{told}");
    assert!(told.contains("--ledger-wait says how long to wait"), "{told}");
    server.go_on();
}

/// Before there is a CA, the ledger is asked whether it is new.
#[test]
fn a_first_run_without_a_ca_waits_for_its_server_too() {
    let server = Postgres::start();
    let ledger = server.database();
    let place = Workplace::new();
    place.manifest(3);
    server.crash();
    let mut command = place.command(&["run", "devices.csv", "--ledger", &ledger, "--ledger-wait", "2min"]);
    let mut waits = command
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut aside = BufReader::new(waits.stderr.take().unwrap());
    let mut line = String::new();
    aside.read_line(&mut line).unwrap();
    assert!(
        line.contains(" does not answer: waiting for it up to 120 s"),
        "{line}"
    );
    server.go_on();
    aside.read_to_string(&mut line).unwrap();
    assert_eq!(waits.wait().unwrap().code(), Some(0), "{line}");
    assert!(line.contains("made a LAB CA"), "{line}");
}

/// A server that was killed while it took a connection hangs up without a word.
#[test]
fn a_server_that_hangs_up_at_the_start_is_waited_for() {
    let server = Postgres::start();
    let factory = Factory::new(&server, 64);
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let (old, new) = (server.port(), door.local_addr().unwrap().port());
    let calls = std::thread::spawn(move || {
        for _ in 0..3 {
            drop(door.accept().unwrap());
        }
        // Whoever calls next finds nobody at all.
    });
    let ledger = factory.ledger.replace(&format!(":{old}/"), &format!(":{new}/"));
    let at_once = refused(&factory, &ledger, 7, &[]);
    assert!(at_once.contains("cannot be reached"), "{at_once}");
    let mut command = factory
        .place
        .command(&["run", "devices.csv", "--ca", "ca", "--no-endpoint"]);
    command.args(["--ledger", &ledger, "--ledger-wait", "1s"]);
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(7), "{told}");
    assert!(
        told.contains("did not come back within 1 s") && told.contains("--ledger-wait"),
        "{told}"
    );
    calls.join().unwrap();
}

#[test]
fn passwords_come_from_where_nobody_sees_them() {
    let server = Postgres::start();
    let factory = Factory::new(&server, 3);
    server.sql("postgres", "CREATE ROLE forge LOGIN PASSWORD 's3cret'");
    server.sql("postgres", "CREATE DATABASE c OWNER forge");
    let rules = server.folder().join("data/pg_hba.conf");
    let trusting = fs::read_to_string(&rules).unwrap();
    fs::write(
        &rules,
        format!("host all forge 127.0.0.1/32 scram-sha-256\n{trusting}"),
    )
    .unwrap();
    server.sql("postgres", "SELECT pg_reload_conf()");
    let ledger = format!("postgres://forge@127.0.0.1:{}/c", server.port());

    let said = refused(&factory, &ledger, 7, &[("PGPASSWORD", "wr0ng")]);
    assert!(
        said.contains("password authentication failed") && !said.contains("wr0ng"),
        "{said}"
    );
    let file = factory.place.join("passwords");
    fs::write(&file, format!("127.0.0.1:{}:c:forge:s3cret\n", server.port())).unwrap();
    let name = file.display().to_string();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let said = refused(&factory, &ledger, 7, &[("PGPASSFILE", &name)]);
    assert!(said.contains("can be read by others"), "{said}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = factory.place.command(&[
        "run",
        "devices.csv",
        "--ca",
        "ca",
        "--no-endpoint",
        "--ledger",
        &ledger,
    ]);
    let output = command.env("PGPASSFILE", &name).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    assert!(!String::from_utf8_lossy(&said).contains("s3cret"));
    // Neither what was made nor the ledger knows it.
    let found = Command::new("grep")
        .args(["-r", "s3cret", "out"])
        .current_dir(factory.place.path())
        .output()
        .unwrap();
    assert!(
        found.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&found.stdout)
    );
}

/// Makes a root, and under it a certificate for localhost.
fn certificates(place: &Workplace) {
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=root -keyout root.key -out root.pem 2>/dev/null &&
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr 2>/dev/null &&
        printf 'subjectAltName=DNS:localhost\\n' > extensions &&
        openssl x509 -req -in server.csr -CA root.pem -CAkey root.key -CAcreateserial -days 2 -extfile extensions -out server.pem 2>/dev/null &&
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=other -keyout other.key -out other.pem 2>/dev/null";
    let status = Command::new("sh")
        .args(["-c", script])
        .current_dir(place.path())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_server_has_to_prove_its_name() {
    let server = Postgres::start();
    let factory = Factory::new(&server, 3);
    let port = server.port();
    let database = factory.ledger.rsplit('/').next().unwrap();
    let ledger = |host: &str, root: &str| {
        let root = factory.place.join(root);
        format!(
            "postgres://postgres@{host}:{port}/{database}?sslmode=verify-full&sslrootcert={}",
            root.display()
        )
    };
    certificates(&factory.place);
    let said = refused(&factory, &ledger("localhost", "root.pem"), 7, &[]);
    assert!(
        said.contains("takes no TLS") && said.contains("sslmode=disable"),
        "{said}"
    );

    server.use_certificate(
        &factory.place.join("server.pem"),
        &factory.place.join("server.key"),
    );
    for (host, root) in [("localhost", "other.pem"), ("127.0.0.1", "root.pem")] {
        let said = refused(&factory, &ledger(host, root), 7, &[]);
        assert!(said.contains("did not prove who it is"), "{host} {root}: {said}");
    }
    let name = ledger("localhost", "root.pem");
    let arguments = [
        "run",
        "devices.csv",
        "--ca",
        "ca",
        "--no-endpoint",
        "--ledger",
        &name,
    ];
    factory.place.succeed(&arguments);
    let is_tls = "SELECT count(*) FROM pg_stat_ssl";
    assert_ne!(server.sql("postgres", is_tls), "0");
}

/// No older server can be installed here: this one is real, but for its version on the way.
#[test]
fn a_server_that_is_too_old_is_told_so() {
    let server = Postgres::start();
    let factory = Factory::new(&server, 3);
    let number = server.sql("postgres", "SHOW server_version_num");
    let old = format!("12{}", &number[2..]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let real = ("127.0.0.1", server.port());
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let far = TcpStream::connect(real).unwrap();
            let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            let (mut from, mut to) = (far, near);
            let mut octets = vec![0; 1 << 16];
            while let Ok(length @ 1..) = from.read(&mut octets) {
                let answer = &mut octets[..length];
                let found = answer
                    .windows(number.len())
                    .position(|some| some == number.as_bytes());
                if let Some(at) = found {
                    answer[at..at + number.len()].copy_from_slice(old.as_bytes());
                }
                if to.write_all(answer).is_err() {
                    break;
                }
            }
        }
    });
    let name = factory.ledger.rsplit('/').next().unwrap();
    let said = refused(
        &factory,
        &format!("postgres://postgres@127.0.0.1:{port}/{name}?sslmode=disable"),
        7,
        &[],
    );
    assert!(said.contains("the server is PostgreSQL 12"), "{said}");
    assert!(said.contains("needs PostgreSQL 13 or newer"), "{said}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'certforge'";
    assert_eq!(server.sql(name, tables), "0");
}
