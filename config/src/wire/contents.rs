//! Resources from nothing but their bytes, as they are stored and as operators are given them.

use apigw_proto::v1;
use bytes::Bytes;
use prost::Message as _;

use super::{Resource, ResourceKind};

/// The bytes of a route are not those of one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("resource {index} is no route")]
pub struct ContentsError {
    /// Its place in the revision.
    pub index: usize,
    /// What is wrong with it.
    #[source]
    pub source: prost::DecodeError,
}

/// The resources of a revision: the first are the settings, each other one is the route that its bytes name.
///
/// # Errors
/// When a route cannot be read. Whether it is legal is for [`decode`](super::decode) to say.
pub fn resources(contents: impl IntoIterator<Item = Bytes>) -> Result<Vec<Resource>, ContentsError> {
    let resource = |(index, bytes): (usize, Bytes)| {
        if index == 0 {
            return Ok(Resource::new(ResourceKind::Settings, String::new(), bytes));
        }
        let route = v1::Route::decode(bytes.as_ref()).map_err(|source| ContentsError { index, source })?;
        Ok(Resource::new(ResourceKind::Route, route.name, bytes))
    };
    contents.into_iter().enumerate().map(resource).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{samples::full, wire::encode};

    #[test]
    fn resources_are_found_again_in_their_bytes() {
        let expected = encode(&full()).unwrap();
        assert_eq!(resources(expected.iter().map(|resource| resource.bytes().clone())), Ok(expected));
    }

    #[test]
    fn what_is_no_route_is_told_by_its_place() {
        let refused = resources([Bytes::new(), Bytes::from_static(b"\xff")]).unwrap_err();
        assert_eq!(refused.index, 1);
    }
}
