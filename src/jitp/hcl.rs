//! HCL, as much of it as it takes to find the resources of a configuration of Terraform.
//!
//! <https://developer.hashicorp.com/terraform/language/syntax/configuration>

use serde_json::{Map, Value};

use super::stand_in::{Escape, interpolate, stand_in};

/// How deep expressions may stand within each other.
const DEEPEST: usize = 64;

/// A resource of Terraform's.
#[derive(Debug)]
pub(super) struct Resource {
    pub kind: String,
    pub name: String,
    /// Its arguments; blocks within it are objects.
    pub arguments: Map<String, Value>,
    /// Policy variables in it that Terraform would take for its own.
    pub unescaped: Vec<String>,
}

/// The resources `aws_iot_…` of a configuration.
pub(super) fn resources(text: &str) -> Vec<Resource> {
    let mut found = Vec::new();
    let mut reader = Reader {
        text,
        at: 0,
        unescaped: Vec::new(),
    };
    while let Some(at) = text[reader.at..].find("resource") {
        reader.at += at + "resource".len();
        let before = reader.at;
        if let Some(resource) = reader.resource() {
            found.push(resource);
        } else {
            reader.at = before;
        }
    }
    found
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    unescaped: Vec<String>,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Passes what is neither name nor sign: white space, if wanted line ends, and comments.
    fn skip(&mut self, lines: bool) {
        loop {
            let is_blank = |c: char| c.is_whitespace() && (lines || c != '\n');
            let blank = self.rest().len() - self.rest().trim_start_matches(is_blank).len();
            self.at += blank;
            let rest = self.rest();
            if rest.starts_with('#') || rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            } else {
                return;
            }
        }
    }

    fn take(&mut self, sign: &str) -> bool {
        self.skip(true);
        let is_there = self.rest().starts_with(sign);
        if is_there {
            self.at += sign.len();
        }
        is_there
    }

    fn word(&mut self) -> Option<String> {
        let rest = self.rest();
        let is_word = |c: char| c.is_alphanumeric() || "_-".contains(c);
        let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let word = (len > 0).then(|| rest[..len].to_owned());
        self.at += len;
        word
    }

    fn resource(&mut self) -> Option<Resource> {
        self.skip(false);
        let kind = self.quoted()?;
        self.skip(false);
        let name = self.quoted()?;
        if !kind.starts_with("aws_iot_") || !self.take("{") {
            return None;
        }
        self.unescaped.clear();
        let arguments = self.body(0)?;
        Some(Resource {
            kind,
            name,
            arguments,
            unescaped: std::mem::take(&mut self.unescaped),
        })
    }

    /// Arguments and blocks, up to the brace that closes them.
    fn body(&mut self, depth: usize) -> Option<Map<String, Value>> {
        if depth > DEEPEST {
            return None;
        }
        let mut body = Map::new();
        loop {
            if self.take("}") {
                return Some(body);
            }
            let name = self.word()?;
            self.skip(false);
            while self.rest().starts_with('"') {
                self.quoted()?;
                self.skip(false);
            }
            let value = match self.rest().starts_with('=') {
                true => {
                    self.at += 1;
                    self.expression(depth + 1)?
                }
                false if self.take("{") => Value::Object(self.body(depth + 1)?),
                false => return None,
            };
            body.insert(name, value);
        }
    }

    fn expression(&mut self, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        self.skip(true);
        let rest = self.rest();
        let value = match rest.chars().next()? {
            '"' => Value::String(self.quoted()?),
            '<' if rest.starts_with("<<") => Value::String(self.heredoc()?),
            '[' => self.list(depth)?,
            '{' => self.object(depth)?,
            _ => self.term(depth)?,
        };
        self.skip(false);
        // What is computed is not known here.
        match self.rest().chars().next() {
            None | Some('\n' | ',' | ']' | '}' | ')' | ':' | '=') => Some(value),
            Some(_) => {
                self.pass();
                Some(Value::String(stand_in("")))
            }
        }
    }

    /// Passes the rest of an expression.
    fn pass(&mut self) {
        let mut open = 0_usize;
        while let Some(c) = self.rest().chars().next() {
            match c {
                '"' => {
                    if self.quoted().is_none() {
                        self.at = self.text.len();
                    }
                    continue;
                }
                '(' | '[' | '{' => open += 1,
                ')' | ']' | '}' | ',' | '\n' if open == 0 => return,
                ')' | ']' | '}' => open -= 1,
                _ => {}
            }
            self.at += c.len_utf8();
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            if self.take("]") {
                return Some(Value::Array(items));
            }
            items.push(self.expression(depth + 1)?);
            self.take(",");
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut object = Map::new();
        loop {
            if self.take("}") {
                return Some(Value::Object(object));
            }
            let key = match self.rest().starts_with('"') {
                true => self.quoted()?,
                false => self.word()?,
            };
            self.skip(false);
            if !self.take("=") && !self.take(":") {
                return None;
            }
            let value = self.expression(depth + 1)?;
            object.insert(key, value);
            self.take(",");
        }
    }

    /// A number, a constant, a reference or a call.
    fn term(&mut self, depth: usize) -> Option<Value> {
        let rest = self.rest();
        let is_part = |c: char| c.is_alphanumeric() || "_-.*".contains(c);
        let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if len == 0 {
            return None;
        }
        let name = rest[..len].to_owned();
        self.at += len;
        if self.rest().starts_with('(') {
            self.at += 1;
            let mut argument = None;
            while !self.take(")") {
                let value = self.expression(depth + 1)?;
                argument.get_or_insert(value);
                self.take(",");
                self.skip(true);
            }
            let argument = argument.unwrap_or(Value::Null);
            return Some(match name.as_str() {
                "jsonencode" => Value::String(argument.to_string()),
                "jsondecode" | "trimspace" | "tostring" => argument,
                _ => Value::String(stand_in(&name)),
            });
        }
        Some(match name.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            name => {
                if let Ok(number) = name.parse::<i64>() {
                    return Some(number.into());
                }
                let mut name = name.to_owned();
                // An index within a reference.
                while self.rest().starts_with('[') {
                    self.list(depth)?;
                    let rest = self.rest();
                    let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                    name.push_str(&rest[..len]);
                    self.at += len;
                }
                Value::String(stand_in(&name))
            }
        })
    }

    fn quoted(&mut self) -> Option<String> {
        let mut chars = self.rest().char_indices();
        if chars.next()?.1 != '"' {
            return None;
        }
        let (mut raw, mut open) = (String::new(), 0_usize);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next()?.1 {
                    'n' => raw.push('\n'),
                    't' => raw.push('\t'),
                    'r' => raw.push('\r'),
                    other => raw.push(other),
                },
                // A text within a place of the text.
                '{' if raw.ends_with('$') && !raw.ends_with("$$") => {
                    open += 1;
                    raw.push(c);
                }
                '}' if open > 0 => {
                    open -= 1;
                    raw.push(c);
                }
                '"' if open == 0 => {
                    self.at += at + 1;
                    return Some(self.fill(&raw));
                }
                '\n' => return None,
                c => raw.push(c),
            }
        }
        None
    }

    /// What Terraform makes of a text. A policy variable that is not escaped stays, and is told of.
    fn fill(&mut self, raw: &str) -> String {
        let unescaped = &mut self.unescaped;
        interpolate(raw, Escape::Doubled, &mut |name| {
            if name.starts_with("iot:") || name.starts_with("aws:") {
                unescaped.push(name.to_owned());
                return format!("${{{name}}}");
            }
            stand_in(name)
        })
    }

    fn heredoc(&mut self) -> Option<String> {
        self.at += 2;
        let is_indented = self.rest().starts_with('-');
        self.at += usize::from(is_indented);
        let end = self.word()?;
        let rest = self.rest();
        self.at += rest.find('\n')? + 1;
        let mut body = String::new();
        loop {
            let rest = self.rest();
            let len = rest.find('\n').map_or(rest.len(), |at| at + 1);
            let line = rest[..len].to_owned();
            if len == 0 {
                return None;
            }
            if line.trim() == end {
                // The line end is the expression's end.
                self.at += line.trim_end().len();
                return Some(self.fill(&body));
            }
            self.at += len;
            body.push_str(&line);
        }
    }
}
