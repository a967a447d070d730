//! Text: a template of the user's, in which each device fills columns of its row, and keys and certificates as PEM.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use super::{Beside, Format, Misfit, Settings, Sizes, Source, Unread, Value, pem};
use crate::bundle::Content;

/// Octets that columns may add to what a template has of itself.
pub(super) const MOST_OF_COLUMNS: usize = 16 * 1024;

/// How a block of PEM begins, which nothing of a template may.
const BEGIN: &str = "-----BEGIN ";

pub(super) struct Text {
    segments: Vec<Segment>,
}

/// A part of a template.
enum Segment {
    /// Text with columns, which each device fills.
    Filled(String),
    /// `{private-key}` and the like.
    Content(Content),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The text, or `{ file = "PATH" }`, which is read with the profile.
    template: Option<String>,
}

impl Text {
    /// Without its template, which it must have.
    pub const UNSET: Self = Self { segments: Vec::new() };

    fn contents(&self) -> impl Iterator<Item = &Content> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Content(content) => Some(content),
            Segment::Filled(_) => None,
        })
    }

    fn filled(&self) -> impl Iterator<Item = &String> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Filled(text) => Some(text),
            Segment::Content(_) => None,
        })
    }
}

impl Format for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn with(&self, settings: &Settings) -> Result<Option<Arc<dyn Format>>, String> {
        let written: Written = settings.read()?;
        let template = written.template.ok_or_else(|| {
            "a text file needs its template = \"...\", with {columns}, or template = { file = \"PATH\" }"
                .to_owned()
        })?;
        if template.contains(BEGIN) {
            return Err(
                "a template has no PEM of its own; write {certificate} and the like, or a file of your own"
                    .to_owned(),
            );
        }
        Ok(Some(Arc::new(Self {
            segments: segments(&template),
        })))
    }

    fn text_files(&self) -> &'static [&'static str] {
        &["template"]
    }

    fn default_contents(&self) -> Vec<Content> {
        self.contents().cloned().collect()
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        match contents.iter().eq(self.contents()) {
            true => pem::Pem.check(contents),
            false => Err("the template says what a text file holds; leave its content out".to_owned()),
        }
    }

    fn texts(&self) -> Vec<super::Text> {
        let text = |template: &String| super::Text {
            field: "template".to_owned(),
            template: template.clone(),
            most: template.len() + MOST_OF_COLUMNS,
        };
        self.filled().map(text).collect()
    }

    fn judge(&self, texts: &[Cow<'_, str>]) -> Result<(), Misfit> {
        match texts.iter().position(|text| text.contains(BEGIN)) {
            None => Ok(()),
            Some(text) => Err(Misfit {
                text,
                reason: "it begins a block of PEM".to_owned(),
            }),
        }
    }

    fn room(&self, contents: &[Content], sizes: &Sizes<'_>) -> usize {
        sizes.texts.iter().sum::<usize>() + pem::Pem.room(contents, sizes)
    }

    fn append(&self, _: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        let mut texts = source.texts.iter();
        for segment in &self.segments {
            match segment {
                Segment::Filled(_) => {
                    let text = texts.next().map_or(&b""[..], |text| text.as_bytes());
                    out.extend_from_slice(text);
                }
                Segment::Content(content) => {
                    pem::Pem.append(std::slice::from_ref(content), source, out);
                    // Where the last line ends is the template's.
                    out.pop();
                }
            }
        }
    }

    fn read(&self, contents: &[Content], octets: &[u8], beside: &Beside<'_>) -> Result<Vec<Value>, Unread> {
        match contents {
            [] => std::str::from_utf8(octets).map_or(Err(Unread::Damaged), |_| Ok(Vec::new())),
            contents => pem::Pem.read(contents, octets, beside),
        }
    }
}

/// The content that a place names, which PEM can hold.
pub(super) fn content_of(place: &str) -> Option<Content> {
    let content = Content::named().find(|content| content.name() == place)?;
    pem::Pem.check(std::slice::from_ref(&content)).ok()?;
    Some(content)
}

/// Cuts a template where contents stand; what is between is a template of columns.
fn segments(template: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(found) = template[at..].find('{') {
        let open = at + found;
        let inside = &template[open + 1..];
        if inside.starts_with('{') {
            at = open + 2;
            continue;
        }
        let Some(end) = inside.find('}') else { break };
        at = open + 1 + end + 1;
        if let Some(content) = content_of(&inside[..end]) {
            if start < open {
                segments.push(Segment::Filled(template[start..open].to_owned()));
            }
            segments.push(Segment::Content(content));
            start = at;
        }
    }
    if start < template.len() {
        segments.push(Segment::Filled(template[start..].to_owned()));
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(template: &str) -> Vec<String> {
        let shown = |segment: Segment| match segment {
            Segment::Filled(text) => text,
            Segment::Content(content) => format!("<{}>", content.name()),
        };
        segments(template).into_iter().map(shown).collect()
    }

    #[test]
    fn a_template_is_cut_where_contents_stand() {
        for (template, expected) in [
            ("", vec![]),
            ("a {b} c", vec!["a {b} c"]),
            ("{private-key}", vec!["<private-key>"]),
            (
                "k={private-key}\nc={chain}",
                vec!["k=", "<private-key>", "\nc=", "<chain>"],
            ),
            (
                "{{private-key}} {certificate}",
                vec!["{{private-key}} ", "<certificate>"],
            ),
            ("{{{certificate}}}", vec!["{{", "<certificate>", "}}"]),
            ("{endpoint} {a", vec!["{endpoint} {a"]),
        ] {
            assert_eq!(cut(template), expected, "{template}");
        }
    }
}
