//! Templates: text with `{column}` places that a manifest row fills. `{{` and `}}` are braces, and `{column|lower}` is what a
//! function makes of the column's value.

use std::borrow::Cow;

use super::function::{FUNCTIONS, Function};
use crate::manifest::{Header, Row};

/// Text in which each place names a manifest column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<C> {
    Literal(String),
    Column(C, Vec<Function>),
}

/// A part of a template's text.
pub(super) enum Piece {
    Text(String),
    /// Anything.
    Any,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("a place opened with {{ is not closed with }}")]
    Open,
    #[error("a }} closes no place; write }}}} for a brace")]
    Stray,
    #[error("a place {{}} names no column")]
    Unnamed,
    #[error("there is no function {name}; there are {FUNCTIONS}")]
    Function { name: String },
    #[error("{written} is not written as {name} is: {FUNCTIONS}")]
    Argument { name: &'static str, written: String },
}

impl Template {
    /// # Errors
    ///
    /// When braces do not pair or a place is empty.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '{' | '}' if chars.peek() == Some(&c) => {
                    chars.next();
                    literal.push(c);
                }
                '{' => {
                    let mut column = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some('{') | None => return Err(TemplateError::Open),
                            Some(c) => column.push(c),
                        }
                    }
                    let (column, functions) = Function::parse_all(&column)?;
                    if column.is_empty() {
                        return Err(TemplateError::Unnamed);
                    }
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Column(column, functions));
                }
                '}' => return Err(TemplateError::Stray),
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// What a column of a row gives.
    #[must_use]
    pub fn column(name: &str) -> Self {
        Self {
            parts: vec![Part::Column(name.to_owned(), Vec::new())],
        }
    }

    /// The same text for every row.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        Self {
            parts: vec![Part::Literal(text.to_owned())],
        }
    }

    /// The columns that the template names.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Column(name, _) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// The template with another one in place of each column that `named` knows; functions make the same of each part of that.
    #[must_use]
    pub fn expanded(&self, named: impl Fn(&str) -> Option<Self>) -> Self {
        let mut parts = Vec::new();
        for part in &self.parts {
            let Part::Column(name, functions) = part else {
                parts.push(part.clone());
                continue;
            };
            let Some(other) = named(name) else {
                parts.push(part.clone());
                continue;
            };
            parts.extend(other.parts.into_iter().map(|part| match part {
                Part::Literal(text) => {
                    let text = functions
                        .iter()
                        .fold(Cow::Owned(text), |text, function| function.apply(text));
                    Part::Literal(text.into_owned())
                }
                Part::Column(column, own) => {
                    Part::Column(column, own.into_iter().chain(functions.clone()).collect())
                }
            }));
        }
        Self { parts }
    }

    /// Whether every row gives the same text.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.columns().next().is_none()
    }

    /// The text that every row gives, with one text for what each column gives; `None`: as it is written.
    #[must_use]
    pub fn filled(&self, with: Option<&str>) -> String {
        let part = |part: &Part<String>| match (part, with) {
            (Part::Literal(text), _) => text.clone(),
            (Part::Column(..), Some(text)) => text.to_owned(),
            (Part::Column(name, functions), None) => {
                let functions: String = functions.iter().map(|function| format!("|{function}")).collect();
                format!("{{{name}{functions}}}")
            }
        };
        self.parts.iter().map(part).collect()
    }

    /// What every text of the template is made of, where one column holds this value, and the others anything.
    pub(super) fn pieces(&self, column: &str, value: &str) -> Vec<Piece> {
        let piece = |part: &Part<String>| match part {
            Part::Literal(text) => Piece::Text(text.clone()),
            Part::Column(name, functions) if name == column => {
                let applied = functions
                    .iter()
                    .fold(Cow::Borrowed(value), |text, function| function.apply(text));
                Piece::Text(applied.into_owned())
            }
            Part::Column(..) => Piece::Any,
        };
        self.parts.iter().map(piece).collect()
    }

    /// The text of a row whose column of this name has this value; `None` when the template names others.
    #[must_use]
    pub fn of_one(&self, column: &str, value: &str) -> Option<String> {
        let pieces = self.pieces(column, value).into_iter();
        let text = |piece| match piece {
            Piece::Text(text) => Some(text),
            Piece::Any => None,
        };
        pieces.map(text).collect()
    }

    /// The template with its columns found in a header, or the name of one that is not there.
    ///
    /// # Errors
    ///
    /// The first column that the header lacks.
    pub fn bind(&self, header: &Header) -> Result<BoundTemplate, String> {
        let bind = |part: &Part<String>| match part {
            Part::Literal(text) => Ok(Part::Literal(text.clone())),
            Part::Column(name, functions) => match header.index(name) {
                Some(index) => Ok(Part::Column(index, functions.clone())),
                None => Err(name.clone()),
            },
        };
        Ok(BoundTemplate {
            parts: self.parts.iter().map(bind).collect::<Result<_, _>>()?,
        })
    }
}

/// A template that knows where in a row its columns are.
#[derive(Debug, Clone)]
pub struct BoundTemplate {
    parts: Vec<Part<usize>>,
}

impl BoundTemplate {
    #[must_use]
    pub fn render<'a>(&'a self, row: &'a Row) -> Cow<'a, str> {
        match self.parts.as_slice() {
            [] => Cow::Borrowed(""),
            [part] => part.text(row),
            parts => Cow::Owned(parts.iter().map(|part| part.text(row)).collect()),
        }
    }
}

impl Part<usize> {
    fn text<'a>(&'a self, row: &'a Row) -> Cow<'a, str> {
        match self {
            Part::Literal(text) => Cow::Borrowed(text),
            Part::Column(index, functions) => functions
                .iter()
                .fold(Cow::Borrowed(row.field(*index)), |text, function| {
                    function.apply(text)
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::DeviceId;
    use proptest::prelude::*;

    fn render(template: &str, columns: &[&str], fields: &[&str]) -> String {
        let header = Header::new(columns.iter().map(|&name| name.to_owned()).collect());
        let row = Row::new(2, DeviceId::parse("A").unwrap(), fields);
        let template = Template::parse(template).unwrap().bind(&header).unwrap();
        template.render(&row).into_owned()
    }

    #[test]
    fn fills_places_from_columns() {
        assert_eq!(render("{a}", &["a", "b"], &["1", "2"]), "1");
        assert_eq!(render("x{b}-{a}y", &["a", "b"], &["1", "2"]), "x2-1y");
        assert_eq!(render("{{a}}", &["a"], &["1"]), "{a}");
        assert_eq!(render("", &["a"], &["1"]), "");
        assert_eq!(render("n-{a|strip(':')|lower}", &["a"], &["AA:BB"]), "n-aabb");
        assert_eq!(render("{a | upper}{a}", &["a"], &["ab"]), "ABab");
    }

    #[test]
    fn names_are_replaced_by_what_they_stand_for() {
        let named = |name: &str| {
            let text = match name {
                "endpoint.thing_name" => "pump-{serial_number|strip('-')}",
                "endpoint.host" => "A.example",
                _ => return None,
            };
            Some(Template::parse(text).unwrap())
        };
        for (text, expected) in [
            (
                "{endpoint.thing_name|upper} {site}",
                "PUMP-{serial_number|strip('-')|upper} {site}",
            ),
            ("{endpoint.host|lower}:{{8883}}", "a.example:{8883}"),
            ("{endpoint.port}", "{endpoint.port}"),
        ] {
            let expanded = Template::parse(text).unwrap().expanded(named);
            assert_eq!(expanded.filled(None), expected, "{text}");
        }
    }

    #[test]
    fn refuses_braces_that_do_not_pair() {
        for (text, error) in [
            ("{a", TemplateError::Open),
            ("{a{b}}", TemplateError::Open),
            ("a}", TemplateError::Stray),
            ("{}", TemplateError::Unnamed),
            ("{|lower}", TemplateError::Unnamed),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn functions_are_written_as_they_are_read(name in "[a-z_]{1,8}", functions in proptest::collection::vec(0..3_usize, 0..4)) {
            let functions: String = functions.iter().map(|i| ["|lower", "|upper", "|strip('-')"][*i]).collect();
            let written = format!("{{{name}{functions}}}");
            prop_assert_eq!(Template::parse(&written).unwrap().filled(None), written);
        }

        #[test]
        fn text_without_braces_renders_as_itself(text in "[^{}]*") {
            prop_assert_eq!(render(&text, &["a"], &["1"]), text);
        }

        #[test]
        fn every_text_can_be_escaped(text in any::<String>()) {
            let escaped = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(render(&escaped, &["a"], &["1"]), text);
        }

        #[test]
        fn values_are_never_read_as_templates(value in any::<String>()) {
            prop_assert_eq!(render("<{a}>", &["a"], &[&value]), format!("<{value}>"));
        }
    }
}
