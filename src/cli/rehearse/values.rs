//! Values on the command line of a rehearsal, read and checked.

use std::path::PathBuf;

use certforge::jitp::{is_account, is_region};
use certforge::rehearsal::{Sample, SecurityPolicy};
use time::Duration;

pub fn account_id(text: &str) -> Result<String, &'static str> {
    match is_account(text) {
        true => Ok(text.to_owned()),
        false => Err("an account has 12 digits, as in 123456789012"),
    }
}

pub fn region(text: &str) -> Result<String, &'static str> {
    match is_region(text) {
        true => Ok(text.to_owned()),
        false => Err("a Region has a name such as eu-central-1"),
    }
}

pub fn security_policy(text: &str) -> Result<SecurityPolicy, String> {
    SecurityPolicy::parse(text).ok_or_else(|| {
        let names = SecurityPolicy::ALL.map(SecurityPolicy::name);
        format!("AWS IoT has no such policy; it has {}", names.join(", "))
    })
}

pub fn name_and_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(path)))
        }
        _ => Err("say NAME=FILE, as in device-policy=policy.json".to_owned()),
    }
}

/// `-2h`, `90m`, `30d`, `10s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let refusal = || "say a number with s, m, h or d, as in -2h".to_owned();
    let unit = text.chars().last().ok_or_else(refusal)?;
    let number: i64 = text[..text.len() - unit.len_utf8()]
        .parse()
        .map_err(|_| refusal())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(refusal()),
    };
    number
        .checked_mul(seconds)
        // A century either way is as wrong as a clock gets.
        .filter(|seconds| seconds.abs() <= 100 * 366 * 86_400)
        .map(Duration::seconds)
        .ok_or_else(refusal)
}

/// Refuses a placeholder that nobody fills.
fn placeholders(text: &str, known: &[&str]) -> Result<String, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        if !known.contains(&name) {
            return Err(format!(
                "there is no placeholder {{{name}}}; use {}",
                known
                    .iter()
                    .map(|name| format!("{{{name}}}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        }
        rest = after;
    }
    Ok(text.to_owned())
}

pub fn topic(text: &str) -> Result<String, String> {
    placeholders(text, &["device_id", "serial_number", "thing_name", "client_id"])
}

/// A topic filter of one device that is at hand.
pub fn own_filter(text: &str) -> Result<String, String> {
    placeholders(text, &["thing_name", "client_id"])
}

pub fn client_id(text: &str) -> Result<String, String> {
    placeholders(text, &["device_id", "serial_number", "thing_name"])
}

pub fn sample(text: &str) -> Result<Sample, String> {
    match text {
        "all" => Ok(Sample::All),
        number => match number.parse() {
            Ok(0) | Err(_) => Err("say a number of devices, or all".to_owned()),
            Ok(n) => Ok(Sample::Some(n)),
        },
    }
}
