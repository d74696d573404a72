//! Finds by their hashes what was written into a table, and what was seen lately and was not.
//!
//! A place that is taken by another is no harm: what was there is not found and is written as if it were new. So nothing here
//! grows, and nobody gains by names that share a place.

/// Each hash may be in as many places.
const WAYS: usize = 4;

/// How many entries a table can have, of the smallest size (RFC 7541 section 4.1); usual ones are twice that size.
const PLACES: usize = 4096 / 32;

/// What has been seen, by hashes.
#[derive(Debug, Default)]
pub(super) struct Places(Box<[[Place; WAYS]; PLACES / WAYS]>);

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// What is left of the hash; 0 of nothing.
    tag: u32,
    sight: Sight,
}

/// What is known of a hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sight {
    /// It was seen.
    #[default]
    Lately,
    /// It was the table's entry of this number, and may still be.
    Entry(u32),
}

impl Places {
    /// What is known of a hash. Another with the same may be meant.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> Option<Sight> {
        let (bucket, tag) = place(hash);
        self.0[bucket].iter().find(|place| place.tag == tag).map(|place| place.sight)
    }

    /// Remembers a hash in its own place, in that of one that is not needed, or, if it is an entry's, in any.
    pub(super) fn put(&mut self, hash: u64, sight: Sight, is_needed: impl Fn(Sight) -> bool) {
        let (bucket, tag) = place(hash);
        let bucket = &mut self.0[bucket];
        let own = bucket.iter().position(|place| place.tag == tag);
        let free = || bucket.iter().position(|place| place.tag == 0 || !is_needed(place.sight));
        let any = match sight {
            Sight::Lately => None,
            Sight::Entry(_) => Some(0),
        };
        if let Some(place) = own.or_else(free).or(any) {
            bucket[place] = Place { tag, sight };
        }
    }
}

/// Where a hash may be, and what is left of it there.
#[expect(clippy::cast_possible_truncation, reason = "of a hash, any bits will do")]
#[inline]
pub(super) fn place(hash: u64) -> (usize, u32) {
    (hash as usize % (PLACES / WAYS), (hash >> 32) as u32 | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes of one place.
    fn hash(tag: u32) -> u64 {
        u64::from(2 * tag + 1) << 32 | 7
    }

    #[test]
    fn what_is_needed_stays_and_what_is_not_makes_room() {
        let mut places = Places::default();
        for number in 0..4 {
            places.put(hash(number), Sight::Entry(number), |_| true);
        }
        places.put(hash(4), Sight::Lately, |_| true);
        assert_eq!(places.find(hash(4)), None, "all places are needed");
        assert!((0..4).all(|number| places.find(hash(number)) == Some(Sight::Entry(number))));
        places.put(hash(4), Sight::Lately, |sight| sight != Sight::Entry(2));
        assert_eq!((places.find(hash(4)), places.find(hash(2))), (Some(Sight::Lately), None));
        places.put(hash(3), Sight::Lately, |_| true);
        assert_eq!(places.find(hash(3)), Some(Sight::Lately), "its own place is free to it");
        places.put(hash(5), Sight::Entry(5), |_| true);
        assert_eq!(places.find(hash(5)), Some(Sight::Entry(5)), "an entry takes one that is needed");
    }
}
