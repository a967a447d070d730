//! The network, as far as AWS is reached over it: names, connections, TLS, the time that servers tell, and who the caller is.

use std::time::{Duration, Instant};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::net::{TcpStream, lookup_host};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::settings::without_user;
use super::{Check, Options};
use crate::issuer::{ENDPOINT_FILE, read_endpoint};
use crate::profile::rfc3339;
use crate::sdk;

/// How long each is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a clock may be off before somebody should know; and before AWS refuses what is signed with it.
const OFF: i64 = 30;
const FAR_OFF: i64 = 240;

const AREA: &str = "network";

pub(super) fn checks(options: &Options) -> Vec<Check> {
    if options.offline {
        let said = "nobody was asked (--offline)";
        return vec![Check::ok(AREA, "servers", said)];
    }
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            let said = format!("no thread can be started: {error}");
            return vec![Check::ok(AREA, "servers", said).bad("close other programs and try again")];
        }
    };
    let checks = runtime.block_on(ask(options));
    // A name that is still looked up is waited for by nobody.
    runtime.shutdown_background();
    checks
}

async fn ask(options: &Options) -> Vec<Check> {
    let mut checks = vec![credentials(options).await];
    let region = sdk::region_offline(&options.reach).await;
    let servers = servers(options, region.as_deref());
    if servers.is_empty() {
        let said = "no AWS Region is set, so that no server can be named";
        checks.push(Check::ok(AREA, "servers", said).warn("set AWS_REGION, or name one with --region"));
    }
    let mut has_clock = false;
    for url in servers {
        let told = server(&url).await;
        checks.extend(told.checks);
        if let (Some(theirs), false) = (told.date, has_clock) {
            checks.push(clock(theirs, &url));
            has_clock = true;
        }
    }
    if let Ok(Some(host)) = read_endpoint(&options.ca.join(ENDPOINT_FILE)) {
        checks.push(connects("endpoint of devices", &host, 8883).await);
    }
    checks
}

async fn credentials(options: &Options) -> Check {
    const AREA: &str = "credentials";
    match sdk::whoami(&options.reach, PATIENCE).await {
        Ok((source, Ok(caller))) => Check::ok(AREA, source.label(), format!("they are those of {caller}")),
        Ok((source, Err(why))) => Check::ok(
            AREA,
            source.label(),
            format!("there; nobody confirms them: {why}"),
        )
        .warn("see what is said of the network; or renew them, as for the AWS CLI"),
        Err(error @ sdk::SettingsError::NoCredentials { .. }) => {
            Check::ok(AREA, "AWS", error.to_string()).warn(error.hint())
        }
        Err(error) => Check::ok(AREA, "AWS", error.to_string()).bad(error.hint()),
    }
}

/// The servers that would be asked.
fn servers(options: &Options, region: Option<&str>) -> Vec<String> {
    let of_environment = std::env::var("AWS_ENDPOINT_URL")
        .ok()
        .filter(|url| !url.is_empty());
    if let Some(url) = options.reach.endpoint_url.clone().or(of_environment) {
        return vec![url];
    }
    let Some(region) = region else { return Vec::new() };
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    let services = ["sts", "iot"]
        .into_iter()
        .chain(options.bucket.as_ref().map(|_| "s3"));
    services
        .map(|service| format!("https://{service}.{region}.amazonaws.com{suffix}"))
        .collect()
}

/// What a server said.
struct Told {
    checks: Vec<Check>,
    date: Option<OffsetDateTime>,
}

async fn server(url: &str) -> Told {
    let shown = without_user(url);
    let mut checks = Vec::new();
    let has_proxy = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if !has_proxy && let Some((host, port)) = host_and_port(&shown) {
        let check = connects("server", &host, port).await;
        let is_there = check.hint.is_none();
        checks.push(check);
        if !is_there {
            return Told { checks, date: None };
        }
    }
    let begun = Instant::now();
    let answer = timeout(PATIENCE * 2, sdk::date_of(url)).await;
    let check = |said| Check::ok(AREA, format!("answer of {shown}"), said);
    let (check, date) = match answer {
        Ok(Ok(date)) => {
            let said = format!("it answers after {} ms", begun.elapsed().as_millis());
            (check(said), date)
        }
        Ok(Err(why)) => (
            check(why).bad(
                "TLS or HTTP fails: check AWS_CA_BUNDLE, the proxy (HTTPS_PROXY) and this machine's clock",
            ),
            None,
        ),
        Err(_) => (
            check("nothing came in time".to_owned()).warn("check the network and the proxy (HTTPS_PROXY)"),
            None,
        ),
    };
    checks.push(check);
    let date = date.and_then(|text| OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822).ok());
    Told { checks, date }
}

/// Whether a host has an address, and takes a connection.
async fn connects(what: &str, host: &str, port: u16) -> Check {
    let check = |said: String| Check::ok(AREA, format!("{what} {host}:{port}"), said);
    let addresses = match timeout(PATIENCE, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(error)) => {
            return check(format!("the name is not found: {error}")).warn(
                "without a network only folders can be used; else check the name servers and the name",
            );
        }
        Err(_) => {
            return check("no name server answers".to_owned())
                .warn("without a network only folders can be used; else check the name servers");
        }
    };
    let Some(address) = addresses.first() else {
        return check("the name has no address".to_owned()).warn("check the name");
    };
    match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => check(format!("{address} takes connections")),
        Ok(Err(error)) => check(format!("{address} takes no connection: {error}"))
            .warn("check the network: a firewall may let nobody out on this port"),
        Err(_) => check(format!("{address} does not answer"))
            .warn("check the network: a firewall may let nobody out on this port"),
    }
}

/// Host and port of a URL.
fn host_and_port(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?.trim_start_matches("***@");
    let usual = if scheme == "https" { 443 } else { 80 };
    if let Some((host, port)) = authority.rsplit_once(':')
        && let Ok(port) = port.parse()
    {
        return Some((host.trim_matches(['[', ']']).to_owned(), port));
    }
    Some((authority.trim_matches(['[', ']']).to_owned(), usual))
}

fn clock(theirs: OffsetDateTime, url: &str) -> Check {
    let now = OffsetDateTime::now_utc();
    let off = (now - theirs).whole_seconds();
    let said = match off.abs() <= OFF {
        true => format!("it agrees with {}", without_user(url)),
        false => format!(
            "it says {}, and {} says {}",
            rfc3339(now),
            without_user(url),
            rfc3339(theirs)
        ),
    };
    let check = Check::ok("clock", "against a server", said);
    let hint = "set this machine's clock (timedatectl set-ntp true)";
    match off.abs() {
        off if off <= OFF => check,
        off if off <= FAR_OFF => check.warn(hint),
        _ => check.bad(hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_where_its_url_says() {
        for (url, host, port) in [
            (
                "https://iot.eu-central-1.amazonaws.com",
                "iot.eu-central-1.amazonaws.com",
                443,
            ),
            ("http://localhost:4566/x", "localhost", 4566),
            ("http://***@proxy/", "proxy", 80),
            ("http://[::1]:9000", "::1", 9000),
        ] {
            assert_eq!(host_and_port(url), Some((host.to_owned(), port)), "{url}");
        }
    }

    #[test]
    fn a_clock_that_is_off_is_told() {
        use super::super::State;
        let now = OffsetDateTime::now_utc();
        for (seconds, state) in [
            (0, State::Ok),
            (-100, State::Warn),
            (3600, State::Bad),
            (-3600, State::Bad),
        ] {
            let theirs = now + time::Duration::seconds(seconds);
            assert_eq!(clock(theirs, "https://x").state, state, "{seconds}");
        }
    }
}
