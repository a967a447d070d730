//! Where a batch is made: a workplace, and a store that fails as often as it is told, a folder or a bucket.

use std::path::{Path, PathBuf};
use std::process::Command;

use certforge::batch::Layout;
use certforge::store::Store;

use crate::fault_proxy::FaultProxy;
use crate::real_server::{BUCKET, Server};
use crate::support::{Workplace, tool};

pub const BATCH: &str = "b";

/// The library that lets a disk fail, compiled once.
pub struct Disk(tempfile::TempDir);

impl Disk {
    pub fn compile() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/torture/disk.c");
        let source = source.to_str().unwrap();
        let made = tool(
            "cc",
            &["-shared", "-fPIC", "-O1", "-o", "disk.so", source, "-ldl"],
            folder.path(),
        );
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self(folder)
    }
}

enum Fails {
    Disk {
        library: PathBuf,
        under: PathBuf,
        log: PathBuf,
        one_in: u64,
    },
    Bucket {
        proxy: FaultProxy,
        server_url: String,
    },
}

/// A workplace and its store.
pub struct Place {
    pub workplace: Workplace,
    fails: Fails,
    pub store: Store,
    /// What `--to` names.
    pub to: String,
    is_failing: bool,
    seed: u64,
}

impl Place {
    /// A folder under the workplace.
    pub fn folder(disk: &Disk, layout: Layout, rows: usize, seed: u64) -> Self {
        let workplace = workplace(rows);
        let under = workplace.join("out");
        let fails = Fails::Disk {
            library: disk.0.path().join("disk.so"),
            log: workplace.join("faults"),
            under: under.clone(),
            // A run makes more calls for many objects than for a few packs.
            one_in: if layout == Layout::Objects { 60 } else { 25 },
        };
        Self {
            store: Store::in_folder(under.join(BATCH)),
            workplace,
            fails,
            to: "out".to_owned(),
            is_failing: false,
            seed,
        }
    }

    /// A prefix of the server's bucket.
    pub fn bucket(server: &Server, layout: Layout, rows: usize, seed: u64) -> Self {
        let prefix = format!("torture-{seed:x}");
        let one_in = if layout == Layout::Objects { 8 } else { 4 };
        Self {
            workplace: workplace(rows),
            store: Server::store(&format!("{prefix}/{BATCH}"), &server.options()),
            to: format!("s3://{BUCKET}/{prefix}"),
            fails: Fails::Bucket {
                proxy: FaultProxy::start(server.address(), seed, one_in),
                server_url: server.url.clone(),
            },
            is_failing: false,
            seed,
        }
    }

    pub fn batch(&self) -> String {
        format!("{}/{BATCH}", self.to)
    }

    /// A command whose store fails now and then, when it is to.
    pub fn command(&mut self, arguments: &[&str]) -> Command {
        self.seed = self.seed.wrapping_add(1);
        let mut command = self.workplace.command(arguments);
        match &self.fails {
            Fails::Disk {
                library,
                under,
                log,
                one_in,
            } if self.is_failing => {
                command
                    .env("LD_PRELOAD", library)
                    .env("DISK_UNDER", under)
                    .env("DISK_LOG", log)
                    .env("DISK_ONE_IN", one_in.to_string())
                    .env("DISK_SEED", self.seed.to_string());
            }
            Fails::Disk { .. } => {}
            Fails::Bucket { proxy, server_url } => {
                let failing = format!("http://{}", proxy.address);
                let url = if self.is_failing { &failing } else { server_url };
                command.args(["--endpoint-url", url]);
                account(&mut command);
            }
        }
        command
    }

    /// Whether the store of the next commands fails.
    pub fn fail(&mut self, is_failing: bool) {
        self.is_failing = is_failing;
    }

    pub fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// Faults so far.
    pub fn faults(&self) -> usize {
        match &self.fails {
            Fails::Disk { log, .. } => {
                std::fs::metadata(log).map_or(0, |log| usize::try_from(log.len()).unwrap())
            }
            Fails::Bucket { proxy, .. } => proxy.count(),
        }
    }

    /// What the place is called in what is printed.
    pub fn name(&self) -> &'static str {
        match &self.fails {
            Fails::Disk { .. } => "disk",
            Fails::Bucket { .. } => "S3",
        }
    }
}

fn workplace(rows: usize) -> Workplace {
    let workplace = Workplace::new();
    workplace.manifest(rows);
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    workplace
}

fn account(command: &mut Command) {
    command
        .env("AWS_ACCESS_KEY_ID", "AKIATEST")
        .env("AWS_SECRET_ACCESS_KEY", "secret of the test")
        .env("AWS_REGION", "us-east-1");
}
