//! JSON: where a device connects, and as whom; or fields of the user's own, with columns, keys and certificates.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Any;
use zeroize::Zeroizing;

use super::text::{MOST_OF_COLUMNS, content_of};
use super::{Beside, Format, Settings, Sizes, Source, Text, Unread, Value, pem};
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

/// The endpoint, as it always is.
pub(super) struct Json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    fields: serde_json::Map<String, Any>,
}

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn with(&self, settings: &Settings) -> Result<Option<Arc<dyn Format>>, String> {
        if settings.is_empty() {
            return Ok(None);
        }
        let written: Written = settings.read()?;
        if written.fields.is_empty() {
            return Err("fields are empty".to_owned());
        }
        Ok(Some(Arc::new(Fields {
            root: Node::Object(Node::of_fields(written.fields)),
        })))
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        match contents {
            [Content::Endpoint] => Ok(()),
            _ => Err("a JSON file holds the endpoint, or has fields of its own".to_owned()),
        }
    }

    fn room(&self, _: &[Content], sizes: &Sizes<'_>) -> usize {
        sizes.endpoint
    }

    fn append(&self, _: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        source.endpoint().append(out);
    }

    fn read(&self, _: &[Content], octets: &[u8], _: &Beside<'_>) -> Result<Vec<Value>, Unread> {
        let found = serde_json::from_slice(octets).map_err(|_| Unread::Damaged)?;
        Ok(vec![Value::Endpoint(found)])
    }
}

/// Fields of the user's own: objects and lists of them, in which each text is a template, or a content's name in braces.
struct Fields {
    root: Node,
}

enum Node {
    /// A number, true, false: as it is.
    Same(Any),
    Filled(String),
    /// As PEM.
    Content(Content),
    List(Vec<Node>),
    /// In the order of names.
    Object(Vec<(String, Node)>),
}

impl Node {
    fn of(value: Any) -> Self {
        match value {
            Any::String(text) => match text
                .strip_prefix('{')
                .and_then(|text| content_of(text.strip_suffix('}')?))
            {
                Some(content) => Self::Content(content),
                None => Self::Filled(text),
            },
            Any::Array(list) => Self::List(list.into_iter().map(Self::of).collect()),
            Any::Object(fields) => Self::Object(Self::of_fields(fields)),
            same => Self::Same(same),
        }
    }

    fn of_fields(fields: serde_json::Map<String, Any>) -> Vec<(String, Self)> {
        let mut fields: Vec<_> = fields
            .into_iter()
            .map(|(name, value)| (name, Self::of(value)))
            .collect();
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        fields
    }

    /// Shows each leaf with where it stands.
    fn walk<'a>(&'a self, place: &str, visit: &mut impl FnMut(&str, &'a Self)) {
        match self {
            Self::List(list) => {
                for (i, node) in list.iter().enumerate() {
                    node.walk(&format!("{place}[{i}]"), visit);
                }
            }
            Self::Object(fields) => {
                for (name, node) in fields {
                    node.walk(&format!("{place}.{name}"), visit);
                }
            }
            leaf => visit(place, leaf),
        }
    }

    fn contents(&self) -> Vec<Content> {
        let mut contents = Vec::new();
        self.walk("fields", &mut |_, node| {
            if let Self::Content(content) = node {
                contents.push(content.clone());
            }
        });
        contents
    }

    /// Appends itself as `serde_json` does, with line ends; `leaf` appends each text that is not always the same.
    fn append(&self, depth: usize, leaf: &mut impl FnMut(&Self, &mut Vec<u8>), out: &mut Vec<u8>) {
        let inside = depth + 1;
        match self {
            Self::Same(value) => serde_json::to_writer(&mut *out, value).expect("memory does not fail"),
            Self::List(list) => {
                let items = list.iter().map(|node| (None, node));
                Self::append_all((b"[", b"]"), items, inside, leaf, out);
            }
            Self::Object(fields) => {
                let items = fields.iter().map(|(name, node)| (Some(name.as_str()), node));
                Self::append_all((b"{", b"}"), items, inside, leaf, out);
            }
            text => leaf(text, out),
        }
    }

    fn append_all<'a>(
        (open, close): (&[u8], &[u8]),
        items: impl Iterator<Item = (Option<&'a str>, &'a Self)>,
        depth: usize,
        leaf: &mut impl FnMut(&Self, &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) {
        let line = |depth: usize, out: &mut Vec<u8>| {
            out.push(b'\n');
            out.resize(out.len() + 2 * depth, b' ');
        };
        out.extend_from_slice(open);
        let mut is_first = true;
        for (name, node) in items {
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            line(depth, out);
            if let Some(name) = name {
                append_text(name, out);
                out.extend_from_slice(b": ");
            }
            node.append(depth, leaf, out);
        }
        if !is_first {
            line(depth - 1, out);
        }
        out.extend_from_slice(close);
    }

    /// The texts that stand in a value where this has contents, in the order of these.
    fn find(&self, found: &mut Any, texts: &mut Vec<Zeroizing<Vec<u8>>>) -> Option<()> {
        match (self, found) {
            (Self::Same(same), found) => (same == found).then_some(()),
            (Self::Filled(_), Any::String(_)) => Some(()),
            (Self::Content(_), Any::String(text)) => {
                texts.push(Zeroizing::new(std::mem::take(text).into_bytes()));
                Some(())
            }
            (Self::List(list), Any::Array(found)) if list.len() == found.len() => {
                let mut pairs = list.iter().zip(found);
                pairs.try_for_each(|(node, found)| node.find(found, texts))
            }
            (Self::Object(fields), Any::Object(found)) if fields.len() == found.len() => {
                let mut fields = fields.iter();
                fields.try_for_each(|(name, node)| node.find(found.get_mut(name)?, texts))
            }
            _ => None,
        }
    }
}

fn append_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, text).expect("memory does not fail");
}

impl Format for Fields {
    fn name(&self) -> &'static str {
        "json"
    }

    fn default_contents(&self) -> Vec<Content> {
        self.root.contents()
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        match contents == self.root.contents() {
            true => Ok(()),
            false => Err("the fields say what a JSON file holds; leave its content out".to_owned()),
        }
    }

    fn texts(&self) -> Vec<Text> {
        let mut texts = Vec::new();
        self.root.walk("fields", &mut |place, node| {
            if let Node::Filled(template) = node {
                texts.push(Text {
                    field: place.to_owned(),
                    template: template.clone(),
                    most: template.len() + MOST_OF_COLUMNS,
                });
            }
        });
        texts
    }

    fn room(&self, contents: &[Content], sizes: &Sizes<'_>) -> usize {
        /// What an octet becomes at most.
        const ESCAPED: usize = 6;
        const QUOTES: usize = 2;
        let mut around = Vec::new();
        self.root.append(0, &mut |_, _| {}, &mut around);
        let texts: usize = sizes.texts.iter().map(|octets| ESCAPED * octets + QUOTES).sum();
        // Of PEM only the line ends are escaped.
        around.len() + 1 + texts + 2 * pem::Pem.room(contents, sizes) + QUOTES * contents.len()
    }

    fn append(&self, contents: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        let mut texts = source.texts.iter();
        // It never moves.
        let sizes = Sizes {
            private_key: source.credential.private_key.len(),
            certificate: source.credential.certificate.len(),
            issuer: source.shared.issuer.len(),
            ..Sizes::LARGEST
        };
        let mut block = Zeroizing::new(Vec::with_capacity(pem::Pem.room(contents, &sizes)));
        let mut leaf = |node: &Node, out: &mut Vec<u8>| match node {
            Node::Content(content) => {
                block.clear();
                pem::Pem.append(std::slice::from_ref(content), source, &mut block);
                append_text(std::str::from_utf8(&block).expect("PEM is ASCII"), out);
            }
            _ => append_text(texts.next().map_or("", |text| text), out),
        };
        self.root.append(0, &mut leaf, out);
        out.push(b'\n');
    }

    fn read(&self, contents: &[Content], octets: &[u8], beside: &Beside<'_>) -> Result<Vec<Value>, Unread> {
        let mut found: Any = serde_json::from_slice(octets).map_err(|_| Unread::Damaged)?;
        let mut texts = Vec::new();
        self.root.find(&mut found, &mut texts).ok_or(Unread::Damaged)?;
        let mut values = Vec::with_capacity(contents.len());
        for (content, text) in contents.iter().zip(&texts) {
            values.extend(pem::Pem.read(std::slice::from_ref(content), text, beside)?);
        }
        Ok(values)
    }
}
