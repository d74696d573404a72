//! Resources from nothing but their bytes, as they are stored and as operators are given them.

use apigw_proto::v1;
use bytes::Bytes;
use prost::Message as _;

use super::{Resource, ResourceKind};

/// The bytes of a backend or a route are not those of one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("resource {index} is no backend or route")]
pub struct ContentsError {
    /// Its place in the revision.
    pub index: usize,
    /// What is wrong with it.
    #[source]
    pub source: prost::DecodeError,
}

/// The resources of a revision: the first are the settings, so many follow that are backends, each other one is a route. What
/// they are named is found in their bytes.
///
/// # Errors
/// When one cannot be read. Whether it is legal is for [`decode`](super::decode) to say.
pub fn resources(
    contents: impl IntoIterator<Item = Bytes>,
    backends: usize,
) -> Result<Vec<Resource>, ContentsError> {
    let resource = |(index, bytes): (usize, Bytes)| {
        if index == 0 {
            return Ok(Resource::new(ResourceKind::Settings, String::new(), bytes));
        }
        let (kind, name) = if index <= backends {
            let backend = v1::Backend::decode(bytes.as_ref());
            (ResourceKind::Backend, backend.map(|backend| backend.name))
        } else {
            (ResourceKind::Route, v1::Route::decode(bytes.as_ref()).map(|route| route.name))
        };
        let name = name.map_err(|source| ContentsError { index, source })?;
        Ok(Resource::new(kind, name, bytes))
    };
    contents.into_iter().enumerate().map(resource).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{samples::with_backend, wire::encode};

    #[test]
    fn resources_are_found_again_in_their_bytes() {
        let expected = encode(&with_backend()).unwrap();
        let is_backend = |resource: &&Resource| resource.entry().kind == ResourceKind::Backend;
        let backends = expected.iter().filter(is_backend).count();
        assert!(backends > 0);
        assert_eq!(
            resources(expected.iter().map(|resource| resource.bytes().clone()), backends),
            Ok(expected)
        );
    }

    #[test]
    fn what_is_no_backend_and_no_route_is_told_by_its_place() {
        for backends in [0, 1] {
            let refused = resources([Bytes::new(), Bytes::from_static(b"\xff")], backends).unwrap_err();
            assert_eq!(refused.index, 1);
        }
    }
}
