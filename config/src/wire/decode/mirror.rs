//! Reads who is sent copies of the requests of a peer's route.

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::Mirror,
    names::{BackendName, Percent},
    problem::{KeyPath, Problems},
};

pub(super) fn mirror(message: &v1::Mirror, at: &KeyPath<'_>, problems: &mut Problems) -> Option<Mirror> {
    let v1::Mirror { backend, percent } = message;
    let mut fields = Fields { at: *at, problems };
    let backend = fields.take("backend", BackendName::new(backend));
    let percent = fields.take("percent", Percent::new(*percent));
    Some(Mirror { backend: backend?, percent: percent? })
}
