//! The keys of a backend, by the same rules.

use apigw_proto::v1;

use super::Keys;

impl Keys {
    pub(super) fn named_backend(&mut self, backend: v1::Backend) {
        // The name is what it is compared by.
        let v1::Backend { name: _, endpoints, balance, http2, tls, health } = backend;
        // In one line: by their places, one that goes would make another of all that follow.
        let endpoint = |v1::Endpoint { url, weight }| match weight {
            1 => url,
            weight => format!("{url} weight {weight}"),
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
        if let Some(v1::BackendHealth { active }) = health {
            active.into_iter().for_each(|check| self.active_check(check));
        }
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
