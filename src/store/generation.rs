//! A batch as one of its generations has it: the same names, which stand for the generation's own objects.

use std::ops::Range;
use std::sync::Arc;

use super::{Got, How, Listed, Lot, Object, Putting, Store, StoreError, Transport};
use crate::batch::GenerationFolder;

impl Store {
    /// The batch as a generation has it; `None`: as it is itself.
    #[must_use]
    pub fn seen_as(&self, folder: Option<&GenerationFolder>) -> Self {
        folder.map_or_else(|| self.clone(), |folder| self.of_generation(folder))
    }

    /// The batch as a generation has it. Names stand for what the generation has of its own, where it has such, and
    /// otherwise for what the batch has.
    #[must_use]
    pub fn of_generation(&self, folder: &GenerationFolder) -> Self {
        let generation = Some(folder.clone());
        let of = Generation {
            batch: self.transport.clone(),
            folder: folder.clone(),
        };
        Self {
            generation,
            ..Self::over(of)
        }
    }
}

struct Generation {
    batch: Arc<dyn Transport>,
    folder: GenerationFolder,
}

impl Generation {
    fn object(&self, name: &str) -> String {
        self.folder.object(name)
    }

    fn objects(&self, names: &[String]) -> Vec<String> {
        names.iter().map(|name| self.object(name)).collect()
    }
}

impl Transport for Generation {
    fn locate(&self, name: &str) -> String {
        self.batch.locate(&self.object(name))
    }

    fn refuse_exposed(&self) -> Result<(), StoreError> {
        self.batch.refuse_exposed()
    }

    fn tells_writers(&self) -> bool {
        self.batch.tells_writers()
    }

    fn get(&self, names: &[&str], range: Option<Range<u64>>) -> Vec<Result<Got, StoreError>> {
        let objects: Vec<String> = names.iter().map(|name| self.object(name)).collect();
        let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
        self.batch.get(&objects, range)
    }

    fn put(&self, objects: &[Object<'_>], how: &How<'_>) -> Vec<Putting> {
        let objects = objects.iter().map(|object| Object {
            name: self.object(&object.name),
            ..object.clone()
        });
        self.batch.put(&objects.collect::<Vec<_>>(), how)
    }

    fn sync(&self, lots: &[Lot]) -> Vec<Result<(), StoreError>> {
        let lots = lots.iter().map(|lot| match lot {
            Lot::Few(names) => Lot::Few(self.objects(names)),
            Lot::Many => Lot::Many,
        });
        self.batch.sync(&lots.collect::<Vec<_>>())
    }

    fn delete(&self, names: &[String]) -> Vec<Result<(), StoreError>> {
        self.batch.delete(&self.objects(names))
    }

    fn purge(&self, name: &str) -> Result<(), StoreError> {
        self.batch.purge(&self.object(name))
    }

    fn has_leftovers(&self) -> Result<bool, StoreError> {
        self.batch.has_leftovers()
    }

    fn writers(&self, names: &[String]) -> Vec<Result<Option<String>, StoreError>> {
        self.batch.writers(&self.objects(names))
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.batch.list(&self.object(prefix), &mut |listed| {
            if let Some(name) = self.folder.name_of(&listed.name) {
                let name = name.to_owned();
                visit(Listed { name, ..listed });
            }
        })
    }

    fn around(&self) -> Option<Box<dyn Transport>> {
        self.batch.around()
    }

    fn folders(&self) -> Result<Vec<String>, StoreError> {
        self.batch.folders()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;

    #[test]
    fn a_generation_reads_and_writes_its_own_beside_the_batchs() {
        let batch = Memory::default().store();
        let folder = GenerationFolder::new(1, "a1").unwrap();
        let own = batch.of_generation(&folder);
        for (store, name) in [(&batch, "packs/000000.zip"), (&batch, "claims/000000/SN1.json")] {
            assert!(store.create(name, b"batch").unwrap());
        }
        assert!(!own.exists("packs/000000.zip").unwrap());
        assert!(own.create("packs/000000.zip", b"own").unwrap());
        assert!(own.create("seal.json", b"seal").unwrap());
        assert_eq!(**own.read("packs/000000.zip", None).unwrap(), *b"own");
        assert_eq!(**own.read("claims/000000/SN1.json", None).unwrap(), *b"batch");
        assert_eq!(**batch.read("packs/000000.zip", None).unwrap(), *b"batch");
        assert_eq!(
            **batch.read("generations/1/a1/packs/000000.zip", None).unwrap(),
            *b"own"
        );
        let listed = |prefix: &str| {
            let mut names = Vec::new();
            own.list(prefix, &mut |listed| names.push(listed.name)).unwrap();
            names.sort();
            names
        };
        assert_eq!(
            listed(""),
            ["claims/000000/SN1.json", "packs/000000.zip", "seal.json"]
        );
        assert_eq!(listed("packs/"), ["packs/000000.zip"]);
        assert_eq!(listed("claims/"), ["claims/000000/SN1.json"]);
        own.remove("packs/000000.zip").unwrap();
        assert!(batch.exists("packs/000000.zip").unwrap());
        // It is reached where the batch is.
        assert_eq!(own.location(), batch.location());
    }
}
