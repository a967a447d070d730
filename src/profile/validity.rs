//! Validity: from when and until when a device certificate holds, given the clock and the issuer.
//!
//! Invariant: never outside the issuer's own validity.

use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::ProfileError;
use super::config::ValidityConfig;

/// "No well-defined expiration date", 99991231235959Z (RFC 5280, 4.1.2.5).
pub const NO_EXPIRY: i64 = 253_402_300_799;

/// The end of a certificate's validity, as a profile states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAfter {
    /// So many days from now.
    Days(u32),
    /// At this moment.
    Until(OffsetDateTime),
    /// When the issuer expires.
    Issuer,
    /// Never: [`NO_EXPIRY`].
    Never,
}

impl std::fmt::Display for NotAfter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Days(days) => write!(f, "{days} days"),
            Self::Until(moment) => write!(f, "until {}", rfc3339(*moment)),
            Self::Issuer => f.write_str("as long as the issuer"),
            Self::Never => f.write_str("without end"),
        }
    }
}

/// Days below which a certificate is told to be short-lived, when nobody says otherwise.
pub(super) const MIN_DAYS: u32 = 730;

/// From when until when the certificates of a batch end: those that were made on one day end on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ends {
    #[serde(serialize_with = "as_text")]
    pub earliest: OffsetDateTime,
    #[serde(serialize_with = "as_text")]
    pub latest: OffsetDateTime,
}

fn as_text<S: serde::Serializer>(moment: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&rfc3339(*moment))
}

impl Ends {
    /// The end of one certificate, in seconds since 1970; `None` when no clock has it.
    #[must_use]
    pub fn at(seconds: i64) -> Option<Self> {
        let moment = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
        Some(Self {
            earliest: moment,
            latest: moment,
        })
    }

    /// Some and others.
    #[must_use]
    pub fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let (Some(one), Some(other)) = (one, other) else {
            return one.or(other);
        };
        Some(Self {
            earliest: one.earliest.min(other.earliest),
            latest: one.latest.max(other.latest),
        })
    }
}

impl std::fmt::Display for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |moment: OffsetDateTime| match moment.unix_timestamp() {
            NO_EXPIRY => "9999-12-31T23:59:59Z (without end)".to_owned(),
            _ => rfc3339(moment),
        };
        match self.earliest == self.latest {
            true => f.write_str(&text(self.earliest)),
            false => write!(f, "{} to {}", text(self.earliest), text(self.latest)),
        }
    }
}

/// How long certificates hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// How far notBefore lies in the past, against clocks that run behind.
    pub backdate: Duration,
    pub not_after: NotAfter,
}

/// A span of time with a resolution of one second, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
}

/// Why a profile's validity does not fit an issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidityError {
    #[error("certificates would hold until {}, the issuer only until {}", rfc3339(*.not_after), rfc3339(*.issuer))]
    OutlivesIssuer {
        not_after: OffsetDateTime,
        issuer: OffsetDateTime,
    },
    #[error("certificates would have expired on {}", rfc3339(*.not_after))]
    Past { not_after: OffsetDateTime },
}

impl Validity {
    /// The period of a certificate made `now` by an issuer that is itself valid for `issuer`.
    ///
    /// notBefore is held back at the issuer's own. A number of days gives way where the certificate would outlive its
    /// issuer by no more than the backdating, and an hour: a CA and a profile of as many days go together.
    ///
    /// # Errors
    ///
    /// When the certificate would outlive its issuer, or be expired from the start.
    pub fn period(&self, now: OffsetDateTime, issuer: Period) -> Result<Period, ValidityError> {
        let now = now.replace_nanosecond(0).unwrap_or(now);
        let not_before = (now - self.backdate).max(issuer.not_before);
        let not_after = match self.not_after {
            NotAfter::Days(days) => {
                let end = now.saturating_add(Duration::days(i64::from(days)));
                match end.saturating_sub(self.backdate.min(Duration::HOUR)) <= issuer.not_after {
                    true => end.min(issuer.not_after),
                    false => end,
                }
            }
            NotAfter::Until(moment) => moment,
            NotAfter::Issuer => issuer.not_after,
            NotAfter::Never => no_expiry(),
        };
        if not_after > issuer.not_after {
            return Err(ValidityError::OutlivesIssuer {
                not_after,
                issuer: issuer.not_after,
            });
        }
        if not_after <= now {
            return Err(ValidityError::Past { not_after });
        }
        Ok(Period {
            not_before,
            not_after,
        })
    }
}

/// Reads a profile's `[validity]`.
pub(super) fn read(config: &ValidityConfig) -> Result<Validity, ProfileError> {
    let invalid = |field: &str, reason: String| ProfileError::Field {
        field: field.to_owned(),
        reason,
    };
    let not_after = match (config.days, config.until.as_deref(), config.none) {
        (None, None, None | Some(false)) | (None, Some("issuer"), None) => NotAfter::Issuer,
        (Some(0), None, None) => return Err(invalid("validity.days", "must be at least 1".to_owned())),
        (Some(days), None, None) => NotAfter::Days(days),
        (None, Some(text), None) => {
            let moment = OffsetDateTime::parse(text, &Rfc3339).ok();
            let moment = moment.and_then(|moment| moment.checked_to_offset(time::UtcOffset::UTC));
            let moment = moment.ok_or_else(|| {
                invalid(
                    "validity.until",
                    format!("{text:?} is neither issuer nor a moment such as 2049-12-31T23:59:59Z"),
                )
            })?;
            NotAfter::Until(moment.replace_nanosecond(0).unwrap_or(moment))
        }
        (None, None, Some(true)) => NotAfter::Never,
        _ => {
            return Err(invalid(
                "validity",
                "takes exactly one of days, until and none".to_owned(),
            ));
        }
    };
    Ok(Validity {
        backdate: Duration::minutes(i64::from(config.backdate_minutes.unwrap_or(60))),
        not_after,
    })
}

/// [`NO_EXPIRY`] as a date.
#[must_use]
pub fn no_expiry() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NO_EXPIRY).expect("the year 9999 is in range")
}

/// The moment as `2049-12-31T23:59:59Z`.
#[must_use]
pub fn rfc3339(moment: OffsetDateTime) -> String {
    let whole = moment.replace_nanosecond(0).unwrap_or(moment);
    let in_utc = whole.checked_to_offset(time::UtcOffset::UTC);
    let text = in_utc.and_then(|moment| moment.format(&Rfc3339).ok());
    text.unwrap_or_else(|| moment.unix_timestamp().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> OffsetDateTime {
        OffsetDateTime::parse(text, &Rfc3339).unwrap()
    }

    #[test]
    fn stays_within_the_issuer() {
        let issuer = Period {
            not_before: at("2026-01-01T00:00:00Z"),
            not_after: at("2036-01-01T00:00:00Z"),
        };
        let now = at("2026-01-01T00:10:00.5Z");
        let period = |not_after| {
            Validity {
                backdate: Duration::HOUR,
                not_after,
            }
            .period(now, issuer)
        };
        let ten_days = period(NotAfter::Days(10)).unwrap();
        assert_eq!(ten_days.not_before, issuer.not_before);
        assert_eq!(ten_days.not_after, at("2026-01-11T00:10:00Z"));
        assert_eq!(period(NotAfter::Issuer).unwrap().not_after, issuer.not_after);
        // Ten years are 3,652 days, less the ten minutes since the issuer was made.
        assert_eq!(period(NotAfter::Days(3652)).unwrap().not_after, issuer.not_after);
        assert!(period(NotAfter::Days(3653)).is_err());
        assert!(matches!(
            period(NotAfter::Days(4000)),
            Err(ValidityError::OutlivesIssuer { .. })
        ));
        assert!(matches!(
            period(NotAfter::Never),
            Err(ValidityError::OutlivesIssuer { .. })
        ));
        let past = NotAfter::Until(at("2026-01-01T00:00:00Z"));
        assert!(matches!(period(past), Err(ValidityError::Past { .. })));
    }

    #[test]
    fn a_moment_that_utc_does_not_have_is_told_and_never_meant() {
        let text = "9999-12-31T23:59:59-23:59";
        assert_eq!(rfc3339(at(text)), "253402387139");
        assert_eq!(rfc3339(at("0000-01-01T00:00:00+23:59")), "-62167305540");
        let config = ValidityConfig {
            until: Some(text.to_owned()),
            ..ValidityConfig::default()
        };
        assert!(matches!(read(&config), Err(ProfileError::Field { .. })));
    }

    #[test]
    fn ends_are_dates_in_words() {
        let ends = Ends::at(1_799_367_989).unwrap();
        assert_eq!(ends.to_string(), "2027-01-08T00:26:29Z");
        let both = Ends::both(Some(ends), Ends::at(NO_EXPIRY)).map(|ends| ends.to_string());
        assert_eq!(
            both.as_deref(),
            Some("2027-01-08T00:26:29Z to 9999-12-31T23:59:59Z (without end)")
        );
        assert_eq!(Ends::at(i64::MAX), None);
    }

    #[test]
    fn no_expiry_is_the_date_of_rfc_5280() {
        assert_eq!(rfc3339(no_expiry()), "9999-12-31T23:59:59Z");
    }
}
