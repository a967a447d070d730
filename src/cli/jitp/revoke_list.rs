//! Lists of what is to be revoked, as people and other commands write them.

use std::collections::BTreeSet;
use std::path::Path;

use certforge::digest::sha256;
use certforge::manifest::DeviceId;
use certforge::pem;
use data_encoding::HEXLOWER;

use crate::cli::failure::Failure;
use crate::cli::input;

/// What somebody listed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pub devices: BTreeSet<String>,
    pub certificates: BTreeSet<[u8; 32]>,
}

impl Listed {
    /// Adds a certificate by its id.
    pub fn add_certificate(&mut self, text: &str) -> Result<(), Failure> {
        let id = certificate_id(text).ok_or_else(|| {
            Failure::usage(
                &format!("{text:?} is no certificate id"),
                "give its 64 hexadecimal digits: the SHA-256 of the certificate, AWS IoT's certificateId",
            )
        })?;
        self.certificates.insert(id);
        Ok(())
    }

    /// Adds what a cell of no known column is: a certificate by its id, or a device.
    fn add(&mut self, text: &str) -> Result<(), String> {
        if let Some(id) = certificate_id(text) {
            self.certificates.insert(id);
            return Ok(());
        }
        match DeviceId::parse(text) {
            Ok(_) => {
                self.devices.insert(text.to_owned());
                Ok(())
            }
            Err(reason) => Err(format!(
                "{text:?} is neither a device id ({reason}) nor a certificate id"
            )),
        }
    }
}

fn certificate_id(text: &str) -> Option<[u8; 32]> {
    let text = text.trim().to_ascii_lowercase();
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// Reads a list from a file, or from standard input.
pub fn read(path: &Path, listed: &mut Listed) -> Result<(), Failure> {
    let told = |problem: String| {
        Failure::usage(
            &format!("{}: {problem}; nothing was revoked", input::name(path)),
            "list device ids or certificate ids, one a line; a CSV with a column certificate_id or device_id; or certificates, PEM",
        )
    };
    let text = input::text(path).map_err(|error| told(format!("it cannot be read: {error}")))?;
    parse(&text, listed).map_err(told)
}

fn parse(text: &str, listed: &mut Listed) -> Result<(), String> {
    if text.contains("-----BEGIN ") {
        let blocks = pem::blocks(text).map_err(|error| error.to_string())?;
        for block in blocks {
            if block.label != pem::CERTIFICATE {
                return Err(format!("a PEM block is a {:?} and no certificate", block.label));
            }
            listed.certificates.insert(sha256(&block.der));
        }
        return Ok(());
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let mut column = None;
    for (number, record) in reader.records().enumerate() {
        let record = record.map_err(|error| error.to_string())?;
        let named = |name: &str| record.iter().position(|cell| cell == name);
        if number == 0
            && let Some(found) = named("certificate_id").or_else(|| named("device_id"))
        {
            column = Some(found);
            continue;
        }
        if column.is_none() && record.len() > 1 {
            return Err("there are several columns, and the first line names none of them certificate_id or device_id".to_owned());
        }
        let line = record.position().map_or(0, csv::Position::line);
        let cell = record.get(column.unwrap_or(0)).unwrap_or_default();
        listed
            .add(cell)
            .map_err(|problem| format!("line {line}: {problem}"))?;
    }
    match listed.devices.is_empty() && listed.certificates.is_empty() {
        true => Err("it lists nothing".to_owned()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_and_other_commands_write() {
        let id = "0a".repeat(32);
        let of_devices = |ids: &[&str]| Listed {
            devices: ids.iter().map(|&id| id.to_owned()).collect(),
            certificates: BTreeSet::new(),
        };
        let of_certificate = || Listed {
            devices: BTreeSet::new(),
            certificates: BTreeSet::from([[10; 32]]),
        };
        for (text, expected) in [
            ("SN1\nSN2\n", of_devices(&["SN1", "SN2"])),
            ("\u{feff}# stolen\r\nSN1\r\n\r\n", of_devices(&["SN1"])),
            (&format!("{}\n", id.to_uppercase()), of_certificate()),
            (
                &format!("device_id,certificate_id,at\nSN1,{id},2026\n"),
                of_certificate(),
            ),
            ("site,device_id\nLyon,SN1\n", of_devices(&["SN1"])),
        ] {
            let mut listed = Listed::default();
            parse(text, &mut listed).unwrap();
            assert_eq!(listed, expected, "{text}");
        }
        let certificate = pem::encode(pem::CERTIFICATE, b"any octets");
        let mut listed = Listed::default();
        parse(&format!("# SN1\n{certificate}"), &mut listed).unwrap();
        assert!(listed.certificates.contains(&sha256(b"any octets")));
        let key = pem::encode("PRIVATE KEY", b"any octets");
        for (text, problem) in [
            ("", "it lists nothing"),
            ("SN1\nSN/2\n", "line 2: \"SN/2\" is neither"),
            ("SN1,Lyon\n", "several columns"),
            (&key, "no certificate"),
        ] {
            let told = parse(text, &mut Listed::default()).unwrap_err();
            assert!(told.contains(problem), "{told}");
        }
    }
}
