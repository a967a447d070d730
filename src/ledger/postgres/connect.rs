//! How a server is reached: its URL, the usual variables (`PGHOST`, `PGPORT`, `PGUSER`, `PGDATABASE`, `PGPASSWORD`,
//! `PGPASSFILE`, `PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT`, `PGSSLKEY`, `PGCONNECT_TIMEOUT`), and TLS.
//!
//! A server on another machine is spoken to over TLS and has to prove its name, unless `sslmode=disable` says otherwise.
//! There is nothing between the two: who encrypts without asking whom for does not know who reads along.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::passfile;
use crate::ledger::{LedgerError, ServerUrl};

/// A server does not answer for so long before it counts as away.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Options of a URL that are ours to read, with their variables. The others are the driver's.
const OURS: [(&str, &str); 5] = [
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("passfile", "PGPASSFILE"),
];

/// What it takes to open a connection, again and again.
pub(super) struct Server {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    /// As the user named it.
    location: String,
}

impl Server {
    /// # Errors
    ///
    /// When the URL, a variable or a file that they name cannot be used. Nothing is asked of the server yet.
    pub(super) fn new(url: &ServerUrl) -> Result<Self, LedgerError> {
        let location = url.as_str().to_owned();
        let wrong = |what: String| LedgerError::Address {
            location: location.clone(),
            what,
        };
        let (url, mut ours) = split(url.as_str()).map_err(wrong)?;
        for (option, variable) in OURS {
            if let Some(value) = env::var(variable).ok().filter(|value| !value.is_empty()) {
                ours.entry(option).or_insert(value);
            }
        }
        let mut config: Config = url
            .parse()
            .map_err(|error: postgres::Error| wrong(said(&error)))?;
        complete(&mut config).map_err(wrong)?;
        if config.get_password().is_none() {
            let given = ours.get("passfile").map(PathBuf::from);
            let found = passfile::password(&config, given.as_deref()).map_err(wrong)?;
            if let Some(password) = found {
                config.password(password);
            }
        }
        let is_here = config.get_hosts().iter().all(is_of_this_machine);
        let tls = match (ours.get("sslmode").map(String::as_str), is_here) {
            (Some("disable"), _) | (None | Some("allow" | "prefer"), true) => None,
            (None | Some("require" | "verify-full"), _) => Some(tls(&ours).map_err(wrong)?),
            (Some(other), _) => {
                return Err(wrong(format!(
                    "sslmode is disable, require or verify-full, and not {other:?}"
                )));
            }
        };
        config.ssl_mode(if tls.is_some() {
            SslMode::Require
        } else {
            SslMode::Disable
        });
        Ok(Self {
            config,
            tls,
            location,
        })
    }

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    pub(super) fn connect(&self) -> Result<Client, postgres::Error> {
        let mut client = match &self.tls {
            Some(tls) => self.config.connect(tls.clone()),
            None => self.config.connect(NoTls),
        }?;
        // Whatever the server's default is: what is committed is durable. A host that is stopped in the midst of a transaction
        // holds up the others no longer than this.
        client.batch_execute(
            "SET synchronous_commit = on; SET search_path = certforge; SET client_min_messages = warning; \
             SET idle_in_transaction_session_timeout = '5s'; SET lock_timeout = '6s'; SET statement_timeout = 0",
        )?;
        Ok(client)
    }
}

/// What an error says, with what is behind it.
fn said(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// The URL without the options that are ours, and those.
fn split(url: &str) -> Result<(String, BTreeMap<&'static str, String>), String> {
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    let (mut ours, mut others) = (BTreeMap::new(), Vec::new());
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = percent_decode_str(value).decode_utf8();
        match OURS.iter().find(|(known, _)| *known == name) {
            Some((known, _)) => {
                let value = value.map_err(|_| format!("{name} is no UTF-8"))?;
                ours.insert(*known, value.into_owned());
            }
            None => others.push(option),
        }
    }
    let url = match others.is_empty() {
        true => address.to_owned(),
        false => format!("{address}?{}", others.join("&")),
    };
    Ok((url, ours))
}

/// Fills in what the URL leaves open: from the usual variables, else as PostgreSQL's own programs do.
fn complete(config: &mut Config) -> Result<(), String> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    if config.get_hosts().is_empty() {
        let host = variable("PGHOST").unwrap_or_else(|| "/var/run/postgresql".to_owned());
        for host in host.split(',') {
            config.host(host);
        }
    }
    if config.get_ports().is_empty()
        && let Some(ports) = variable("PGPORT")
    {
        for port in ports.split(',') {
            let port = port
                .parse()
                .map_err(|_| format!("PGPORT {port:?} is no number of a port"))?;
            config.port(port);
        }
    }
    if config.get_user().is_none() {
        let user = variable("PGUSER").or_else(|| variable("USER"));
        let user = user.ok_or("it names no user: postgres://user@host/database, or PGUSER")?;
        config.user(&user);
    }
    if config.get_dbname().is_none() {
        let user = config.get_user().map(str::to_owned);
        let database = variable("PGDATABASE").or(user).unwrap_or_default();
        config.dbname(&database);
    }
    if config.get_password().is_none()
        && let Some(password) = variable("PGPASSWORD")
    {
        config.password(password);
    }
    if config.get_connect_timeout().is_none() {
        let seconds = match variable("PGCONNECT_TIMEOUT") {
            Some(text) => Duration::from_secs(
                text.parse()
                    .map_err(|_| format!("PGCONNECT_TIMEOUT {text:?} is no number of seconds"))?,
            ),
            None => TIMEOUT,
        };
        config.connect_timeout(seconds);
    }
    // By this name a session is found that is stuck.
    config.application_name("certforge");
    // A server whose machine has gone says nothing: the kernel has to ask.
    config
        .tcp_user_timeout(2 * TIMEOUT)
        .keepalives_idle(TIMEOUT)
        .keepalives_interval(TIMEOUT / 4)
        .keepalives_retries(4);
    Ok(())
}

fn is_of_this_machine(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
    }
}

/// TLS as verify-full has it: under the roots of `sslrootcert`, or those that the system trusts.
fn tls(ours: &BTreeMap<&'static str, String>) -> Result<MakeRustlsConnect, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = ours.get("sslrootcert").filter(|file| *file != "system") {
        for certificate in certificates("sslrootcert", file)? {
            let added = roots.add(certificate);
            added.map_err(|error| format!("sslrootcert {file} cannot be used: {error}"))?;
        }
    } else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
    }
    if roots.is_empty() {
        return Err(
            "there is no root to hold the server's certificate against: name it with sslrootcert=FILE"
                .to_owned(),
        );
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let config = match (ours.get("sslcert"), ours.get("sslkey")) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let chain = certificates("sslcert", certificate)?;
            let own = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("sslkey {key} cannot be read: {error}"))?;
            builder
                .with_client_auth_cert(chain, own)
                .map_err(|error| format!("sslcert {certificate} and sslkey {key} cannot be used: {error}"))?
        }
        _ => return Err("sslcert and sslkey go together".to_owned()),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn certificates(option: &str, file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(format!("{option} {file} holds no certificate")),
        Err(error) => Err(format!("{option} {file} cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LedgerName;

    fn server(url: &str) -> Result<Server, LedgerError> {
        match url.parse().unwrap() {
            LedgerName::Server(url) => Server::new(&url),
            LedgerName::File(_) => unreachable!(),
        }
    }

    #[test]
    fn a_server_elsewhere_is_spoken_to_over_tls_alone() {
        for (url, is_tls) in [
            ("postgres://forge@db.factory/c", true),
            ("postgres://forge@db.factory/c?sslmode=require", true),
            (
                "postgres://forge@db.factory/c?sslmode=verify-full&application_name=x",
                true,
            ),
            ("postgres://forge@db.factory/c?sslmode=disable", false),
            ("postgres://forge@127.0.0.1/c", false),
            ("postgres://forge@127.0.0.1/c?sslmode=verify-full", true),
            ("postgres://forge@localhost:5433/c", false),
            ("postgres://forge@/c?host=/run/postgresql", false),
        ] {
            let server = server(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(server.tls.is_some(), is_tls, "{url}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_an_address() {
        for (url, says) in [
            (
                "postgres://forge@db/c?sslmode=prefer",
                "sslmode is disable, require or verify-full",
            ),
            ("postgres://forge@db/c?sslmode=verify-ca", "and not \"verify-ca\""),
            (
                "postgres://forge@db/c?sslrootcert=/not/there.pem",
                "sslrootcert /not/there.pem cannot be read",
            ),
            (
                "postgres://forge@db/c?sslcert=/x.pem&sslmode=require",
                "sslcert and sslkey go together",
            ),
            ("postgres://forge@db:port/c", "invalid"),
            ("postgres://forge@db/c?colour=red", "colour"),
        ] {
            let error = match server(url) {
                Err(error) => said(&error),
                Ok(_) => panic!("{url} is none"),
            };
            assert!(error.contains(says), "{url}: {error}");
        }
    }
}
