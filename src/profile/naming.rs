//! Whose a certificate can be, by its subject and the profile's templates alone: the id of the device is known, the other
//! columns of its row are not.

use super::template::Piece;
use super::{Attribute, Profile};

impl Profile {
    /// Whether the subject of each certificate has the device's id in it.
    #[must_use]
    pub fn subject_names_devices(&self) -> bool {
        let names = |column: &str| column == self.id_column;
        self.subject
            .iter()
            .any(|(_, template)| template.columns().any(names))
    }

    /// Whether a subject, in DN order, can be that of a device with this id, whatever else its row says.
    #[must_use]
    pub fn may_be_subject(&self, device_id: &str, subject: &[(Attribute, &str)]) -> bool {
        self.subject.len() == subject.len()
            && self
                .subject
                .iter()
                .zip(subject)
                .all(|((attribute, template), (found, text))| {
                    attribute == found && fits(&template.pieces(&self.id_column, device_id), text)
                })
    }
}

/// Whether a text is made of these pieces, of which some may be anything.
fn fits(pieces: &[Piece], text: &str) -> bool {
    // What stands between two places that may be anything.
    let mut fixed = vec![String::new()];
    for piece in pieces {
        match piece {
            Piece::Text(text) => fixed.last_mut().expect("it has one").push_str(text),
            Piece::Any => fixed.push(String::new()),
        }
    }
    let Some((end, others)) = fixed.split_last().filter(|(_, others)| !others.is_empty()) else {
        return fixed[0] == text;
    };
    let Some(mut rest) = text.strip_prefix(others[0].as_str()) else {
        return false;
    };
    for middle in &others[1..] {
        // The first place is the best one: it leaves the most for what follows.
        match rest.split_once(middle.as_str()) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(end.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(subject: &str) -> Profile {
        let text = include_str!("../../profiles/aws-iot-p256.toml");
        let mut config: super::super::ProfileConfig = toml::from_str(text).unwrap();
        config.subject = Some(subject.split(", ").map(str::to_owned).collect());
        Profile::from_config(&config).unwrap()
    }

    #[test]
    fn a_subject_is_a_devices_when_its_templates_can_give_it() {
        use Attribute::{CommonName, Organization};
        let cases = [
            ("CN={serial_number}", "SN1", "SN1", true),
            ("CN={serial_number}", "SN1", "SN11", false),
            ("CN={serial_number}", "SN1", "sn1", false),
            ("CN={serial_number|lower}", "SN1", "sn1", true),
            ("CN=pump-{serial_number}-{site}", "SN1", "pump-SN1-Lyon", true),
            ("CN=pump-{serial_number}-{site}", "SN1", "pump-SN2-Lyon", false),
            ("CN={site}-{serial_number}", "1", "a-1-1", true),
            ("CN={site}-{serial_number}", "2", "a-2-1", false),
            (
                "CN=Fabrik Köln {site}{serial_number}",
                "1",
                "Fabrik Köln ö1",
                true,
            ),
        ];
        for (template, id, text, is_its) in cases {
            let found = profile(template).may_be_subject(id, &[(CommonName, text)]);
            assert_eq!(found, is_its, "{template}, {id}, {text}");
        }
        let two = profile("O=Example, CN={serial_number}");
        assert!(two.may_be_subject("1", &[(Organization, "Example"), (CommonName, "1")]));
        assert!(!two.may_be_subject("1", &[(CommonName, "1"), (Organization, "Example")]));
        assert!(!two.may_be_subject("1", &[(CommonName, "1")]));
        assert!(two.subject_names_devices());
        assert!(!profile("CN={site}").subject_names_devices());
    }
}
