//! PEM (RFC 7468): texts with several blocks are read, single blocks are written.

use std::ops::Range;

use pem_rfc7468::LineEnding;
use zeroize::Zeroizing;

pub const CERTIFICATE: &str = "CERTIFICATE";
pub const PRIVATE_KEY: &str = "PRIVATE KEY";

/// A PEM block: its label and what it encodes.
#[derive(Clone)]
pub struct Block {
    pub label: String,
    pub der: Zeroizing<Vec<u8>>,
}

/// Why a text is not PEM that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    #[error("a PEM block is damaged")]
    Malformed,
    #[error("a PEM block is encrypted in the old way (Proc-Type)")]
    LegacyEncryption,
}

/// The blocks of a PEM text, in order. Text outside the blocks, such as openssl writes, is passed over.
///
/// # Errors
///
/// When a block is damaged or encrypted in the way that came before PKCS#8.
pub fn blocks(text: &str) -> Result<Vec<Block>, PemError> {
    const BEGIN: &str = "-----BEGIN ";
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        let body = &rest[start..];
        let (label, _) = body[BEGIN.len()..]
            .split_once("-----")
            .ok_or(PemError::Malformed)?;
        let end_line = format!("-----END {label}-----");
        let end = body.find(&end_line).ok_or(PemError::Malformed)? + end_line.len();
        if body[..end].contains("Proc-Type:") {
            return Err(PemError::LegacyEncryption);
        }
        // EC PARAMETERS, which `openssl ecparam -genkey` writes first, says nothing that the key lacks.
        if label != "EC PARAMETERS" {
            let (label, der) =
                pem_rfc7468::decode_vec(&body.as_bytes()[..end]).map_err(|_| PemError::Malformed)?;
            blocks.push(Block {
                label: label.to_owned(),
                der: Zeroizing::new(der),
            });
        }
        rest = &body[end..];
    }
    Ok(blocks)
}

/// Appends DER as a PEM block with lines of 64 characters. Takes the same time for every key.
///
/// # Panics
///
/// When the label is not one.
pub fn append(label: &str, der: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let len = pem_rfc7468::encoded_len(label, LineEnding::LF, der).expect("the label is valid");
    out.resize(start + len, 0);
    pem_rfc7468::encode(label, LineEnding::LF, der, &mut out[start..]).expect("the length is right");
}

/// Octets of a PEM block with so many octets in it.
#[must_use]
pub fn len(label: &str, octets: usize) -> usize {
    let boundaries = "-----BEGIN -----\n-----END -----\n".len() + 2 * label.len();
    boundaries + octets.div_ceil(3) * 4 + octets.div_ceil(48)
}

/// Appends a certificate as a PEM block, as [`append`] does, and faster: what it says is public.
pub fn append_certificate(der: &[u8], out: &mut Vec<u8>) {
    /// What gives a line of 64 characters.
    const OCTETS: usize = 48;
    out.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
    let characters = der.len().div_ceil(3) * 4;
    let start = out.len();
    out.resize(start + characters + der.len().div_ceil(OCTETS), b'\n');
    for (line, octets) in out[start..].chunks_mut(65).zip(der.chunks(OCTETS)) {
        let encoded = base64_simd::STANDARD.encode(octets, base64_simd::Out::from_slice(line));
        debug_assert_eq!(encoded.len() + 1, line.len(), "a line break is left");
    }
    out.extend_from_slice(b"-----END CERTIFICATE-----\n");
}

/// The certificates of octets that are blocks as [`append_certificate`] writes them and nothing else, as DER, and where
/// each block is. `None` when they are anything else, which may be PEM all the same.
#[must_use]
pub fn written_certificates(octets: &[u8]) -> Option<Vec<(Range<usize>, Vec<u8>)>> {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----\n";
    const END: &[u8] = b"-----END CERTIFICATE-----\n";
    let mut found = Vec::new();
    let (mut start, mut again) = (0, Vec::new());
    while start < octets.len() {
        let body = octets[start..].strip_prefix(BEGIN)?;
        // Base64 has no hyphen.
        let lines = &body[..memchr::memchr(b'-', body)?];
        let end = start + BEGIN.len() + lines.len() + END.len();
        let mut der = vec![0; lines.len() / 4 * 3];
        let mut len = 0;
        for line in lines.split_inclusive(|octet| *octet == b'\n') {
            let line = line.strip_suffix(b"\n")?;
            let out = base64_simd::Out::from_slice(&mut der[len..]);
            len += base64_simd::STANDARD.decode(line, out).ok()?.len();
        }
        der.truncate(len);
        // Whatever else a decoder lets pass.
        again.clear();
        append_certificate(&der, &mut again);
        if octets.get(start..end) != Some(&again) {
            return None;
        }
        found.push((start..end, der));
        start = end;
    }
    Some(found)
}

/// DER as a PEM block of its own.
#[must_use]
pub fn encode(label: &str, der: &[u8]) -> String {
    let mut out = Vec::new();
    append(label, der, &mut out);
    String::from_utf8(out).expect("PEM is ASCII")
}

/// The certificates of a PEM file, as DER; none when it is damaged.
#[must_use]
pub fn certificates(octets: &[u8]) -> Vec<Vec<u8>> {
    let text = std::str::from_utf8(octets).unwrap_or_default();
    let blocks = blocks(text).unwrap_or_default();
    let certificates = blocks.iter().filter(|block| block.label == CERTIFICATE);
    certificates.map(|block| block.der.to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_what_it_wrote(ders in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..4)) {
            let mut text = b"subject=/CN=x\n".to_vec();
            for der in &ders {
                append(CERTIFICATE, der, &mut text);
                text.extend_from_slice(b"\n# between\n");
            }
            let read = blocks(&String::from_utf8(text).unwrap()).unwrap();
            let read: Vec<_> = read.iter().map(|block| block.der.to_vec()).collect();
            prop_assert_eq!(read, ders);
        }
    }

    proptest! {
        #[test]
        fn certificates_are_written_alike_both_ways(der in prop::collection::vec(any::<u8>(), 1..700)) {
            let mut quick = b"before".to_vec();
            append_certificate(&der, &mut quick);
            prop_assert_eq!(quick.len() - 6, len(CERTIFICATE, der.len()));
            prop_assert_eq!(String::from_utf8(quick[6..].to_vec()).unwrap(), encode(CERTIFICATE, &der));
        }
    }

    proptest! {
        #[test]
        fn certificates_as_written_are_found_where_they_are_and_others_are_not_as_written(
            ders in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..4),
            at in any::<prop::sample::Index>(),
            bit in 0u8..7,
        ) {
            let mut text = Vec::new();
            for der in &ders {
                append_certificate(der, &mut text);
            }
            let found = written_certificates(&text).unwrap();
            prop_assert_eq!(found.iter().map(|(_, der)| der).collect::<Vec<_>>(), ders.iter().collect::<Vec<_>>());
            for (place, der) in found {
                prop_assert!(text[place] == *encode(CERTIFICATE, &der).as_bytes());
            }
            if !text.is_empty() {
                let at = at.index(text.len());
                prop_assert!(at == 0 || ders.len() > 1 || written_certificates(&text[..at]).is_none());
                text[at] ^= 1u8 << bit;
                let found = written_certificates(&text).unwrap_or_default();
                let found: Vec<_> = found.into_iter().map(|(_, der)| der).collect();
                prop_assert!(found.is_empty() || found == certificates(&text));
            }
        }
    }

    #[test]
    fn names_what_it_cannot_read() {
        let legacy =
            "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END EC PRIVATE KEY-----\n";
        assert_eq!(blocks(legacy).err(), Some(PemError::LegacyEncryption));
        assert_eq!(
            blocks("-----BEGIN X-----\nAAAA\n").err(),
            Some(PemError::Malformed)
        );
        assert!(blocks("no PEM at all").unwrap().is_empty());
    }
}
