//! Batches with known faults, to show that the judge refuses them.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};

use super::{ENDPOINT, ISSUER, Row, rows, run};
use crate::judge::{judge, openssl};
use crate::support::{Workplace, tool};

/// A bundle taken apart, and its row.
pub struct Bundle {
    pub row: Row,
    pub members: Vec<(String, Vec<u8>)>,
}

impl Bundle {
    pub fn read(batch: &Path, row: &Row) -> Self {
        let octets = fs::read(batch.join(&row.object)).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(octets)).unwrap();
        let members = (0..archive.len())
            .map(|i| {
                let mut member = archive.by_index(i).unwrap();
                let mut content = Vec::new();
                member.read_to_end(&mut content).unwrap();
                (member.name().unwrap().into_owned(), content)
            })
            .collect();
        Self {
            row: row.clone(),
            members,
        }
    }

    /// Puts the bundle together again, and has the row tell the truth about its octets.
    pub fn write(&mut self, batch: &Path) {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in &self.members {
            let options = zip::write::SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Stored)
                .unix_permissions(0o600);
            writer.start_file(name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        self.write_octets(batch, &writer.finish().unwrap().into_inner());
    }

    pub fn write_octets(&mut self, batch: &Path, octets: &[u8]) {
        fs::write(batch.join(&self.row.object), octets).unwrap();
        self.row.length = octets.len();
        self.row.sha256 = HEXLOWER.encode(digest(&SHA256, octets).as_ref());
    }

    pub fn member(&mut self, name: &str) -> &mut Vec<u8> {
        let (_, content) = self.members.iter_mut().find(|(other, _)| other == name).unwrap();
        content
    }

    /// Another certificate in place of the bundle's, with a row to match.
    pub fn set_certificate(&mut self, der: &[u8], issuer: &str) {
        let pem = pem_rfc7468::encode_string("CERTIFICATE", pem_rfc7468::LineEnding::LF, der).unwrap();
        *self.member("chain.pem.crt") = format!("{pem}{issuer}").into_bytes();
        *self.member("certificate.pem.crt") = pem.into_bytes();
        self.row.certificate_id = HEXLOWER.encode(digest(&SHA256, der).as_ref());
    }

    pub fn certificate(&mut self) -> Vec<u8> {
        pem_rfc7468::decode_vec(self.member("certificate.pem.crt"))
            .unwrap()
            .1
    }
}

/// A batch of four in a workplace of its own, to do harm to.
pub struct Victim {
    pub workplace: Workplace,
    pub batch: PathBuf,
    pub rows: Vec<Row>,
}

impl Victim {
    pub fn new() -> Self {
        let workplace = Workplace::new();
        workplace.manifest(4);
        let batch = run(&workplace, &[]);
        let rows = rows(&batch);
        Self {
            workplace,
            batch,
            rows,
        }
    }

    /// A copy of the batch in which the first two bundles are changed; all digests are right again.
    pub fn harmed(&self, name: &str, harm: &dyn Fn(&mut Bundle, &mut Bundle)) -> PathBuf {
        let batch = self.copy(name);
        let mut first = Bundle::read(&batch, &self.rows[0]);
        let mut second = Bundle::read(&batch, &self.rows[1]);
        harm(&mut first, &mut second);
        first.write(&batch);
        second.write(&batch);
        write_rows(&batch, &[&[first.row, second.row], &self.rows[2..]].concat());
        batch
    }

    /// A certificate for the second device as certforge would make it, but with this key and serial.
    pub fn certificate(&self, key: &[u8], serial: &str) -> Vec<u8> {
        let folder = self.workplace.path();
        let extensions = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
                          extendedKeyUsage=clientAuth\nsubjectKeyIdentifier=none\nauthorityKeyIdentifier=keyid\n";
        let key_path = self.workplace.join("device.key");
        fs::write(&key_path, key).unwrap();
        let spki = openssl(&["pkey", "-in", "device.key", "-pubout"], folder);
        let spki = pem_rfc7468::decode_vec(spki.as_bytes()).unwrap().1;
        // The public point is the last 65 octets of a P-256 SubjectPublicKeyInfo.
        let identifier = HEXLOWER.encode(&digest(&SHA256, &spki[spki.len() - 65..]).as_ref()[..20]);
        let extensions = extensions.replace("none", &identifier);
        fs::write(self.workplace.join("extensions"), extensions).unwrap();
        let request = [
            "req",
            "-new",
            "-key",
            "device.key",
            "-subj",
            "/CN=SN000001",
            "-out",
            "device.csr",
        ];
        openssl(&request, folder);
        let sign = [
            "x509",
            "-req",
            "-in",
            "device.csr",
            "-days",
            "30",
            "-outform",
            "DER",
            "-out",
            "device.der",
        ];
        let ca = [
            "-CA",
            "ca/certificate.pem",
            "-CAkey",
            "ca/key.pem",
            "-extfile",
            "extensions",
        ];
        let serial = format!("0x{serial}");
        openssl(&[&sign[..], &ca, &["-set_serial", &serial]].concat(), folder);
        fs::read(self.workplace.join("device.der")).unwrap()
    }

    pub fn copy(&self, name: &str) -> PathBuf {
        let batch = self.workplace.join(name);
        let (from, to) = (self.batch.to_str().unwrap(), batch.to_str().unwrap());
        assert!(tool("cp", &["-r", from, to], Path::new(".")).status.success());
        batch
    }

    pub fn judge_refuses(&self, batch: &Path, message: &str) {
        self.judge_refuses_with(batch, &[&ISSUER[..], &ENDPOINT].concat(), message);
    }

    pub fn judge_refuses_with(&self, batch: &Path, arguments: &[&str], message: &str) {
        let output = judge(batch, arguments, self.workplace.path());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{}: {stderr}", batch.display());
        assert!(
            stderr.starts_with("judge: ") && stderr.contains(message),
            "{}: {stderr}, not {message}",
            batch.display()
        );
        assert!(output.stdout.is_empty());
    }
}

pub fn write_rows(batch: &Path, rows: &[Row]) {
    let mut writer = csv::Writer::from_path(batch.join("index/000000.csv")).unwrap();
    for row in rows {
        writer.serialize(row).unwrap();
    }
    writer.flush().unwrap();
}
