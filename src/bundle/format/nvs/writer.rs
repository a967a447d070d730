//! The writer: a plan for a batch, and then an image for each device.

use zeroize::Zeroize;

use super::PAGE;
use super::encryption::{Cipher, Keys};
use super::item::{self, Item, NO_CHUNK};
use super::layout::{Layout, Part, is_read_only};
use super::page::{self, ENTRY, State};
use super::plan::{Plan, PlanError};
use super::value::Value;

/// Why a device has no image. A slot is counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error("there are {found} values, and the plan has {wanted}")]
    Count { found: usize, wanted: usize },
    #[error("the value is of another type than the plan says")]
    Kind { slot: usize },
    #[error("the value has {octets} octets, and the plan has room for {most}")]
    Long { slot: usize, octets: usize, most: usize },
    #[error("a string has an octet 0, which would end it")]
    Nul { slot: usize },
    #[error("the value does not fit: the partition is full, or it is longer than NVS takes")]
    Full { slot: usize },
    #[error("keys are needed where the plan is encrypted, and only there")]
    Keys,
}

/// Makes the images of a batch.
pub struct Writer {
    plan: Plan,
    /// Of each slot, its namespace's number, and whether it is the first with it.
    namespaces: Vec<(u8, bool)>,
}

impl Writer {
    /// # Errors
    ///
    /// When no image at all can be made so. Whether every device's values fit is for [`Plan::fits`] to say.
    pub fn new(plan: Plan) -> Result<Self, PlanError> {
        plan.judge()?;
        let numbers = plan.namespaces();
        let mut last = 0;
        let number = |name: &str| u8::try_from(numbers[name]).expect("there are at most 254");
        let namespaces = plan.slots.iter().map(|slot| {
            let number = number(&slot.namespace);
            let is_first = number > last;
            last = last.max(number);
            (number, is_first)
        });
        let namespaces = namespaces.collect();
        Ok(Self { plan, namespaces })
    }

    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Octets that an image has at most. All have as many, but for partitions of less than three pages, whose images end
    /// with the last page that is used.
    #[must_use]
    pub fn room(&self) -> usize {
        self.plan.size
    }

    /// Appends a device's image: a value for each slot, in their order. The buffer does not move when it has
    /// [`Writer::room`].
    ///
    /// # Errors
    ///
    /// When the values are not those that were planned for, or do not fit; then nothing was appended. Within the bounds of a
    /// plan that [fits](Plan::fits), all do.
    pub fn append(
        &self,
        values: &[Value<'_>],
        keys: Option<&Keys>,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        self.judge(values)?;
        if keys.is_some() != self.plan.is_encrypted {
            return Err(WriteError::Keys);
        }
        let start = out.len();
        out.resize(start + self.plan.size, 0xFF);
        let cipher = keys.map(Keys::cipher);
        let written = self.lay(values, &mut out[start..]);
        let len = written.map(|written| finish(&mut out[start..], &written, cipher.as_ref()));
        // Of a partition that is only read, the image ends with the last page that is used.
        let is_read_only = is_read_only(self.plan.size);
        match len {
            Ok(len) if is_read_only => out.truncate(start + len),
            Ok(_) => {}
            Err(_) => {
                out[start..].zeroize();
                out.truncate(start);
            }
        }
        len.map(|_| ())
    }

    /// Writes the values, and says how many entries of each page that is used are written.
    fn lay(&self, values: &[Value<'_>], image: &mut [u8]) -> Result<Vec<usize>, WriteError> {
        let mut layout = Layout::new(self.plan.size);
        let mut written = vec![0; self.plan.size / PAGE];
        let slots = self.plan.slots.iter().zip(&self.namespaces);
        for ((value, (planned, (namespace, is_first))), slot) in values.iter().zip(slots).zip(0..) {
            let mut lay = |namespace, key: &str, value: &Value<'_>| {
                let laid = layout.lay(value.shape(), |place, part| {
                    let span = write(&mut image[place.offset()..], namespace, key, value, part);
                    written[place.page] = place.entry + usize::from(span);
                });
                laid.map_err(|_| WriteError::Full { slot })
            };
            if *is_first {
                lay(0, &planned.namespace, &Value::U8(*namespace))?;
            }
            lay(*namespace, &planned.key, value)?;
        }
        written.truncate(layout.pages_used());
        Ok(written)
    }

    fn judge(&self, values: &[Value<'_>]) -> Result<(), WriteError> {
        let [found, wanted] = [values.len(), self.plan.slots.len()];
        if found != wanted {
            return Err(WriteError::Count { found, wanted });
        }
        for ((value, planned), slot) in values.iter().zip(&self.plan.slots).zip(0..) {
            if !planned.kind.is_of(value) {
                return Err(WriteError::Kind { slot });
            }
            let octets = match value {
                Value::String(text) if text.contains('\0') => return Err(WriteError::Nul { slot }),
                Value::String(text) => text.len(),
                Value::Blob(octets) => octets.len(),
                _ => continue,
            };
            let most = planned.most;
            if octets > most {
                return Err(WriteError::Long { slot, octets, most });
            }
        }
        Ok(())
    }
}

/// Writes the headers of the pages that are used, encrypts their entries, and says how many octets they have.
fn finish(image: &mut [u8], written: &[usize], cipher: Option<&Cipher>) -> usize {
    let last = written.len() - 1;
    for (((page, written), number), at) in image.chunks_mut(PAGE).zip(written).zip(0_u32..).zip(0..) {
        let state = if at == last { State::Active } else { State::Full };
        page::begin(page, number, state, *written);
        if let Some(cipher) = cipher {
            let entries = &mut page[2 * ENTRY..][..written * ENTRY];
            cipher.encrypt(at * PAGE + 2 * ENTRY, entries);
        }
    }
    written.len() * PAGE
}

/// Writes a part of a value at the beginning of these entries, and says how many it takes.
fn write(entries: &mut [u8], namespace: u8, key: &str, value: &Value<'_>, part: Part) -> u8 {
    let mut put = |kind, chunk, data, parts: &[&[u8]]| {
        let octets: usize = parts.iter().map(|part| part.len()).sum();
        let span = u8::try_from(1 + octets.div_ceil(ENTRY)).expect("a page has fewer entries");
        let item = Item {
            namespace,
            kind,
            span,
            chunk,
            key,
            data,
        };
        item.write(&mut entries[..ENTRY]);
        let mut at = ENTRY;
        for part in parts {
            entries[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        span
    };
    match (value, part) {
        (Value::Blob(octets), Part::Chunk { index, from, len }) => {
            let chunk: &[&[u8]] = &[&octets[from..from + len]];
            put(item::CHUNK, index, item::described(chunk), chunk)
        }
        (Value::Blob(octets), Part::Index { chunks }) => {
            let len = u32::try_from(octets.len()).expect("127 pages hold less");
            put(item::INDEX, NO_CHUNK, item::index(len, chunks), &[])
        }
        (Value::String(text), _) => {
            let text: &[&[u8]] = &[text.as_bytes(), b"\0"];
            put(item::TEXT, NO_CHUNK, item::described(text), text)
        }
        (number, _) => {
            let (kind, number) = number.number().expect("what is no text and no blob is a number");
            put(kind, NO_CHUNK, number.0, &[])
        }
    }
}
