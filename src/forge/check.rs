//! The check that comes before any certificate: every row, every fault, on all cores, in one reading. What it
//! cannot know before the end is looked up in the blocks that have it: the lines of a duplicate, and those of
//! devices that were issued before.
//!
//! Memory grows by 16 octets a row, by which duplicates are found, and by a bookmark for each chunk. What is read at a
//! time is bounded by octets, and of what is wrong the first thousand are kept, the others counted.

use std::collections::HashMap;

use rayon::prelude::*;

use super::ForgeError;
use crate::digest::{Repeated, Seen};
use crate::issuer::CaCertificate;
use crate::ledger::Ledger;
use crate::manifest::{
    Block, Bookmark, DeviceId, Manifest, ManifestError, Oddities, Oddity, Problem, Problems, Reason, Row,
    folded,
};
use crate::profile::{Binding, policy_character};

/// Blocks that are parsed at a time, while as many are read.
const BLOCKS_AT_A_TIME: usize = 16;

/// What a manifest holds, and what is wrong with it.
#[derive(Debug)]
pub struct Findings {
    /// Rows, the bad ones among them.
    pub rows: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Lines with a fault or more.
    pub bad_lines: u64,
    pub problems: Problems,
    /// What is odd, and refused by nobody.
    pub oddities: Vec<Oddity>,
    /// One for each chunk, by which the second reading finds it, and is held to the first.
    pub bookmarks: Vec<Bookmark>,
    /// The first good row.
    pub specimen: Option<Row>,
    pub longest: Longest,
}

/// What rows give at most.
#[derive(Debug, Clone, Default)]
pub struct Longest {
    /// Octets of each text of the files.
    pub texts: Vec<usize>,
    /// Octets of all names in a certificate together.
    pub names: usize,
}

/// A manifest without a fault.
#[derive(Debug)]
pub struct Accepted {
    pub rows: u64,
    pub sha256: [u8; 32],
    pub bookmarks: Vec<Bookmark>,
    pub specimen: Row,
    pub longest: Longest,
}

impl Findings {
    /// The manifest, if nothing is wrong with it.
    ///
    /// # Errors
    ///
    /// [`ManifestError::BadLines`] otherwise.
    pub fn accept(self, manifest: &Manifest) -> Result<Accepted, ManifestError> {
        let bad_lines = self.bad_lines;
        match (self.problems.listed().first().cloned(), self.specimen) {
            (Some(first), _) => Err(ManifestError::BadLines {
                path: manifest.path().to_owned(),
                first,
                bad_lines,
            }),
            (None, None) => Err(ManifestError::NoRows {
                path: manifest.path().to_owned(),
            }),
            (None, Some(specimen)) => Ok(Accepted {
                rows: self.rows,
                sha256: self.sha256,
                bookmarks: self.bookmarks,
                specimen,
                longest: self.longest,
            }),
        }
    }
}

/// Reads the whole manifest and finds everything that keeps a row from becoming a bundle.
///
/// # Errors
///
/// When the file cannot be read or has no rows. Bad rows are no error: they are in the findings.
pub fn check(manifest: &Manifest, binding: &Binding, chunk_rows: usize) -> Result<Findings, ManifestError> {
    read(manifest, binding, chunk_rows, &mut |_, _| Ok(()))
}

/// Checks as [`check`] does, and asks the ledger on the way which chunks have a device that the issuer has issued,
/// in whichever batch.
pub(super) fn check_and_ask(
    manifest: &Manifest,
    binding: &Binding,
    chunk_rows: usize,
    (ledger, issuer): (&dyn Ledger, &CaCertificate),
) -> Result<(Findings, Vec<Bookmark>), ForgeError> {
    let mut issued = Vec::new();
    let findings = read(manifest, binding, chunk_rows, &mut |bookmark, ids| {
        if ledger.has_issued(issuer, &texts(ids))? {
            issued.push(bookmark);
        }
        Ok::<_, ForgeError>(())
    })?;
    Ok((findings, issued))
}

fn texts(ids: &[DeviceId]) -> Vec<&str> {
    ids.iter().map(DeviceId::as_str).collect()
}

/// Is shown the devices of each block in turn.
type Visit<'a, E> = &'a mut dyn FnMut(Bookmark, &[DeviceId]) -> Result<(), E>;

/// Reads and checks, and shows `visit` what it has read.
fn read<E: From<ManifestError>>(
    manifest: &Manifest,
    binding: &Binding,
    chunk_rows: usize,
    visit: Visit<'_, E>,
) -> Result<Findings, E> {
    let mut blocks = manifest.blocks(chunk_rows)?;
    let mut findings = Findings {
        rows: 0,
        sha256: [0; 32],
        bad_lines: 0,
        problems: Problems::default(),
        oddities: Vec::new(),
        bookmarks: Vec::new(),
        specimen: None,
        longest: Longest::default(),
    };
    let (mut seen, mut oddities) = (Seen::default(), Oddities::default());
    let mut window = blocks.next_blocks(BLOCKS_AT_A_TIME)?;
    while !window.is_empty() {
        let inspect = |block| inspect(manifest, binding, block);
        let (next, inspected) = rayon::join(
            || blocks.next_blocks(BLOCKS_AT_A_TIME),
            || window.par_iter().map(inspect).collect::<Vec<_>>(),
        );
        for (block, inspected) in window.iter().zip(inspected) {
            findings.rows += block.rows() as u64;
            findings.bookmarks.push(inspected.bookmark);
            findings.bad_lines += inspected.bad_lines;
            findings.problems.extend(inspected.problems);
            findings.specimen = findings.specimen.or(inspected.specimen);
            findings.longest.lengthen(inspected.longest);
            seen.extend(inspected.seen);
            oddities.extend(inspected.oddities);
            visit(inspected.bookmark, &inspected.ids)?;
        }
        window = next?;
    }
    findings.sha256 = blocks.finish();
    if findings.rows == 0 {
        return Err(ManifestError::NoRows {
            path: manifest.path().to_owned(),
        }
        .into());
    }
    find_duplicates(manifest, binding, &seen.repeated(), &mut findings, &mut oddities)?;
    findings.oddities = oddities.finish(binding.id_rules().knows_lengths());
    Ok(findings)
}

struct Inspected {
    bookmark: Bookmark,
    bad_lines: u64,
    problems: Vec<Problem>,
    specimen: Option<Row>,
    longest: Longest,
    ids: Vec<DeviceId>,
    seen: Seen,
    oddities: Oddities,
}

impl Longest {
    /// Takes what is longer.
    fn lengthen(&mut self, other: Self) {
        self.names = self.names.max(other.names);
        if self.texts.is_empty() {
            self.texts = other.texts;
            return;
        }
        for (longest, other) in self.texts.iter_mut().zip(other.texts) {
            *longest = other.max(*longest);
        }
    }
}

fn inspect(manifest: &Manifest, binding: &Binding, block: &Block) -> Inspected {
    let (rows, mut problems) = manifest.parse(block);
    problems.extend(rows.iter().flat_map(|row| binding.problems(row)));
    problems.sort_by_key(|problem| problem.line);
    let specimen = rows.first().cloned();
    let (mut seen, mut oddities) = (Seen::default(), Oddities::default());
    let mut longest = Longest::default();
    for row in &rows {
        // Twins are found as duplicates are: what they are folded to is seen twice.
        seen.add(block.number, &folded(row.device_id.as_str()));
        oddities.add(row);
        let mut names: usize = binding.san(row).map(|(_, value)| value.len()).sum();
        for (attribute, value) in binding.subject(row) {
            names += value.len();
            if let Some(sign) = policy_character(&value) {
                oddities.unfillable(row, format!("subject.{attribute}"), &value, sign);
            }
        }
        let texts = binding.texts(row).iter().map(|text| text.len()).collect();
        longest.lengthen(Longest { texts, names });
    }
    let ids: Vec<DeviceId> = rows.into_iter().map(|row| row.device_id).collect();
    Inspected {
        bookmark: block.bookmark(),
        bad_lines: problems.chunk_by(|one, next| one.line == next.line).count() as u64,
        problems,
        specimen,
        longest,
        seen,
        ids,
        oddities,
    }
}

/// Finds every row whose id, or one that is taken for it, stands on an earlier line, in the blocks that have such ids.
fn find_duplicates(
    manifest: &Manifest,
    binding: &Binding,
    repeated: &Repeated,
    findings: &mut Findings,
    oddities: &mut Oddities,
) -> Result<(), ManifestError> {
    if repeated.blocks.is_empty() {
        return Ok(());
    }
    let mut problems = Problems::default();
    let mut first_lines: HashMap<DeviceId, u64> = HashMap::new();
    let mut first_of_twins: HashMap<String, (u64, DeviceId)> = HashMap::new();
    let mut file = manifest.reread()?;
    for bookmark in repeated
        .blocks
        .iter()
        .filter_map(|block| findings.bookmarks.get(*block as usize))
    {
        let (rows, _) = manifest.parse_again(&file.block(bookmark)?)?;
        for row in rows {
            let folded = folded(row.device_id.as_str());
            if !repeated.has(&folded) {
                continue;
            }
            match first_lines.get(&row.device_id) {
                None => {
                    match first_of_twins.get(&folded) {
                        Some(first) => oddities.twins(first, &row),
                        None => drop(first_of_twins.insert(folded, (row.line, row.device_id.clone()))),
                    }
                    first_lines.insert(row.device_id, row.line);
                }
                Some(&first_line) => {
                    findings.bad_lines += u64::from(binding.problems(&row).is_empty());
                    problems.extend([on_id(manifest, &row, Reason::Duplicate { first_line })]);
                }
            }
        }
    }
    findings.problems.merge(problems);
    Ok(())
}

pub(super) fn on_id(manifest: &Manifest, row: &Row, reason: Reason) -> Problem {
    Problem {
        line: row.line,
        column: Some(manifest.id_column().to_owned()),
        value: Some(row.device_id.to_string()),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;
    use time::OffsetDateTime;

    use super::super::{Cancel, Care, Job, Summary, run};
    use super::*;
    use crate::batch::Layout;
    use crate::engine::Choice;
    use crate::issuer::{CaFiles, CaRequest, Issuer, Secret, create};
    use crate::ledger;
    use crate::manifest::{DEFAULT_ID_COLUMN, LISTED, openings};
    use crate::profile::{Attribute, KeyType, NotAfter, Profile};
    use crate::store::{Store, StoreError};

    struct Factory {
        folder: TempDir,
        issuer: Issuer,
    }

    fn text(devices: impl Iterator<Item = u32>) -> String {
        let rows: String = devices.map(|device| format!("SN{device:05}\n")).collect();
        format!("serial_number\n{rows}")
    }

    impl Factory {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let now = OffsetDateTime::now_utc();
            let request = CaRequest {
                subject: vec![(Attribute::CommonName, "factory".to_owned())],
                key_type: KeyType::P256,
                not_after: NotAfter::Days(30),
                path_len: Some(0),
            };
            let ca = folder.path().join("ca");
            create(&request, None, now).unwrap().write(&ca, None).unwrap();
            let ask = &mut |_: Secret<'_>| unreachable!("not encrypted");
            let issuer = Issuer::load(&CaFiles::in_folder(&ca), &Choice::Auto, now, ask).unwrap();
            Self { folder, issuer }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Runs over a manifest with these devices. Returns also how often the file was opened: once for its
        /// header, and once for each reading.
        fn run(
            &self,
            name: &str,
            devices: impl Iterator<Item = u32>,
        ) -> (Result<Summary, ForgeError>, usize) {
            let path = self.path(name);
            std::fs::write(&path, text(devices)).unwrap();
            self.run_as_it_is(name, false)
        }

        fn run_as_it_is(&self, name: &str, reissue: bool) -> (Result<Summary, ForgeError>, usize) {
            let path = self.path(name);
            let before = openings::of(&path);
            let manifest = Manifest::open(&path, DEFAULT_ID_COLUMN).unwrap();
            let batch = format!("of-{name}");
            let job = Job {
                manifest: &manifest,
                profile: &Profile::load("aws-iot-p256", None).unwrap(),
                issuer: &self.issuer,
                engines: Choice::Auto,
                layout: Layout::Packs,
                batch: reissue.then_some(&*batch),
                chunk_rows: Some(8),
                shard: None,
                reissue,
                min_validity: time::Duration::ZERO,
                jobs: 2,
                now: OffsetDateTime::now_utc(),
            };
            let mut ledger = ledger::open(&self.folder.path().join("certforge.db"), [1; 16]).unwrap();
            let open = |batch: &str| -> Result<Store, StoreError> {
                Ok(Store::in_folder(self.folder.path().join(batch)))
            };
            let result = run(
                &job,
                (&mut *ledger, &Care::default()),
                &open,
                &|_| {},
                &Cancel::new(),
            );
            (result, openings::of(&path) - before)
        }
    }

    #[test]
    fn a_manifest_is_read_once_for_the_check_and_once_for_the_work() {
        let factory = Factory::new();
        let made = |(result, openings): (Result<Summary, ForgeError>, usize)| {
            let summary = result.unwrap();
            assert!(summary.failure.is_none(), "{summary:?}");
            assert_eq!(openings, 3);
            (summary.made, summary.skipped)
        };
        assert_eq!(made(factory.run("a.csv", 0..200)), (200, 0));
        // With devices that were issued before, behind, among and before these.
        assert_eq!(made(factory.run("b.csv", (1000..1200).step_by(2))), (100, 0));
        assert_eq!(made(factory.run("c.csv", (1001..1201).step_by(2))), (100, 0));
        assert_eq!(made(factory.run("d.csv", 300..350)), (50, 0));
        // Once more: every device is issued, by right.
        assert_eq!(made(factory.run("c.csv", (1001..1201).step_by(2))), (0, 100));
    }

    #[test]
    fn what_was_issued_before_is_found_in_the_chunks_that_have_it() {
        let factory = Factory::new();
        factory.run("a.csv", 100..110).0.unwrap();
        let (result, openings) = factory.run("b.csv", 0..200);
        match result.unwrap_err() {
            ForgeError::Issued { first, lines, .. } => {
                assert_eq!(
                    (first.line, first.value.as_deref(), lines),
                    (102, Some("SN00100"), 10)
                );
            }
            other => panic!("{other}"),
        }
        assert_eq!(openings, 3, "header, check, and the chunks that have it");
    }

    #[test]
    fn duplicates_are_found_in_the_blocks_that_have_them() {
        let factory = Factory::new();
        let (result, openings) = factory.run("a.csv", (0..100).chain([7, 50, 50]).chain(200..300));
        match result.unwrap_err() {
            ForgeError::Manifest(ManifestError::BadLines { first, bad_lines, .. }) => {
                assert_eq!((first.line, bad_lines), (102, 3));
                assert_eq!(first.reason, Reason::Duplicate { first_line: 9 });
            }
            other => panic!("{other}"),
        }
        assert_eq!(openings, 3, "header, check, and the blocks that have them");
    }

    #[test]
    fn a_manifest_that_is_swapped_between_two_readings_is_refused_at_each() {
        let factory = Factory::new();
        let honest = text(0..40);
        let double = text((0..30).chain([2]).chain(31..40));
        // Openings: header, check, duplicates or work, work. The reading that is deceived is put right right behind.
        for (name, begin, deceived, lie) in [
            ("header.csv", &honest, 2, text(0..40).replace("serial", "seriel")),
            ("duplicates.csv", &double, 3, honest.clone()),
            ("work.csv", &honest, 3, double.clone()),
            ("shorter.csv", &honest, 3, text(0..20)),
        ] {
            let path = factory.path(name);
            std::fs::write(&path, begin).unwrap();
            openings::swap(&path, deceived, &lie);
            openings::swap(&path, deceived + 1, begin);
            let (result, _) = factory.run_as_it_is(name, true);
            let error = match result {
                Err(error) => error,
                Ok(summary) => summary.failure.expect("it made something of it"),
            };
            let is_changed = matches!(error, ForgeError::Manifest(ManifestError::Changed { .. }));
            assert!(is_changed, "{name}: {error}");
            // Chunks that were as they had been are made, and nothing else is.
            let released = factory.path(&format!("of-{name}")).join("index");
            for index in std::fs::read_dir(released).into_iter().flatten() {
                let index = std::fs::read_to_string(index.unwrap().path()).unwrap();
                let ids = index.lines().skip(1).map(|row| &row[..7]);
                assert!(ids.into_iter().all(|id| honest.contains(id)), "{name}: {index}");
                assert!(index.matches("SN00002").count() <= 1, "{name}: {index}");
            }
        }
    }

    #[test]
    fn of_many_bad_lines_the_first_are_listed_and_all_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devices.csv");
        let rows: String = (0..2500)
            .map(|row| format!("SN/{row}\nSN{}\n", row % 500))
            .collect();
        std::fs::write(&path, format!("serial_number\n{rows}")).unwrap();
        let manifest = Manifest::open(&path, DEFAULT_ID_COLUMN).unwrap();
        let profile = Profile::load("aws-iot-p256", None).unwrap();
        let binding = Binding::new(&profile, manifest.header(), &path).unwrap();
        let findings = check(&manifest, &binding, 64).unwrap();
        assert_eq!((findings.rows, findings.bad_lines), (5000, 4500));
        assert_eq!(findings.problems.listed().len(), LISTED);
        let unlisted: Vec<_> = findings.problems.unlisted().values().copied().collect();
        assert_eq!(unlisted.iter().sum::<u64>(), 3500);
    }
}
