//! JSON: where a device connects, and as whom.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Format, Sizes, Source, Unread, Value};
use crate::bundle::Content;

/// What `endpoint.json` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointFile<'a> {
    /// `None`: the bundle names no endpoint.
    pub host: Option<Cow<'a, str>>,
    pub port: u16,
    pub client_id: Cow<'a, str>,
    pub thing_name: Cow<'a, str>,
    pub region: Option<Cow<'a, str>>,
}

impl EndpointFile<'_> {
    pub(in crate::bundle) fn append(&self, out: &mut Vec<u8>) {
        serde_json::to_writer_pretty(&mut *out, self).expect("memory does not fail");
        out.push(b'\n');
    }
}

pub(super) struct Json;

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        match contents {
            [Content::Endpoint] => Ok(()),
            _ => Err("a JSON file holds the endpoint and nothing else".to_owned()),
        }
    }

    fn room(&self, _: &[Content], sizes: &Sizes) -> usize {
        sizes.endpoint
    }

    fn append(&self, _: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        source.endpoint().append(out);
    }

    fn read(&self, _: &[Content], octets: &[u8]) -> Result<Vec<Value>, Unread> {
        let found = serde_json::from_slice(octets).map_err(|_| Unread::Damaged)?;
        Ok(vec![Value::Endpoint(found)])
    }
}
