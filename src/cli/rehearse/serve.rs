//! `certforge rehearse --serve`: the endpoint, for real firmware.

use std::fs;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use certforge::pem;
use certforge::rehearsal::{self, Event, Kind};
use certforge::shell::quoted;
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use super::batch::{IS_CANCELLED, handle_interrupts};
use super::endpoint::{EndpointArgs, Ready};
use crate::cli::text::Report;
use crate::cli::{Failure, Outcome, ca, print, print_json};

/// MQTT over TLS.
const PORT: u16 = 8883;

const CLOCK: &[FormatItem<'static>] = format_description!("[hour]:[minute]:[second].[subsecond digits:3]Z");

pub fn run(args: &EndpointArgs, json: bool) -> Outcome {
    if args.is_dead_end() {
        return Err(Failure::usage(
            "with --jitr certificates stay pending, and nothing could activate them",
            "give --state FILE, so that `certforge rehearse activate` can, or --allow-list BATCH",
        ));
    }
    let named = args.authorities()?;
    let authorities = match named.is_empty() {
        false => named,
        true => vec![super::endpoint::authority(Path::new(ca::DEFAULT_FOLDER))?],
    };
    let here = SocketAddr::from(([127, 0, 0, 1], PORT));
    let listener = move |event: &Event| match json {
        true => print(&format!(
            "{}\n",
            serde_json::to_string(event).expect("it has only text keys")
        )),
        false => print(&line(event)),
    };
    let ready = args.prepare(authorities, None, None, here, Box::new(listener))?;
    if args.is_throw_away() {
        write_root(&args.root_file, &ready.root)?;
    }
    let address = ready.listening.mqtt.local_addr().expect("it is bound");
    match json {
        true => print_json(&describe_json(args, &ready, address)),
        false => print(&describe(args, &ready, address)),
    }
    handle_interrupts();
    rehearsal::serve(&ready.endpoint, ready.listening, || {
        IS_CANCELLED.load(Ordering::Relaxed)
    })?;
    if !json && std::io::stdout().is_terminal() {
        print("\n");
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the root that devices must trust, whole or not at all.
fn write_root(path: &Path, der: &[u8]) -> Result<(), Failure> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    let root = pem::encode(pem::CERTIFICATE, der);
    let written = fs::write(&new, root).and_then(|()| fs::rename(&new, path));
    written.map_err(|error| {
        Failure::usage(
            &format!("{} cannot be written: {error}", path.display()),
            "devices need this root; name a file that you may write with --root-file",
        )
    })
}

fn describe(args: &EndpointArgs, ready: &Ready, address: SocketAddr) -> String {
    let mut report = Report::default();
    report.line(
        "listening",
        format!(
            "{address}, as AWS IoT Core does for account {} in {}",
            ready.home.account, ready.home.region
        ),
    );
    if let Some(alpn) = ready
        .listening
        .alpn
        .as_ref()
        .and_then(|listener| listener.local_addr().ok())
    {
        report.line("listening", format!("{alpn}, for ALPN x-amzn-mqtt-ca"));
    }
    for authority in &ready.authorities {
        report.line(
            "CA",
            format!("{}, registered and ACTIVE", authority.subject_text()),
        );
    }
    if let Some(path) = args.template_path() {
        report.line("template", path.display().to_string());
    }
    if args.is_jitr() {
        report.line("activation", args.activation());
    }
    if args.is_throw_away() {
        report.line(
            "trust",
            format!("{}, in place of Amazon's root CAs", args.root_file.display()),
        );
    }
    if let Some(path) = args.state_path() {
        report.line("state", path.display().to_string());
    }
    if let Some(http) = ready
        .listening
        .http
        .as_ref()
        .and_then(|listener| listener.local_addr().ok())
    {
        report.line("page", format!("http://{http}"));
    }
    let root = match args.is_throw_away() {
        true => quoted(&args.root_file.display().to_string()),
        false => "ROOT".into(),
    };
    report.line(
        "try",
        format!(
            "mosquitto_pub -h localhost -p {} --cafile {root} --cert chain.pem.crt --key private.pem.key -i ID -q 1 \
             -t ID/test -m hello -d; the first time the connection is lost, so twice",
            address.port()
        ),
    );
    format!("{report}\n")
}

fn describe_json(args: &EndpointArgs, ready: &Ready, address: SocketAddr) -> serde_json::Value {
    let of = |listener: &Option<std::net::TcpListener>| {
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        address.map(|address| address.to_string())
    };
    serde_json::json!({
        "address": address.to_string(),
        "alpn_address": of(&ready.listening.alpn),
        "http": of(&ready.listening.http),
        "account": ready.home.account,
        "region": ready.home.region,
        "cafile": args.is_throw_away().then(|| args.root_file.display().to_string()),
    })
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
        Kind::Refused => "REFUSED",
        kind => kind.as_str(),
    };
    // What devices call themselves is theirs, and does not move the cursor.
    let text: String = format!("{at}  {kind:12}  {who}  {}", event.text)
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    format!("{text}\n")
}
