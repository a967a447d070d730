//! What ids of a product look like, where its profile says so: `[manifest]` `id_pattern`, `id_length`, `id_case`.

use std::fmt;

use regex_lite::Regex;

use super::ProfileError;
use super::config::{IdCase, ManifestConfig};
use crate::manifest::{DeviceId, Reason};

/// Characters that a pattern may have.
const MAX_PATTERN: usize = 512;

/// The rules that ids keep beyond those of every device id.
#[derive(Debug, Clone, Default)]
pub(crate) struct IdRules {
    pattern: Option<(String, Regex)>,
    length: Option<usize>,
    case: Option<IdCase>,
}

impl fmt::Display for IdCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl IdCase {
    fn name(self) -> &'static str {
        match self {
            Self::Upper => "upper",
            Self::Lower => "lower",
        }
    }

    fn has(self, id: &str) -> bool {
        match self {
            Self::Upper => !id.bytes().any(|b| b.is_ascii_lowercase()),
            Self::Lower => !id.bytes().any(|b| b.is_ascii_uppercase()),
        }
    }
}

impl IdRules {
    pub(super) fn from_config(config: &ManifestConfig) -> Result<Self, ProfileError> {
        let invalid = |field: &str, reason: String| ProfileError::Field {
            field: format!("manifest.{field}"),
            reason,
        };
        let pattern = match &config.id_pattern {
            None => None,
            Some(text) if text.len() > MAX_PATTERN => {
                let reason = format!("has more than {MAX_PATTERN} characters");
                return Err(invalid("id_pattern", reason));
            }
            Some(text) => {
                // It is for the whole of an id, as whoever writes it means it.
                let regex = Regex::new(&format!("^(?:{text})$"))
                    .map_err(|error| invalid("id_pattern", format!("is no regular expression: {error}")))?;
                Some((text.clone(), regex))
            }
        };
        if let Some(length) = config.id_length
            && !(1..=DeviceId::MAX).contains(&length)
        {
            let reason = format!("is {length}; ids have 1 to {} characters", DeviceId::MAX);
            return Err(invalid("id_length", reason));
        }
        Ok(Self {
            pattern,
            length: config.id_length,
            case: config.id_case,
        })
    }

    /// Whether it is said how long ids are.
    pub(crate) fn knows_lengths(&self) -> bool {
        self.pattern.is_some() || self.length.is_some()
    }

    pub(super) fn check(&self, id: &str) -> Option<Reason> {
        if let Some(wanted) = self.length
            && id.len() != wanted
        {
            let characters = id.len();
            return Some(Reason::Length { characters, wanted });
        }
        if let Some(case) = self.case
            && !case.has(id)
        {
            return Some(Reason::Case { wanted: case.name() });
        }
        let (pattern, regex) = self.pattern.as_ref()?;
        let pattern = pattern.clone();
        (!regex.is_match(id)).then_some(Reason::Pattern { pattern })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<IdRules, ProfileError> {
        IdRules::from_config(&toml::from_str(text).unwrap())
    }

    #[test]
    fn an_id_keeps_what_the_profile_says_of_ids() {
        let wrong = |text: &str, id: &str| rules(text).unwrap().check(id).map(|reason| reason.to_string());
        assert_eq!(wrong("id_length = 6", "000999"), None);
        let text = wrong("id_length = 6", "1000").unwrap();
        assert_eq!(text, "has 4 characters, and id_length is 6");
        assert_eq!(wrong("id_case = 'upper'", "AA:0F"), None);
        let text = wrong("id_case = 'upper'", "AA:0f").unwrap();
        assert_eq!(text, "is not in upper case, as id_case has it");
        assert!(wrong("id_case = 'lower'", "aa:0F").is_some());
        // The whole id, however the pattern is written.
        for pattern in ["L7-[0-9]{6}", "^L7-[0-9]{6}$", "L7-[0-9]{6}|X"] {
            let text = format!("id_pattern = '{pattern}'");
            assert_eq!(wrong(&text, "L7-100001"), None, "{pattern}");
            assert!(wrong(&text, "L7-100001x").is_some(), "{pattern}");
            assert!(wrong(&text, "xL7-100001").is_some(), "{pattern}");
        }
    }

    #[test]
    fn a_rule_that_is_none_is_refused_by_its_field() {
        for (text, message) in [
            (
                "id_pattern = 'L7-['",
                "field manifest.id_pattern: is no regular expression",
            ),
            (
                "id_length = 0",
                "field manifest.id_length: is 0; ids have 1 to 128",
            ),
            ("id_length = 129", "field manifest.id_length: is 129"),
        ] {
            let error = rules(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
