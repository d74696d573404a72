//! What a gateway is to be like in one row of a table, and what is asked of it.

/// A gateway's configuration and its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// How many routes it has; the last one is asked for.
    pub routes: usize,
    /// How many threads or processes carry its traffic.
    pub workers: usize,
    /// How many connections of clients are busy.
    pub connections: usize,
    /// How long the body of each request is; 0: it has none.
    pub request_bytes: usize,
    /// How long each answer is.
    pub answer_bytes: usize,
    /// How clients reach it.
    pub door: Door,
    /// What it does beside forwarding.
    pub protection: Protection,
    /// How many tokens clients show in turn; 0: none.
    pub tokens: usize,
}

/// How clients reach a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// HTTP/1.1 in clear.
    Clear,
    /// HTTP/1.1 over TLS 1.3.
    Tls,
    /// HTTP/2 over TLS 1.3.
    Http2,
}

/// What a gateway does beside forwarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Nothing.
    Bare,
    /// A rate limit by address, a limit of requests at once, a circuit breaker, and an access log.
    Limits,
    /// The same, by user, and RS256 tokens checked by published keys.
    Tokens,
}

/// What a scenario varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// [`Shape::routes`].
    Routes,
    /// [`Shape::workers`].
    Workers,
    /// [`Shape::connections`].
    Connections,
    /// [`Shape::request_bytes`].
    RequestBytes,
    /// [`Shape::answer_bytes`].
    AnswerBytes,
}

/// Streams that are busy on each connection of HTTP/2.
pub const STREAMS: usize = 8;

/// Of nearly all measurements: one route, two workers, 64 connections, a small answer.
pub const PLAIN: Shape = Shape {
    routes: 1,
    workers: 2,
    connections: 64,
    request_bytes: 0,
    answer_bytes: 48,
    door: Door::Clear,
    protection: Protection::Bare,
    tokens: 0,
};

impl Shape {
    /// The path that is asked for: something beneath the last of its prefixes.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}x", prefix(self.routes - 1))
    }

    /// How it is asked for.
    #[must_use]
    pub fn method(&self) -> &'static str {
        if self.request_bytes == 0 { "GET" } else { "POST" }
    }

    /// Without what a bare proxy does not do; the requests are the same.
    #[must_use]
    pub fn bare(self) -> Self {
        Self { protection: Protection::Bare, ..self }
    }
}

impl Axis {
    /// A shape with this value.
    #[must_use]
    pub fn set(self, value: usize, shape: Shape) -> Shape {
        match self {
            Self::Routes => Shape { routes: value, ..shape },
            Self::Workers => Shape { workers: value, ..shape },
            Self::Connections => Shape { connections: value, ..shape },
            Self::RequestBytes => Shape { request_bytes: value, ..shape },
            Self::AnswerBytes => Shape { answer_bytes: value, ..shape },
        }
    }

    /// A shape's value.
    #[must_use]
    pub fn of(self, shape: &Shape) -> usize {
        match self {
            Self::Routes => shape.routes,
            Self::Workers => shape.workers,
            Self::Connections => shape.connections,
            Self::RequestBytes => shape.request_bytes,
            Self::AnswerBytes => shape.answer_bytes,
        }
    }

    /// What its values count.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::RequestBytes | Self::AnswerBytes => "bytes",
            Self::Routes | Self::Workers | Self::Connections => self.title(),
        }
    }

    /// What stands beside an axis of its values.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Routes => "routes",
            Self::Workers => "workers",
            Self::Connections => "connections",
            Self::RequestBytes => "size of a request",
            Self::AnswerBytes => "size of an answer",
        }
    }
}

/// The prefix of a route, by its number from 0.
#[must_use]
pub fn prefix(number: usize) -> String {
    format!("/api/service{number}/")
}
