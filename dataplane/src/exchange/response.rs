//! An answer, wherever it comes from: what HTTP says of it, and its body.

use apigw_engine::fields::Fields;
use http::StatusCode;

/// An answer. Its version is a matter of the connection that it travels on.
#[derive(Debug)]
pub(crate) struct Response<B> {
    pub(crate) status: StatusCode,
    pub(crate) headers: Fields,
    pub(crate) body: B,
}

impl<B> Response<B> {
    /// One without fields.
    pub(crate) fn new(status: StatusCode, body: B) -> Self {
        Self { status, headers: Fields::new(), body }
    }

    /// The same with another body.
    pub(crate) fn map<C>(self, change: impl FnOnce(B) -> C) -> Response<C> {
        Response { status: self.status, headers: self.headers, body: change(self.body) }
    }
}

impl<B> From<http::Response<B>> for Response<B> {
    fn from(response: http::Response<B>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers.into(), body }
    }
}
