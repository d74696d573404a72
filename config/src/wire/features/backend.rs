//! What a backend asks for.

use apigw_proto::v1;

use super::{Feature, Needs};

impl Needs {
    pub(super) fn named_backend(&mut self, backend: v1::Backend) {
        let v1::Backend { name: _, endpoints, balance, http2, tls, health, slow_start_us, session_cookie } =
            backend;
        self.add(Feature::Backends);
        // A build that does not do this would send requests to what is about to leave.
        for v1::Endpoint { url: _, weight: _, drain, each_address } in endpoints {
            // One that does not do this would give all addresses together the share of one.
            if each_address {
                self.add(Feature::BackendEachAddress);
            }
            if drain {
                self.add(Feature::BackendDrain);
            }
        }
        // A build that does not know a policy refuses its name.
        if let Some(v1::Balance { policy: _, header: _, cookie: _, ip: _ }) = balance {}
        if http2 {
            self.add(Feature::BackendHttp2);
        }
        // A build that does not do this would give all at once to one that is not warm.
        if slow_start_us > 0 {
            self.add(Feature::BackendSlowStart);
        }
        // A build that does not do this would send clients to endpoints that do not know them.
        if let Some(v1::SessionCookie { name: _, secret: _, ttl_seconds: _ }) = session_cookie {
            self.add(Feature::BackendSessionCookie);
        }
        // A build that does not do these would send requests to what is down.
        let v1::BackendHealth { active, outlier } = health.unwrap_or_default();
        if let Some(v1::ActiveCheck {
            path: _,
            interval_us: _,
            timeout_us: _,
            unhealthy_threshold: _,
            healthy_threshold: _,
        }) = active
        {
            self.add(Feature::BackendHealth);
        }
        if let Some(v1::Outlier {
            consecutive_failures: _,
            failure_rate: _,
            ejection_us: _,
            max_ejected_percent: _,
        }) = outlier
        {
            self.add(Feature::BackendOutlier);
        }
        // A build that reads backends applies all of it.
        if let Some(v1::BackendTls { ca_file: _, certificate, server_name: _ }) = tls
            && let Some(v1::CertificateFiles { cert_file: _, key_file: _ }) = certificate
        {}
    }
}
