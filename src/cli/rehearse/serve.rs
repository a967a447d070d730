//! `certforge rehearse --serve`: the endpoint, for real firmware.

use std::fmt;
use std::io::IsTerminal;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use certforge::pem;
use certforge::printable;
use certforge::rehearsal::{self, Event, EventKind, KeyKind};
use certforge::shell::quoted;
use certforge::whole;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use super::endpoint::{EndpointArgs, Ready};
use crate::cli::failure::Failure;
use crate::cli::interrupt;
use crate::cli::issuer::DEFAULT_FOLDER;
use crate::cli::report::{Ended, Outcome, Printer, print, print_document};
use crate::cli::text::Lines;

/// MQTT over TLS.
const PORT: u16 = 8883;

const CLOCK: &[FormatItem<'static>] = format_description!("[hour]:[minute]:[second].[subsecond digits:3]Z");

pub fn run(args: &EndpointArgs, printer: Printer) -> Outcome {
    if args.is_dead_end() {
        return Err(Failure::usage(
            "with --jitr certificates stay pending, and nothing could activate them",
            "give --state FILE, so that `certforge rehearse activate` can, or --allow-list BATCH",
        ));
    }
    let named = args.authorities()?;
    let authorities = match named.is_empty() {
        false => named,
        true => vec![super::endpoint::authority(Path::new(DEFAULT_FOLDER))?],
    };
    let here = SocketAddr::from(([127, 0, 0, 1], PORT));
    let listener = move |event: &Event| match printer.wants_documents() {
        true => {
            let document = serde_json::to_string(event).expect("it has only text keys");
            print_document(&format!("{document}\n"));
        }
        false => _ = print(&line(event)),
    };
    let kinds = [KeyKind::Rsa, KeyKind::Ecdsa];
    let ready = args.prepare(authorities, None, None, &kinds, here, Box::new(listener))?;
    if args.is_throw_away() {
        write_roots(&args.root_file, &ready.roots)?;
    }
    printer.show(&Up::new(args, &ready));
    interrupt::cancel("");
    rehearsal::serve(&ready.endpoint, ready.listening, interrupt::is_cancelled)?;
    if std::io::stdout().is_terminal() {
        printer.tell("\n");
    }
    Ok(Ended::silent())
}

/// Writes the roots that devices must trust, whole or not at all.
fn write_roots(path: &Path, ders: &[Vec<u8>]) -> Result<(), Failure> {
    let roots = ders.iter().map(|der| pem::encode(pem::CERTIFICATE, der));
    let roots: String = roots.collect();
    whole::write(path, roots.as_bytes(), 0o644).map_err(|error| {
        Failure::usage(
            &format!("{} cannot be written: {error}", path.display()),
            "devices need these roots; name a file that you may write with --root-file",
        )
    })
}

/// An endpoint that is up: where it listens, and what it is.
#[derive(Serialize)]
struct Up {
    address: String,
    alpn_address: Option<String>,
    http: Option<String>,
    account: String,
    region: String,
    /// The roots that devices must trust, when they are made for the run.
    cafile: Option<String>,
    #[serde(skip)]
    port: u16,
    /// The CAs, the template and the like, for people.
    #[serde(skip)]
    has: Vec<(&'static str, String)>,
    #[serde(skip)]
    state: Option<String>,
}

impl Up {
    fn new(args: &EndpointArgs, ready: &Ready) -> Self {
        let of = |listener: &Option<TcpListener>| {
            let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
            address.map(|address| address.to_string())
        };
        let address = ready.listening.mqtt.local_addr().expect("it is bound");
        let mut has = Vec::new();
        for authority in &ready.authorities {
            let subject = authority.subject_text();
            has.push(("CA", format!("{subject}, registered and ACTIVE")));
        }
        if let Some(path) = args.template_path() {
            has.push(("template", path.display().to_string()));
        }
        if args.is_jitr() {
            has.push(("activation", args.activation()));
        }
        Self {
            address: address.to_string(),
            alpn_address: of(&ready.listening.alpn),
            http: of(&ready.listening.http),
            account: ready.home.account.clone(),
            region: ready.home.region.clone(),
            cafile: args.is_throw_away().then(|| args.root_file.display().to_string()),
            port: address.port(),
            has,
            state: args.state_path().map(|path| path.display().to_string()),
        }
    }
}

impl fmt::Display for Up {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        lines.line(
            "listening",
            format!(
                "{}, as AWS IoT Core does for account {} in {}",
                self.address, self.account, self.region
            ),
        );
        if let Some(alpn) = &self.alpn_address {
            lines.line("listening", format!("{alpn}, for ALPN x-amzn-mqtt-ca"));
        }
        for (label, value) in &self.has {
            lines.line(label, value);
        }
        if let Some(root) = &self.cafile {
            lines.line(
                "trust",
                format!("{root}, in place of Amazon's root CAs (RSA, then P-256)"),
            );
        }
        if let Some(state) = &self.state {
            lines.line("state", state);
        }
        if let Some(http) = &self.http {
            lines.line("page", format!("http://{http}"));
        }
        let root = self.cafile.as_deref().map_or_else(|| "ROOT".to_owned(), quoted);
        lines.line(
            "try",
            format!(
                "mosquitto_pub -h localhost -p {} --cafile {root} --cert chain.pem.crt --key private.pem.key -i ID -q 1 \
                 -t ID/test -m hello -d; the first time the connection is lost, so twice",
                self.port
            ),
        );
        writeln!(f, "{lines}")
    }
}

/// An event as a line; ids are cut short.
pub fn line(event: &Event) -> String {
    let nanoseconds = i128::from(event.at) * 1_000_000;
    let at = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let at = at.format(CLOCK).expect("every moment has a time of day");
    let who = match (&event.client_id, &event.name, &event.certificate_id) {
        (Some(client_id), Some(name), _) if client_id != name => format!("{client_id} ({name})"),
        (Some(name), ..) | (None, Some(name), _) => name.clone(),
        (None, None, Some(id)) => id[..8].to_owned(),
        (None, None, None) => event.peer.clone(),
    };
    let kind = match event.kind {
        EventKind::Refused => "REFUSED",
        kind => kind.as_str(),
    };
    // What devices call themselves is theirs, and does not move the cursor.
    let text = format!("{at}  {kind:12}  {who}  {}", event.text);
    format!("{}\n", printable::line(&text))
}
