//! Files good and bad, and their renewal while somebody uses them.

use std::{fs, path::Path, time::Duration};

use rcgen::{CertificateParams, date_time_ymd};
use tokio::time::timeout;

use super::*;
use crate::certificates::{Authority, Issued};

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

fn refused(directory: &Path, issued: &Issued) -> String {
    Tls::load(issued.write(directory)).unwrap_err().to_string()
}

#[test]
fn each_file_of_no_use_is_named_with_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    let check = |issued: &Issued, file: &str, reason: &str| {
        let text = refused(directory.path(), issued);
        assert!(text.contains(file) && text.contains(reason), "{text}");
    };
    let good = Authority::new().issue("localhost");
    let other = Authority::new().issue("localhost");
    check(&Issued { certificate: String::new(), ..good.clone() }, "cert.pem", "has no certificate");
    check(&Issued { certificate: good.key.clone(), ..good.clone() }, "cert.pem", "has no certificate");
    check(&Issued { key: good.certificate.clone(), ..good.clone() }, "key.pem", "has no private key");
    check(&Issued { key: other.key.clone(), ..good.clone() }, "key.pem", "is not that of the certificate");
    check(&Issued { authority: String::new(), ..good.clone() }, "ca.pem", "has no certificate");
    let cut = good.certificate[..good.certificate.len() / 2].to_owned();
    check(&Issued { certificate: cut, ..good.clone() }, "cert.pem", "as PEM");
    let garbled = good.certificate.replacen("MII", "AAA", 1);
    check(&Issued { certificate: garbled, ..good.clone() }, "cert.pem", "cannot use");
    let files = good.write(directory.path());
    fs::remove_file(&files.key).unwrap();
    let missing = Tls::load(files).unwrap_err().to_string();
    assert!(missing.contains("cannot read") && missing.contains("key.pem"), "{missing}");
}

#[test]
fn a_file_is_read_up_to_its_bound() {
    let directory = tempfile::tempdir().unwrap();
    let good = Authority::new().issue("localhost");
    let padded = |bytes: usize| {
        let mut text = good.authority.clone();
        text.push_str(&"\n".repeat(bytes - text.len()));
        Issued { authority: text, ..good.clone() }
    };
    assert!(Tls::load(padded(pem::MAX_FILE_BYTES).write(directory.path())).is_ok());
    assert!(refused(directory.path(), &padded(pem::MAX_FILE_BYTES + 1)).contains("more than 1048576 bytes"));
}

fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_after = date_time_ymd(2001, 1, 1);
    params
}

fn early(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(4000, 1, 1);
    params
}

#[test]
fn a_certificate_out_of_its_time_is_known_whoever_vouches_for_it() {
    let directory = tempfile::tempdir().unwrap();
    for stranger in [None, Some(Authority::new().issue("x").authority)] {
        let authority = Authority::new();
        let of = |issued: Issued| {
            let authority = stranger.clone().unwrap_or_else(|| issued.authority.clone());
            let files = Issued { authority, ..issued }.write(directory.path());
            let material = Material::new(Texts::read(&files).unwrap(), &files).unwrap();
            material.is_in_time(&files)
        };
        assert!(of(authority.issue("localhost")).is_ok());
        assert!(matches!(of(authority.issue_with("localhost", expired)), Err(TlsError::Expired { .. })));
        assert!(matches!(of(authority.issue_with("localhost", early)), Err(TlsError::NotValidYet { .. })));
    }
}

/// Waits until what is shown is this.
async fn shows(tls: &Tls, issued: &Issued) {
    let shown = async {
        while tls.current.load().texts.certificate != issued.certificate.as_bytes() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, shown).await.expect("the renewed certificate is in use");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewed_files_are_used_and_broken_ones_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (first, second, third) = (authority.issue("a"), authority.issue("a"), authority.issue("a"));
    let tls = first.tls(directory.path());
    let renewing = tokio::spawn(Renewal::start(&tls).unwrap().run());
    second.write(directory.path());
    shows(&tls, &second).await;
    let renewed = tls.server();
    // The key of another; then all of the third, which shows that what was between had its chance.
    fs::write(directory.path().join("key.pem"), &first.key).unwrap();
    assert!(Arc::ptr_eq(&renewed, &tls.server()));
    third.write(directory.path());
    shows(&tls, &third).await;
    renewing.abort();
}
