//! Expressions: a text, a `Ref`, or one of the intrinsic functions.
//!
//! The functions and Mappings are documented for fleet provisioning alone; whoever uses them is warned.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// A value of a template, its parameters found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Text(String),
    /// Position in the template's parameters.
    Ref(usize),
    Join {
        separator: String,
        list: List,
    },
    /// Texts and references in turn.
    Sub(Vec<Expression>),
    Select {
        index: Box<Expression>,
        list: List,
    },
    FindInMap {
        map: String,
        top: Box<Expression>,
        second: Box<Expression>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum List {
    Items(Vec<Expression>),
    Split {
        separator: String,
        source: Box<Expression>,
    },
}

/// Map, top-level key, second-level key, value.
pub(super) type Mappings = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoValue {
    #[error("Fn::Select asks for item {index:?}, which is no number")]
    Index { index: String },
    #[error("Fn::Select asks for item {index} of a list of {len}")]
    OutOfList { index: usize, len: usize },
    #[error("Fn::FindInMap finds no {top:?}, {second:?} in {map}")]
    NotInMap {
        map: String,
        top: String,
        second: String,
    },
}

/// What expressions are evaluated with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The values of the template's parameters, in its order.
    pub parameters: &'a [&'a str],
    pub mappings: &'a Mappings,
}

impl Expression {
    /// # Errors
    ///
    /// When a function asks for what is not there.
    pub fn evaluate<'a>(&'a self, scope: Scope<'a>) -> Result<Cow<'a, str>, NoValue> {
        Ok(match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Ref(position) => Cow::Borrowed(scope.parameters[*position]),
            Self::Join { separator, list } => Cow::Owned(list.evaluate(scope)?.join(separator)),
            Self::Sub(parts) => {
                let mut text = String::new();
                for part in parts {
                    text.push_str(&part.evaluate(scope)?);
                }
                Cow::Owned(text)
            }
            Self::Select { index, list } => {
                let index = index.evaluate(scope)?;
                let index: usize = index.parse().map_err(|_| NoValue::Index {
                    index: index.into_owned(),
                })?;
                let mut items = list.evaluate(scope)?;
                if index >= items.len() {
                    return Err(NoValue::OutOfList {
                        index,
                        len: items.len(),
                    });
                }
                items.swap_remove(index)
            }
            Self::FindInMap { map, top, second } => {
                let (top, second) = (top.evaluate(scope)?, second.evaluate(scope)?);
                let found = scope
                    .mappings
                    .get(map)
                    .and_then(|map| map.get(&*top)?.get(&*second));
                match found {
                    Some(value) => Cow::Borrowed(value),
                    None => {
                        return Err(NoValue::NotInMap {
                            map: map.clone(),
                            top: top.into_owned(),
                            second: second.into_owned(),
                        });
                    }
                }
            }
        })
    }

    /// Calls back with every parameter that it refers to.
    pub fn references(&self, found: &mut dyn FnMut(usize)) {
        match self {
            Self::Text(_) => {}
            Self::Ref(position) => found(*position),
            Self::Join { list, .. } => list.references(found),
            Self::Sub(parts) => parts.iter().for_each(|part| part.references(found)),
            Self::Select { index, list } => {
                index.references(found);
                list.references(found);
            }
            Self::FindInMap { top, second, .. } => {
                top.references(found);
                second.references(found);
            }
        }
    }

    /// Whether what it gives only grows with the values that it refers to: nothing is taken apart or looked up by them.
    pub fn is_plain(&self) -> bool {
        match self {
            Self::Text(_) | Self::Ref(_) => true,
            Self::Join { list, .. } => match list {
                List::Items(items) => items.iter().all(Self::is_plain),
                List::Split { .. } => false,
            },
            Self::Sub(parts) => parts.iter().all(Self::is_plain),
            Self::Select { .. } | Self::FindInMap { .. } => false,
        }
    }

    /// The value, if it is the same for every device.
    pub fn constant<'a>(&'a self, mappings: &'a Mappings) -> Option<Result<Cow<'a, str>, NoValue>> {
        let mut is_constant = true;
        self.references(&mut |_| is_constant = false);
        let scope = Scope {
            parameters: &[],
            mappings,
        };
        is_constant.then(|| self.evaluate(scope))
    }
}

impl List {
    fn evaluate<'a>(&'a self, scope: Scope<'a>) -> Result<Vec<Cow<'a, str>>, NoValue> {
        match self {
            Self::Items(items) => items.iter().map(|item| item.evaluate(scope)).collect(),
            Self::Split { separator, source } => Ok(match source.evaluate(scope)? {
                Cow::Borrowed(text) => text.split(separator.as_str()).map(Cow::Borrowed).collect(),
                Cow::Owned(text) => text
                    .split(separator.as_str())
                    .map(|part| Cow::Owned(part.to_owned()))
                    .collect(),
            }),
        }
    }

    fn references(&self, found: &mut dyn FnMut(usize)) {
        match self {
            Self::Items(items) => items.iter().for_each(|item| item.references(found)),
            Self::Split { source, .. } => source.references(found),
        }
    }
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
