//! A host that is cut off: from the database, then from S3, by a cable that is pulled, so that nothing answers and nothing is refused.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

use super::{Factory, until};
use crate::postgres::Postgres;
use crate::s3_server::{self, BUCKET, S3Server};

/// A host of its own, as far as the network goes: two cables lead to it.
struct Apart {
    namespace: String,
    cables: [Cable; 2],
}

/// A pair of interfaces; this end of it has an address.
struct Cable {
    here: String,
    address: Ipv4Addr,
}

fn ip(arguments: &[&str]) -> bool {
    let output = Command::new("ip").args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

impl Apart {
    /// `None`: this machine allows no namespaces.
    fn new() -> Option<Self> {
        let number = std::process::id();
        let namespace = format!("cf{number}");
        let cable = |n: u8| Cable {
            here: format!("cf{number}c{n}"),
            address: Ipv4Addr::new(
                10,
                200 + n,
                u8::try_from(number >> 8 & 0xff).unwrap(),
                4 * u8::try_from(number & 0x3f).unwrap() + 1,
            ),
        };
        let apart = Self {
            cables: [cable(0), cable(1)],
            namespace,
        };
        let namespace = apart.namespace.as_str();
        let mut is_made =
            ip(&["netns", "add", namespace]) && ip(&["-n", namespace, "link", "set", "lo", "up"]);
        for (n, Cable { here, address }) in apart.cables.iter().enumerate() {
            let there = format!("c{n}");
            let [a, b, c, d] = address.octets();
            is_made = is_made
                && ip(&[
                    "link", "add", here, "type", "veth", "peer", "name", &there, "netns", namespace,
                ])
                && ip(&["addr", "add", &format!("{address}/30"), "dev", here])
                && ip(&["link", "set", here, "up"])
                && ip(&[
                    "-n",
                    namespace,
                    "addr",
                    "add",
                    &format!("{a}.{b}.{c}.{}/30", d + 1),
                    "dev",
                    &there,
                ])
                && ip(&["-n", namespace, "link", "set", &there, "up"]);
        }
        is_made.then_some(apart)
    }

    /// The command, as that host runs it.
    fn host(&self, command: &Command) -> Command {
        let mut host = Command::new("ip");
        host.args(["netns", "exec", &self.namespace])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(command.get_current_dir().unwrap());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => host.env(name, value),
                None => host.env_remove(name),
            };
        }
        host
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        for cable in &self.cables {
            ip(&["link", "del", &cable.here]);
        }
        ip(&["netns", "del", &self.namespace]);
    }
}

impl Cable {
    fn pull(&self) {
        assert!(ip(&["link", "set", &self.here, "down"]));
    }

    fn plug(&self) {
        assert!(ip(&["link", "set", &self.here, "up"]));
    }

    /// An address at this end of the cable behind which a server of this machine is.
    fn lead_to(&self, server: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind((self.address, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(server) else {
                    continue;
                };
                pass(&near, &far);
                pass(&far, &near);
            }
        });
        address
    }
}

/// Passes octets on, one way, until either end is done.
fn pass(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        let _ended = io::copy(&mut from, &mut to);
        let _is_gone = to.shutdown(std::net::Shutdown::Both);
    });
}

#[test]
fn a_host_that_is_cut_off_from_the_database_and_then_from_s3_goes_on_when_it_is_back() {
    const ROWS: usize = 6000;
    let Some(apart) = Apart::new() else {
        eprintln!("LEFT OUT: this machine allows no network namespaces");
        return;
    };
    let [to_database, to_s3] = &apart.cables;
    let (server, s3) = (Postgres::start(), S3Server::start());
    let factory = Factory::new(&server, ROWS);
    let database = to_database.lead_to(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
    let name = factory.ledger.rsplit('/').next().unwrap();
    let far = Factory {
        ledger: format!("postgres://postgres@{database}/{name}?sslmode=disable"),
        ..factory
    };
    let mut command = far.run();
    let to = format!("s3://{BUCKET}/far");
    command.args([
        "--to",
        &to,
        "--endpoint-url",
        &s3_server::url(to_s3.lead_to(s3.address)),
    ]);
    s3_server::account(&mut command, far.place.path());
    let mut host = apart
        .host(&command)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let committed = || -> u64 {
        let count = server.sql(name, "SELECT count(*) FROM certforge.committed");
        count.parse().unwrap()
    };
    let mut aside = BufReader::new(host.stderr.take().unwrap());
    let is_made = "SELECT to_regclass('certforge.committed') IS NOT NULL";
    until("the schema is made", || server.sql(name, is_made) == "t");
    until("something is committed", || committed() > 2);
    to_database.pull();
    let mut said = String::new();
    while !said.contains("does not answer: waiting for it") {
        assert_ne!(aside.read_line(&mut said).unwrap(), 0, "it ended: {said}");
    }
    to_database.plug();
    let before = committed();
    until("more is committed", || committed() > before);
    to_s3.pull();
    // What was on its way is committed; then nothing is.
    let mut last = committed();
    let mut quiet = 0;
    until("nothing is committed any more", || {
        thread::sleep(std::time::Duration::from_millis(100));
        let now = committed();
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
        quiet == 20
    });
    to_s3.plug();
    let mut document = String::new();
    host.stdout.take().unwrap().read_to_string(&mut document).unwrap();
    aside.read_to_string(&mut said).unwrap();
    assert_eq!(host.wait().unwrap().code(), Some(0), "{said}");
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        (&document["made"], &document["sealed"]),
        (&ROWS.into(), &true.into()),
        "{said}"
    );
    far.judge_at(&s3.only_batch("far"), &server.url(name), &server);
}
