//! The plan of a batch's images, judged before there is a device.

use std::collections::{BTreeMap, BTreeSet};

use super::PAGE;
use super::item::{LONGEST_KEY, is_key};
use super::layout::{LONGEST_TEXT, Layout, Misfit};
use super::value::Shape;

/// A value's place by name, and what it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub namespace: String,
    pub key: String,
    pub kind: super::Kind,
    /// Octets of a string (without the 0 at its end) or blob at most; says nothing of numbers.
    pub most: usize,
}

/// What the images of a batch have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Octets of the partition.
    pub size: usize,
    /// In the order in which the values are written; namespaces are numbered in the order in which they first appear.
    pub slots: Vec<Slot>,
    pub is_encrypted: bool,
}

/// Octets of a partition at most: whoever writes a profile must not decide how much memory a reader takes.
const MOST_OCTETS: usize = 1 << 20;

/// Why no image can be made so, for the author of a profile. A slot is counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("a partition of {size} octets is not one or more pages of 4096 octets, of 1 MiB at most")]
    Size { size: usize },
    #[error("{name:?} is not 1 to {LONGEST_KEY} characters of ASCII, which NVS asks of keys and namespaces")]
    Name { slot: usize, name: String },
    #[error("the key {key:?} is there twice in the namespace {namespace:?}")]
    Twice {
        slot: usize,
        namespace: String,
        key: String,
    },
    #[error(
        "beside the key {key:?} Espressif's generator writes values of its own for Wi-Fi, which certforge does not; \
         use another key"
    )]
    WiFi { slot: usize, key: &'static str },
    #[error("there are {count} namespaces, and NVS has numbers for 254")]
    Namespaces { count: usize },
    #[error("the string of {key:?} may have {octets} octets, and {} fit", LONGEST_TEXT - 1)]
    LongString { slot: usize, key: String, octets: usize },
    #[error("the blob of {key:?} may have {octets} octets, which are more than 127 pages hold")]
    LongBlob { slot: usize, key: String, octets: usize },
    #[error("the partition of {size} octets is full before {key:?} (one page of three or more stays free)")]
    Full { slot: usize, key: String, size: usize },
}

/// Keys beside which the generator writes others (`write_entry`).
const WIFI: [&str; 5] = ["sta.ssid", "sta.pswd", "ap.ssid", "ap.passwd", "ap.authmode"];

impl Plan {
    /// Judges size and names, which are the same for all devices.
    ///
    /// # Errors
    ///
    /// When no image at all can be made so.
    pub fn judge(&self) -> Result<(), PlanError> {
        let size = self.size;
        if size == 0 || !size.is_multiple_of(PAGE) || size > MOST_OCTETS {
            return Err(PlanError::Size { size });
        }
        self.judge_names()?;
        match self.namespaces().len() {
            0..=254 => Ok(()),
            count => Err(PlanError::Namespaces { count }),
        }
    }

    /// Judges whether every device's values fit, whatever they are within their bounds.
    ///
    /// # Errors
    ///
    /// When some may not.
    pub fn fits(&self) -> Result<(), PlanError> {
        let size = self.size;
        let mut layout = Layout::new(size);
        let mut known = BTreeSet::new();
        for (slot, at) in self.slots.iter().zip(0..) {
            let is_new = known.insert(slot.namespace.as_str());
            let shapes = is_new.then_some(Shape::Number).into_iter().chain([slot.shape()]);
            for shape in shapes {
                let misfit = match layout.lay(shape, |_, _| {}) {
                    Ok(()) => continue,
                    Err(misfit) => misfit,
                };
                let (key, octets) = (slot.key.clone(), slot.most);
                return Err(match misfit {
                    Misfit::Full => PlanError::Full { slot: at, key, size },
                    Misfit::LongText => PlanError::LongString {
                        slot: at,
                        key,
                        octets,
                    },
                    Misfit::ManyChunks => PlanError::LongBlob {
                        slot: at,
                        key,
                        octets,
                    },
                });
            }
        }
        Ok(())
    }

    fn judge_names(&self) -> Result<(), PlanError> {
        let mut keys = BTreeSet::new();
        for (slot, at) in self.slots.iter().zip(0..) {
            if let Some(name) = [&slot.namespace, &slot.key]
                .into_iter()
                .find(|name| !is_key(name))
            {
                return Err(PlanError::Name {
                    slot: at,
                    name: name.clone(),
                });
            }
            if let Some(key) = WIFI.into_iter().find(|key| *key == slot.key) {
                return Err(PlanError::WiFi { slot: at, key });
            }
            if !keys.insert((slot.namespace.as_str(), slot.key.as_str())) {
                return Err(PlanError::Twice {
                    slot: at,
                    namespace: slot.namespace.clone(),
                    key: slot.key.clone(),
                });
            }
        }
        Ok(())
    }

    /// The number of each namespace.
    pub(super) fn namespaces(&self) -> BTreeMap<&str, usize> {
        let mut numbers = BTreeMap::new();
        for slot in &self.slots {
            let next = numbers.len() + 1;
            numbers.entry(slot.namespace.as_str()).or_insert(next);
        }
        numbers
    }
}

impl Slot {
    /// The shape of its longest value.
    fn shape(&self) -> Shape {
        use super::Kind;
        match self.kind {
            Kind::String => Shape::Text {
                octets: self.most.saturating_add(1),
            },
            Kind::Hex | Kind::Base64 | Kind::Binary => Shape::Blob { octets: self.most },
            _ => Shape::Number,
        }
    }
}
