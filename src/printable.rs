//! Text that somebody else wrote, made fit for a terminal: what would move the cursor, colour, hide or reorder what
//! stands beside it is spelled out, as in `\u{1b}`.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character does something to a terminal rather than stand in it: control characters (C0, DEL, C1), line and
/// paragraph separators, and those that set the direction of text (Unicode TR 9, 2).
#[must_use]
pub fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Whether a character cannot be seen: the active ones, and those that join, split or mark what is beside them (Unicode's
/// category Cf). What is to be read and compared by people has none.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    is_active(c)
        || matches!(
            c,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A text that is one line, whatever is in it.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    replace(text, is_active, |c, out| out.extend(c.escape_default()))
}

/// A text in a cell of a table that a spreadsheet may open: one that would begin a formula there has an apostrophe before it,
/// which makes it a text. A tab and a carriage return, which could begin one too, are spelled out.
#[must_use]
pub fn cell(text: &str) -> Cow<'_, str> {
    let text = line(text);
    match text.starts_with(['=', '+', '-', '@']) && text.parse::<f64>().is_err() {
        true => format!("'{text}").into(),
        false => text,
    }
}

/// A text of several lines.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    let is_replaced = |c| c != '\n' && is_active(c);
    replace(text, is_replaced, |c, out| out.extend(c.escape_default()))
}

/// A JSON document, which stays one: such characters stand within its strings, whose escapes mean the same.
#[must_use]
pub fn json(document: &str) -> Cow<'_, str> {
    let is_replaced = |c| c != '\n' && is_active(c);
    // All of them are in the basic plane.
    replace(document, is_replaced, |c, out| {
        let _ = write!(out, "\\u{:04x}", u32::from(c));
    })
}

fn replace(
    text: &str,
    is_replaced: impl Fn(char) -> bool,
    write: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    let Some(first) = text.find(&is_replaced) else {
        return text.into();
    };
    let mut out = text[..first].to_owned();
    for c in text[first..].chars() {
        match is_replaced(c) {
            true => write(c, &mut out),
            false => out.push(c),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_spelled_out_and_all_else_is_as_it_was() {
        let text = "a\u{1b}[2J\r\t\u{7f}\u{9b}31m\u{202e}b\u{2028}\nä日本";
        assert_eq!(
            line(text),
            "a\\u{1b}[2J\\r\\t\\u{7f}\\u{9b}31m\\u{202e}b\\u{2028}\\nä日本"
        );
        assert_eq!(lines("a\nb\r"), "a\nb\\r");
        assert!(matches!(line("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn no_cell_begins_a_formula() {
        for (text, shown) in [
            ("=1+1", "'=1+1"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("-1+1", "'-1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1+1", "\\t=1+1"),
            ("\r=1+1", "\\r=1+1"),
            ("-1.5", "-1.5"),
            ("+3", "+3"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(cell(text), shown);
        }
    }

    #[test]
    fn a_document_means_the_same() {
        let value = serde_json::json!({ "a": "\u{7f}\u{9b}\u{202e}\n\u{1b}\u{2069}" });
        let document = serde_json::to_string_pretty(&value).unwrap();
        let printed = json(&document);
        assert!(printed.chars().all(|c| c == '\n' || !is_active(c)), "{printed}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&printed).unwrap(),
            value
        );
    }
}
