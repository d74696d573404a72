//! What was published, kept on disk: the last so many revisions with their content.
//!
//! A revision's content is shared with every other one that has it: each leaf of its list is a file under its hash. A
//! record is written when all its leaves are there, so whatever ends this process, what is found afterwards is a whole
//! revision or none. What is damaged is passed over with one line in the log and never read as something
//! else.

/// One revision, and the bytes that remember it.
mod record;
/// The files.
mod store;

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use apigw_config::wire::{self, Hash, Leaf, Revision};
use tracing::warn;

use self::{record::RecordError, store::Store};
pub(crate) use self::{
    record::{Origin, Record},
    store::{Place, StoreError},
};

/// Why there is no content of a revision.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HistoryError {
    #[error("revision {place} is not kept")]
    Unknown { place: Place },
    #[error("revision {place} is damaged on the disk")]
    Damaged { place: Place },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The history. Written by one, read by many.
#[derive(Debug)]
pub(crate) struct History {
    store: Store,
    limit: usize,
    /// The oldest first.
    records: Mutex<VecDeque<Record>>,
    /// Locked while files are written; whoever reads does not wait for it.
    ledger: Mutex<Ledger>,
}

/// What the files are needed for.
#[derive(Debug, Default)]
struct Ledger {
    /// How many records need each leaf.
    uses: HashMap<Hash, usize>,
    /// The newest that was ever written, whether its record is still good or not.
    newest: Option<Place>,
    /// Records that are none any more.
    damaged: Vec<Place>,
}

impl History {
    /// Reads what is kept in a directory; of that, at most the last `limit` revisions stay.
    pub(crate) fn open(directory: &Path, limit: usize) -> Result<Self, StoreError> {
        let store = Store::open(directory)?;
        let mut ledger = Ledger::default();
        let mut records = VecDeque::new();
        let mut checked = HashMap::new();
        for place in store.places()? {
            ledger.newest = Some(place);
            match whole(&store, place, &mut checked) {
                Ok((record, hashes)) => {
                    ledger.need(&hashes);
                    records.push_back(record);
                }
                Err(error) => {
                    warn!(revision = %place, error = %error, "a revision of the history is passed over");
                    ledger.damaged.push(place);
                }
            }
        }
        store.sweep(ledger.uses.keys().copied());
        let history = Self { store, limit, records: Mutex::new(records), ledger: Mutex::new(ledger) };
        history.forget_old(&mut lock(&history.ledger))?;
        Ok(history)
    }

    /// The newest first.
    pub(crate) fn records(&self) -> Vec<Record> {
        lock(&self.records).iter().rev().cloned().collect()
    }

    /// The newest revision that is whole.
    pub(crate) fn newest(&self) -> Option<Record> {
        lock(&self.records).back().cloned()
    }

    /// When the newest revision of all was published, even if nothing else of it is left.
    pub(crate) fn newest_place(&self) -> Option<Place> {
        lock(&self.ledger).newest
    }

    /// The record of a revision.
    pub(crate) fn find(&self, revision: Revision) -> Option<Record> {
        lock(&self.records).iter().find(|record| record.revision == revision).cloned()
    }

    /// The content of a revision. Reads files.
    pub(crate) fn leaves(&self, revision: Revision) -> Result<Vec<Arc<Leaf>>, HistoryError> {
        let place = place(revision);
        self.find(revision).ok_or(HistoryError::Unknown { place })?;
        let (_, hashes) = Record::decode(&self.store.record(place)?)?;
        if wire::root_of(hashes.iter().copied()) != revision.root_hash {
            return Err(HistoryError::Damaged { place });
        }
        let leaf = |hash| self.store.leaf(hash).map(Arc::new).ok_or(HistoryError::Damaged { place });
        hashes.into_iter().map(leaf).collect()
    }

    /// Keeps a revision, which must be newer than all before it. When this returns, it is on the disk.
    pub(crate) fn keep<'l>(
        &self,
        record: Record,
        leaves: impl IntoIterator<Item = &'l Arc<Leaf>>,
    ) -> Result<(), StoreError> {
        let mut ledger = lock(&self.ledger);
        let leaves: Vec<&Leaf> = leaves.into_iter().map(AsRef::as_ref).collect();
        let is_missing = |leaf: &&Leaf| !ledger.uses.contains_key(&leaf.hash());
        self.store.write_leaves(&leaves.iter().copied().filter(is_missing).collect::<Vec<_>>())?;
        let (place, hashes) =
            (place(record.revision), leaves.iter().map(|leaf| leaf.hash()).collect::<Vec<_>>());
        self.store.write_record(place, &record.encode(&hashes))?;
        ledger.newest = ledger.newest.max(Some(place));
        ledger.need(&hashes);
        lock(&self.records).push_back(record);
        self.tidy(&mut ledger);
        Ok(())
    }

    /// Notes that the file says what the newest revision says.
    pub(crate) fn agree(&self) -> Result<(), HistoryError> {
        let Some(mut record) = self.newest().filter(|record| record.held_back.is_some()) else {
            return Ok(());
        };
        let place = place(record.revision);
        let (_, hashes) = Record::decode(&self.store.record(place)?)?;
        record.held_back = None;
        self.store.write_record(place, &record.encode(&hashes))?;
        if let Some(newest) = lock(&self.records).back_mut() {
            *newest = record;
        }
        Ok(())
    }

    /// What could not be removed is not needed, and is tried again at the next start.
    fn tidy(&self, ledger: &mut Ledger) {
        if let Err(error) = self.forget_old(ledger) {
            warn!(error = %error, "what the history does not need any more cannot be removed");
        }
    }

    /// Removes what is beyond the limit, and damaged records as old as that.
    fn forget_old(&self, ledger: &mut Ledger) -> Result<(), StoreError> {
        let mut is_swept = true;
        loop {
            let oldest = {
                let mut records = lock(&self.records);
                if records.len() > self.limit { records.pop_front() } else { None }
            };
            let Some(record) = oldest else { break };
            let place = place(record.revision);
            let stored = self.store.record(place);
            self.store.remove_record(place)?;
            // Without its record it is not known what it needed; the next start sweeps it.
            let hashes = stored.ok().and_then(|bytes| Some(Record::decode(&bytes).ok()?.1));
            is_swept &= !ledger.release(&hashes.unwrap_or_default());
        }
        if !is_swept {
            self.store.sweep(ledger.uses.keys().copied());
        }
        let oldest = lock(&self.records).front().map(|record| place(record.revision));
        let is_old = |place: &mut Place| oldest.is_some_and(|oldest| *place < oldest);
        for place in ledger.damaged.extract_if(.., is_old) {
            if let Err(error) = self.store.remove_record(place) {
                warn!(revision = %place, %error, "a damaged record cannot be removed");
            }
        }
        Ok(())
    }
}

impl Ledger {
    fn need(&mut self, hashes: &[Hash]) {
        for hash in hashes {
            *self.uses.entry(*hash).or_default() += 1;
        }
    }

    /// Whether there is something that nobody needs any more when these are needed once less.
    fn release(&mut self, hashes: &[Hash]) -> bool {
        let before = self.uses.len();
        for hash in hashes {
            if let Some(uses) = self.uses.get_mut(hash) {
                *uses -= 1;
                if *uses == 0 {
                    self.uses.remove(hash);
                }
            }
        }
        self.uses.len() < before
    }
}

/// A record whose leaves are all there. What was checked of them before is not read again.
fn whole(
    store: &Store,
    place: Place,
    checked: &mut HashMap<Hash, bool>,
) -> Result<(Record, Vec<Hash>), HistoryError> {
    let (record, hashes) = Record::decode(&store.record(place)?)?;
    if self::place(record.revision) != place {
        return Err(HistoryError::Damaged { place });
    }
    let mut is_good = |hash: &Hash| *checked.entry(*hash).or_insert_with(|| store.leaf(*hash).is_some());
    if hashes.iter().all(&mut is_good) { Ok((record, hashes)) } else { Err(HistoryError::Damaged { place }) }
}

fn place(revision: Revision) -> Place {
    Place { epoch: revision.epoch, seq: revision.seq }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change of what is locked is complete before anything can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
