//! Reads `tracing`.

use super::{Mapping, Place, Read, Reader};
use crate::{
    model::Tracing,
    names::{CollectorUrl, SampleRatio},
};

impl Read for Tracing {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let otlp_endpoint = keys.required("otlp_endpoint");
        let sample_ratio = keys.or("sample_ratio", SampleRatio::ALL);
        keys.finish();

        Some(Self { otlp_endpoint: otlp_endpoint?, sample_ratio: sample_ratio? })
    }
}

impl Read for CollectorUrl {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let text = String::read(place, reader)?;
        reader.take(place, Self::new(&text))
    }
}

impl Read for SampleRatio {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let number = f64::read(place, reader)?;
        reader.take(place, Self::new(number))
    }
}
