//! Reads which answers of a route are compressed.

use super::{Mapping, Place, Read, Reader};
use crate::{
    model::Compression,
    names::{ByteCount, ContentCodings, MediaRanges},
};

/// What the file says of it; none: they are not, or not any more.
#[derive(Debug, Clone, Default)]
pub(super) struct CompressionInFile(pub(super) Option<Box<Compression>>);

impl Read for CompressionInFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        // A section that says nothing of it could be meant either way.
        let enabled: Option<bool> = keys.required("enabled");
        let algorithms = keys.or("algorithms", ContentCodings::default());
        let min_bytes = keys.or("min_bytes", ByteCount::KIBIBYTE);
        let content_types = keys.or("content_types", MediaRanges::default());
        keys.finish();

        let compression =
            Compression { algorithms: algorithms?, min_bytes: min_bytes?, content_types: content_types? };
        Some(Self(enabled?.then(|| Box::new(compression))))
    }
}

impl Read for ContentCodings {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let codings = Vec::read(place, reader)?;
        reader.take(place, Self::new(codings))
    }
}

impl Read for MediaRanges {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let ranges = Vec::read(place, reader)?;
        reader.take(place, Self::new(ranges))
    }
}
