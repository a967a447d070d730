//! Functions of a template's place: what is made of a column's value before it is filled in.

use std::borrow::Cow;
use std::fmt;

use super::TemplateError;

/// What there is, for people.
pub(super) const FUNCTIONS: &str = "lower, upper, strip('…')";

/// One function, as in `{serial_number|strip(':')|lower}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Function {
    /// All letters small.
    Lower,
    /// All letters capital.
    Upper,
    /// Without this text, wherever it stands.
    Strip(String),
}

impl Function {
    /// The column that a place names, and the functions behind it.
    pub fn parse_all(place: &str) -> Result<(String, Vec<Self>), TemplateError> {
        let mut parts = Vec::new();
        let (mut from, mut is_quoted) = (0, false);
        for (at, c) in place.char_indices() {
            match c {
                '\'' => is_quoted = !is_quoted,
                '|' if !is_quoted => {
                    parts.push(&place[from..at]);
                    from = at + 1;
                }
                _ => {}
            }
        }
        // A column whose name has a quote, and no function.
        if is_quoted && parts.is_empty() {
            return Ok((place.to_owned(), Vec::new()));
        }
        parts.push(&place[from..]);
        let functions = parts[1..].iter().map(|written| Self::parse(written.trim()));
        let functions = functions.collect::<Result<Vec<_>, _>>()?;
        let column = match functions.is_empty() {
            true => parts[0],
            false => parts[0].trim(),
        };
        Ok((column.to_owned(), functions))
    }

    fn parse(written: &str) -> Result<Self, TemplateError> {
        let (name, argument) = match written.split_once('(') {
            Some((name, rest)) => (name.trim(), Some(rest)),
            None => (written, None),
        };
        let wrong = |name| TemplateError::Argument {
            name,
            written: written.to_owned(),
        };
        match (name, argument) {
            ("lower", None) => Ok(Self::Lower),
            ("upper", None) => Ok(Self::Upper),
            ("lower", Some(_)) => Err(wrong("lower")),
            ("upper", Some(_)) => Err(wrong("upper")),
            ("strip", argument) => {
                let text = argument.and_then(|argument| {
                    let quoted = argument.strip_suffix(')')?.trim();
                    quoted.strip_prefix('\'')?.strip_suffix('\'')
                });
                match text {
                    Some(text) if !text.is_empty() => Ok(Self::Strip(text.to_owned())),
                    _ => Err(wrong("strip")),
                }
            }
            _ => Err(TemplateError::Function {
                name: name.to_owned(),
            }),
        }
    }

    pub fn apply<'a>(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        match self {
            Self::Lower if text.chars().any(char::is_uppercase) => Cow::Owned(text.to_lowercase()),
            Self::Upper if text.chars().any(char::is_lowercase) => Cow::Owned(text.to_uppercase()),
            Self::Strip(part) if text.contains(part.as_str()) => Cow::Owned(text.replace(part.as_str(), "")),
            _ => text,
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lower => f.write_str("lower"),
            Self::Upper => f.write_str("upper"),
            Self::Strip(part) => write!(f, "strip('{part}')"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_functions_behind_a_column() {
        for (place, expected) in [
            ("a", Ok(("a", "a"))),
            ("a column", Ok(("a column", "a column"))),
            ("a|lower", Ok(("a", "Aa:B|C"))),
            ("a|strip(':')|upper", Ok(("a", "x"))),
            ("a|strip('|')", Ok(("a", "x"))),
            ("Prüfer's name", Ok(("Prüfer's name", "x"))),
            (
                "a|lowercase",
                Err("there is no function lowercase; there are lower, upper, strip('…')"),
            ),
            ("a|", Err("there is no function ; there are")),
            ("a|lower()", Err("lower() is not written as lower is")),
            ("a|strip(:)", Err("strip(:) is not written as strip is")),
            ("a|strip('')", Err("strip('') is not written")),
            ("a|strip", Err("strip is not written")),
        ] {
            match (Function::parse_all(place), expected) {
                (Ok((column, _)), Ok((expected, _))) => assert_eq!(column, expected, "{place}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{place}: {error}"),
                (found, _) => panic!("{place}: {found:?}"),
            }
        }
    }

    #[test]
    fn makes_of_a_value_what_it_says() {
        for (place, value, expected) in [
            ("a|lower", "AA:Ü", "aa:ü"),
            ("a|upper", "aß", "ASS"),
            ("a|strip(':')", "AA:BB:CC", "AABBCC"),
            ("a|strip(': ')|lower", "A: B:C", "ab:c"),
            ("a|strip('|')", "a|b", "ab"),
        ] {
            let (_, functions) = Function::parse_all(place).unwrap();
            let made = functions
                .iter()
                .fold(Cow::Borrowed(value), |text, function| function.apply(text));
            assert_eq!(made, expected, "{place}");
        }
    }
}
