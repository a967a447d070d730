//! Raw: a file of the user's own, or a secret of the device, octet for octet.

use zeroize::Zeroizing;

use super::{Beside, Format, Sizes, Source, Unread, Value};
use crate::bundle::Content;

pub(super) struct Raw;

impl Format for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        match contents {
            [Content::File(_) | Content::Drawn(_)] => Ok(()),
            _ => Err("a raw file holds one file of your own and nothing else".to_owned()),
        }
    }

    fn room(&self, contents: &[Content], sizes: &Sizes<'_>) -> usize {
        contents.iter().map(|content| sizes.of(content)).sum()
    }

    fn append(&self, contents: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        for content in contents {
            out.extend_from_slice(match content {
                Content::File(file) => file.octets().unwrap_or_default(),
                Content::Drawn(drawn) => source.secrets.of(*drawn).unwrap_or_default(),
                _ => &[],
            });
        }
    }

    fn read(&self, contents: &[Content], octets: &[u8], _: &Beside<'_>) -> Result<Vec<Value>, Unread> {
        Ok(vec![match contents {
            [Content::Drawn(drawn)] if octets.len() != drawn.octets() => return Err(Unread::Damaged),
            [Content::Drawn(_)] => Value::Drawn(Zeroizing::new(octets.to_vec())),
            _ => Value::File(octets.to_vec()),
        }])
    }
}
