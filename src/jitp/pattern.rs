//! Patterns as policies have them: `*` is any text, `?` any one character, and nothing else is special.

/// A pattern. Letters count as they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Token>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Is(char),
    One,
    Any,
}

impl Pattern {
    pub fn new(written: &str) -> Self {
        let mut pattern = Self::default();
        pattern.push(written);
        pattern
    }

    /// Goes on with a pattern.
    pub fn push(&mut self, written: &str) {
        self.0.extend(written.chars().map(|c| match c {
            '*' => Token::Any,
            '?' => Token::One,
            c => Token::Is(c),
        }));
    }

    /// Goes on with a text in which `*` and `?` stand for themselves.
    pub fn push_literal(&mut self, text: &str) {
        self.0.extend(text.chars().map(Token::Is));
    }

    /// Whether the whole of a text is as the pattern says.
    pub fn matches(&self, text: &str) -> bool {
        let pattern = &self.0;
        // What is left to match, and the same where the last star stood.
        let (mut p, mut rest, mut star) = (0, text.chars(), None);
        while let Some(c) = rest.clone().next() {
            match pattern.get(p) {
                Some(Token::Any) => {
                    star = Some((p, rest.clone()));
                    p += 1;
                }
                Some(token) if *token == Token::One || *token == Token::Is(c) => {
                    p += 1;
                    rest.next();
                }
                _ => match &mut star {
                    Some((at, matched)) => {
                        matched.next();
                        p = *at + 1;
                        rest = matched.clone();
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|token| *token == Token::Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_whole_text_and_letters_as_they_are() {
        for (written, text, expected) in [
            ("*", "", true),
            ("*", "a/b", true),
            ("a*c", "a/b/c", true),
            ("a*c", "a/b/c/d", false),
            ("a*b*c", "aXbYbc", true),
            ("a?c", "a/c", true),
            ("a?c", "aäc", true),
            ("a?c", "ac", false),
            ("a?", "a", false),
            ("a", "A", false),
            ("", "", true),
            ("", "a", false),
            ("a+#", "a+#", true),
            ("a/+", "a/b", false),
            ("a/#", "a/b", false),
        ] {
            assert_eq!(Pattern::new(written).matches(text), expected, "{written} {text}");
        }
    }

    #[test]
    fn takes_a_literal_as_it_is() {
        let mut pattern = Pattern::new("a/");
        pattern.push_literal("*?");
        pattern.push("/*");
        assert!(pattern.matches("a/*?/x"));
        assert!(!pattern.matches("a/b?/x"));
        assert!(!pattern.matches("a/*b/x"));
    }
}
