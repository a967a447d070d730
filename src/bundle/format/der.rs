//! DER: one key or one certificate, and nothing else.

use zeroize::Zeroizing;

use super::{Beside, Format, Sizes, Source, Unread, Value, refuse_formless};
use crate::bundle::Content;

pub(super) struct Der;

impl Format for Der {
    fn name(&self) -> &'static str {
        "der"
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        refuse_formless(contents)?;
        match contents {
            [Content::Chain] => Err("a chain has no DER form".to_owned()),
            [_] => Ok(()),
            several => Err(format!(
                "a DER file holds one content, not {}; use pem, or a file for each",
                several.len()
            )),
        }
    }

    fn room(&self, contents: &[Content], sizes: &Sizes<'_>) -> usize {
        contents.iter().map(|content| sizes.of(content)).sum()
    }

    fn append(&self, contents: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        for content in contents {
            out.extend_from_slice(match content {
                Content::PrivateKey => source.credential.private_key,
                Content::Certificate => source.credential.certificate,
                Content::Issuer => &source.shared.issuer,
                Content::Root(root) => root.der(),
                Content::Chain | Content::Endpoint | Content::File(_) | Content::Drawn(_) => &[],
            });
        }
    }

    fn read(&self, contents: &[Content], octets: &[u8], _: &Beside<'_>) -> Result<Vec<Value>, Unread> {
        let value = |content: &Content| match content {
            Content::PrivateKey => Value::PrivateKey(Zeroizing::new(octets.to_vec())),
            _ => Value::Certificates(vec![octets.to_vec()]),
        };
        Ok(contents.iter().map(value).collect())
    }
}
