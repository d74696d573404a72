//! What a request asks for, as the access log has it.

use apigw_engine::path::NormalPath;
use http::{Method, Uri};

/// A request's method and path.
pub(super) struct Target {
    method: Method,
    uri: Uri,
    /// Where it differs from the URI's.
    normal_path: Option<String>,
}

impl Target {
    /// As received.
    pub(super) fn new(method: &Method, uri: &Uri) -> Self {
        Self { method: method.clone(), uri: uri.clone(), normal_path: None }
    }

    /// Takes the form in which the path is judged.
    pub(super) fn set_path(&mut self, path: &NormalPath<'_>) {
        if !path.is_as_received() {
            self.normal_path = Some(path.to_string());
        }
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// As received.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// In the form in which it is judged, if there is one.
    pub(super) fn path(&self) -> &str {
        self.normal_path.as_deref().unwrap_or_else(|| self.uri.path())
    }
}
