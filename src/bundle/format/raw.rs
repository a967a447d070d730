//! Raw: a file of the user's own, octet for octet.

use super::{Format, Sizes, Source, Unread, Value};
use crate::bundle::Content;

pub(super) struct Raw;

impl Format for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        match contents {
            [Content::File(_)] => Ok(()),
            _ => Err("a raw file holds one file of your own and nothing else".to_owned()),
        }
    }

    fn room(&self, contents: &[Content], sizes: &Sizes) -> usize {
        contents.iter().map(|content| sizes.of(content)).sum()
    }

    fn append(&self, contents: &[Content], _: &Source<'_>, out: &mut Vec<u8>) {
        for content in contents {
            if let Content::File(file) = content {
                out.extend_from_slice(file.octets().unwrap_or_default());
            }
        }
    }

    fn read(&self, _: &[Content], octets: &[u8]) -> Result<Vec<Value>, Unread> {
        Ok(vec![Value::File(octets.to_vec())])
    }
}
