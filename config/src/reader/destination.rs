//! Reads where a route's requests go.

use super::{Mapping, Place, Read, Reader};
use crate::{
    model::{BackendPlace, ClientAddress, Destination, HashKey, Mirror, Split, SplitPart},
    names::{BackendName, SplitWeight, ValueError},
    problem::Position,
};

/// Where a route's requests go.
pub(super) struct DestinationInFile {
    pub(super) destination: Option<Destination>,
    /// None: it could not be read.
    pub(super) mirror: Option<MirrorInFile>,
    pub(super) backends: BackendPositions,
}

/// Who is sent copies.
pub(super) struct MirrorInFile {
    /// None: nobody.
    pub(super) mirror: Option<Box<Mirror>>,
    /// Of its backend's name.
    position: Position,
}

/// Where a route names backends.
pub(super) struct BackendPositions {
    /// In `backend`; where there is none, the route.
    backend: Position,
    /// In each entry of `split`.
    split: Vec<Position>,
    /// In `mirror`.
    mirror: Position,
}

impl BackendPositions {
    /// Of a route that cannot be read.
    pub(super) fn all_at(position: Position) -> Self {
        Self { backend: position, split: Vec::new(), mirror: position }
    }

    /// Where a backend is named.
    pub(super) fn of(&self, place: BackendPlace) -> Position {
        match place {
            BackendPlace::Backend => self.backend,
            BackendPlace::Split(index) => self.split.get(index).copied().unwrap_or(self.backend),
            BackendPlace::Mirror => self.mirror,
        }
    }
}

/// Backends that share the requests.
struct SplitInFile {
    parts: Vec<SplitPart>,
    positions: Vec<Position>,
}

/// One entry of `split`.
struct PartInFile {
    part: SplitPart,
    /// Of its backend's name.
    position: Position,
}

impl DestinationInFile {
    /// Exactly one of the keys says it.
    pub(super) fn read(keys: &mut Mapping<'_, '_>) -> Self {
        const KEYS: [&str; 5] = ["upstream", "backend", "split", "redirect", "respond"];
        let second = KEYS.into_iter().filter(|key| keys.has(key)).nth(1);
        let upstream = keys.or("upstream", None).map(|url| url.map(Destination::Upstream));
        let backend = keys.or("backend", None).map(|name| name.map(Destination::Backend));
        let split: Option<Option<SplitInFile>> = keys.or("split", None);
        let by = keys.or("split_by", None);
        let positions = split.iter().flatten().flat_map(|split| &split.positions);
        let mirror = keys.or("mirror", MirrorInFile { mirror: None, position: keys.position_of("mirror") });
        let backends = BackendPositions {
            backend: keys.position_of("backend"),
            split: positions.copied().collect(),
            mirror: mirror.as_ref().map_or(keys.position_of("mirror"), |mirror| mirror.position),
        };
        if keys.has("split_by") && !keys.has("split") {
            keys.report("split_by", ValueError::NothingSplit);
        }
        let split = by.zip(split).and_then(|(by, split)| match split {
            Some(split) => split.by(by, keys).map(Some),
            None => Some(None),
        });
        let redirect = keys.or("redirect", None).map(|redirect| redirect.map(Destination::Redirect));
        let respond = keys.or("respond", None).map(|answer| answer.map(Destination::Respond));
        if let Some(second) = second {
            keys.report(second, ValueError::SeveralDestinations);
            return Self { destination: None, mirror, backends };
        }
        let one = || Some(upstream?.or(backend?).or(split?).or(redirect?).or(respond?));
        let one = one();
        if let Some(None) = &one {
            let message = "missing: a route has one of upstream, backend, split, redirect and respond";
            keys.report("upstream", message);
        }
        Self { destination: one.flatten(), mirror, backends }
    }
}

impl SplitInFile {
    /// Tells what is wrong with the parts together.
    fn by(self, by: Option<HashKey>, keys: &mut Mapping<'_, '_>) -> Option<Destination> {
        let Self { parts, positions } = self;
        match Split::new(parts, by) {
            Ok(split) => Some(Destination::Split(split.into())),
            Err(errors) => {
                for error in errors {
                    match error.part() {
                        Some(index) => keys.report_item("split", (index, positions[index]), error),
                        None => keys.report("split", error),
                    }
                }
                None
            }
        }
    }
}

impl Read for SplitInFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let parts = Vec::<PartInFile>::read(place, reader)?.into_iter();
        let (parts, positions) = parts.map(|PartInFile { part, position }| (part, position)).unzip();
        Some(Self { parts, positions })
    }
}

impl Read for PartInFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let backend: Option<BackendName> = keys.required("backend");
        let weight = keys.or("weight", SplitWeight::default());
        let position = keys.position_of("backend");
        keys.finish();

        Some(Self { part: SplitPart { backend: backend?, weight: weight? }, position })
    }
}

impl Read for MirrorInFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let backend: Option<BackendName> = keys.required("backend");
        let percent = keys.or("percent", Mirror::DEFAULT_PERCENT);
        let position = keys.position_of("backend");
        keys.finish();

        Some(Self { mirror: Some(Box::new(Mirror { backend: backend?, percent: percent? })), position })
    }
}

impl Read for HashKey {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let header = keys.or("header", None);
        let cookie = keys.or("cookie", None);
        let by_address = keys.or("ip", false);
        keys.finish();

        let address = if by_address? { ClientAddress::Hashed } else { ClientAddress::Ignored };
        reader.take(place, Self::one_of(header?, cookie?, address))
    }
}
