//! Reads whose certificates make a peer's callers known.

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::{Mtls, PolicyError},
    problem::{KeyPath, Problems},
};

pub(super) fn mtls(message: &v1::Mtls, at: &KeyPath<'_>, problems: &mut Problems) -> Option<Mtls> {
    let v1::Mtls { dns_names, uris, emails, common_names } = message;
    let mut fields = Fields { at: *at, problems };
    let dns_names = fields.parse_all("dns_names", dns_names);
    let uris = fields.parse_all("uris", uris);
    let emails = fields.parse_all("emails", emails);
    let common_names = fields.parse_all("common_names", common_names);
    let mtls = Mtls { dns_names: dns_names?, uris: uris?, emails: emails?, common_names: common_names? };
    let report = |errors: Vec<PolicyError>| {
        for PolicyError { key, error } in errors {
            fields.take::<()>(key, Err(error));
        }
    };
    mtls.checked().map_err(report).ok()
}
