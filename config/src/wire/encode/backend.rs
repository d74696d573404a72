//! One backend and its endpoints.

use apigw_proto::v1;

use crate::{
    model::{Backend, BackendTls, Endpoint, Protocol},
    names::FilePath,
};

impl From<&Backend> for v1::Backend {
    fn from(backend: &Backend) -> Self {
        Self {
            name: backend.name().to_string(),
            endpoints: backend.endpoints().iter().map(Into::into).collect(),
            balance: Some(v1::Balance { policy: backend.balance.to_string() }),
            http2: backend.protocol == Protocol::Http2,
            tls: backend.tls().map(Into::into),
        }
    }
}

impl From<&Endpoint> for v1::Endpoint {
    fn from(endpoint: &Endpoint) -> Self {
        Self { url: endpoint.url.as_str().into(), weight: endpoint.weight.get().into() }
    }
}

impl From<&BackendTls> for v1::BackendTls {
    fn from(tls: &BackendTls) -> Self {
        Self {
            ca_file: tls.ca_file.as_ref().map_or("", FilePath::as_str).into(),
            certificate: tls.certificate.as_ref().map(Into::into),
            server_name: tls.server_name.as_ref().map_or_else(String::new, ToString::to_string),
        }
    }
}
