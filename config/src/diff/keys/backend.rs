//! The keys of a backend, by the same rules.

use apigw_proto::v1;

use super::Keys;

impl Keys {
    pub(super) fn named_backend(&mut self, backend: v1::Backend) {
        // The name is what it is compared by.
        let v1::Backend { name: _, endpoints, balance, http2, tls, health, slow_start_us, session_cookie } =
            backend;
        // In one line: by their places, one that goes would make another of all that follow.
        let endpoint = |v1::Endpoint { url, weight, drain, each_address }| {
            let weight = if weight == 1 { String::new() } else { format!(" weight {weight}") };
            let each = if each_address { " each address" } else { "" };
            format!("{url}{each}{weight}{}", if drain { " drain" } else { "" })
        };
        self.list("endpoints", endpoints.into_iter().map(endpoint).collect());
        if let Some(v1::Balance { policy, header, cookie, ip }) = balance {
            self.text("balance.policy", policy);
            self.text("balance.header", header);
            self.text("balance.cookie", cookie);
            if ip {
                self.truth("balance.ip", true);
            }
        }
        self.truth("http2", http2);
        self.seconds("slow_start_seconds", slow_start_us);
        if let Some(v1::SessionCookie { name, secret, ttl_seconds }) = session_cookie {
            self.text("session_cookie.name", name);
            self.secret("session_cookie.secret", secret);
            self.count_above_0("session_cookie.ttl_seconds", ttl_seconds.into());
        }
        let v1::BackendHealth { active, outlier } = health.unwrap_or_default();
        active.into_iter().for_each(|check| self.active_check(check));
        outlier.into_iter().for_each(|outlier| self.outlier(outlier));
        if let Some(v1::BackendTls { ca_file, certificate, server_name }) = tls {
            if ca_file.is_empty() && certificate.is_none() && server_name.is_empty() {
                // Then it still forbids what is in clear.
                self.truth("tls", true);
            }
            self.text("tls.ca_file", ca_file);
            if let Some(v1::CertificateFiles { cert_file, key_file }) = certificate {
                self.text("tls.cert_file", cert_file);
                self.text("tls.key_file", key_file);
            }
            self.text("tls.server_name", server_name);
        }
    }

    fn outlier(&mut self, outlier: v1::Outlier) {
        let v1::Outlier { consecutive_failures, failure_rate, ejection_us, max_ejected_percent } = outlier;
        self.count("health.outlier.consecutive_failures", consecutive_failures.into());
        if let Some(v1::FailureRate { percent, window_us, minimum_requests }) = failure_rate {
            self.number("health.outlier.failure_percent", percent);
            self.seconds("health.outlier.window_seconds", window_us);
            self.count("health.outlier.minimum_requests", minimum_requests.into());
        }
        self.seconds("health.outlier.ejection_seconds", ejection_us);
        self.number("health.outlier.max_ejected_percent", max_ejected_percent);
    }

    fn active_check(&mut self, check: v1::ActiveCheck) {
        let v1::ActiveCheck { path, interval_us, timeout_us, unhealthy_threshold, healthy_threshold } = check;
        if path.is_empty() {
            self.truth("health.active.tcp", true);
        }
        self.text("health.active.path", path);
        self.seconds("health.active.interval_seconds", interval_us);
        self.seconds("health.active.timeout_seconds", timeout_us);
        self.count("health.active.unhealthy_threshold", unhealthy_threshold.into());
        self.count("health.active.healthy_threshold", healthy_threshold.into());
    }
}
