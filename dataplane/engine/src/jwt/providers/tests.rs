//! Which provider judges a token, and how long its verdict is remembered.

use std::{hash::RandomState, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::jwt::{
    algorithm::Algorithm,
    cache::CacheLimits,
    samples::{Held, NOW, SigningKey, at, demands, good_claims, good_token, header, key, key_set, set_of},
    verify::Demands,
};

const STAFF: ProviderIndex = ProviderIndex(0);
const PARTNERS: ProviderIndex = ProviderIndex(1);
const ANYBODY: ProviderIndex = ProviderIndex(2);

fn provider(name: &str, issuers: &[&str]) -> Verifier {
    let issuers = issuers.iter().map(ToString::to_string).collect();
    Verifier::new(name, Demands { issuers, ..demands() })
}

/// Two that name their issuers, one that does not.
fn providers() -> Providers {
    Providers::new(vec![
        provider("staff", &["https://issuer"]),
        provider("partners", &["https://partners", "https://old"]),
        provider("anybody", &[]),
    ])
}

fn issued_by(issuer: &Value, signer: &SigningKey) -> String {
    let mut claims = good_claims();
    claims["iss"] = issuer.clone();
    if issuer.is_null() {
        claims.as_object_mut().unwrap().remove("iss");
    }
    signer.token(Algorithm::EdDsa, &header(Algorithm::EdDsa), &claims.to_string())
}

fn new_key() -> SigningKey {
    SigningKey::generate(Algorithm::EdDsa)
}

fn set(key: &SigningKey) -> KeySet {
    set_of(&[key.jwk("eddsa")])
}

fn cache() -> TokenCache {
    TokenCache::new(CacheLimits { entries: 10, bytes: 1 << 20 }, RandomState::new())
}

fn verdict(token: &str, accepted: &Accepted, keys: &Held) -> Result<String, JwtError> {
    let verdict = providers().judge(token, accepted, keys, &mut cache(), at(NOW));
    verdict.map(|verified| verified.provider().to_owned()).map_err(|refusal| refusal.error)
}

#[test]
fn the_issuer_chooses_the_provider() {
    let (staff, partners, anybody) = (new_key(), new_key(), new_key());
    let keys = Held(vec![Some(set(&staff)), Some(set(&partners)), Some(set(&anybody))]);
    let check = |issuer: Value, signer, expected: Result<&str, JwtError>| {
        let verdict = verdict(&issued_by(&issuer, signer), &Accepted::All, &keys);
        assert_eq!(verdict, expected.map(str::to_owned), "{issuer}");
    };
    check(json!("https://issuer"), &staff, Ok("staff"));
    check(json!("https://partners"), &partners, Ok("partners"));
    check(json!("https://old"), &partners, Ok("partners"));
    check(json!("https://elsewhere"), &anybody, Ok("anybody"));
    check(Value::Null, &anybody, Ok("anybody"));
    // A key of one provider says nothing in the name of another.
    check(json!("https://issuer"), &partners, Err(JwtError::Signature));
    check(json!("https://issuer"), &anybody, Err(JwtError::Signature));
    check(json!("https://elsewhere"), &staff, Err(JwtError::Signature));
    check(json!(5), &anybody, Err(JwtError::Claims));
}

#[test]
fn a_route_takes_only_the_providers_it_names() {
    let (staff, partners) = (new_key(), new_key());
    let keys = Held(vec![Some(set(&staff)), Some(set(&partners)), Some(set(&staff))]);
    let of_staff = issued_by(&json!("https://issuer"), &staff);
    let only = |providers: &[ProviderIndex]| Accepted::Only(providers.to_vec());
    assert_eq!(verdict(&of_staff, &only(&[STAFF]), &keys), Ok("staff".into()));
    assert_eq!(verdict(&of_staff, &only(&[PARTNERS, STAFF]), &keys), Ok("staff".into()));
    assert_eq!(verdict(&of_staff, &only(&[PARTNERS]), &keys), Err(JwtError::Issuer));
    assert_eq!(verdict(&of_staff, &only(&[]), &keys), Err(JwtError::Issuer));
    assert_eq!(verdict(&of_staff, &only(&[ANYBODY]), &keys), Ok("anybody".into()));
}

#[test]
fn a_verdict_for_one_route_is_none_for_another() {
    let staff = new_key();
    let keys = Held(vec![Some(set(&staff)), Some(set(&new_key())), None]);
    let token = issued_by(&json!("https://issuer"), &staff);
    let (providers, mut cache) = (providers(), cache());
    assert!(providers.judge(&token, &Accepted::All, &keys, &mut cache, at(NOW)).is_ok());
    let partners = Accepted::Only(vec![PARTNERS]);
    let refused = providers.judge(&token, &partners, &keys, &mut cache, at(NOW)).map(|_| ()).unwrap_err();
    assert_eq!(refused.error, JwtError::Issuer);
    assert_eq!(cache.len(), 1);
}

#[test]
fn several_providers_of_one_issuer_are_all_asked() {
    let (first, second, forger) = (new_key(), new_key(), new_key());
    let providers = Providers::new(vec![
        provider("first", &["https://issuer"]),
        provider("second", &["https://issuer"]),
        provider("open", &[]),
    ]);
    let keys = Held(vec![Some(set(&first)), Some(set(&second)), Some(set(&forger))]);
    let judge = |signer| {
        let token = issued_by(&json!("https://issuer"), signer);
        let verdict = providers.judge(&token, &Accepted::All, &keys, &mut cache(), at(NOW));
        verdict.map(|verified| verified.provider().to_owned()).map_err(|refusal| refusal.error)
    };
    assert_eq!(judge(&first), Ok("first".into()));
    assert_eq!(judge(&second), Ok("second".into()));
    assert_eq!(judge(&forger), Err(JwtError::Signature), "the open one is not asked where others are named");
}

#[test]
fn of_several_reasons_the_one_of_the_furthest_provider_is_told() {
    let providers =
        Providers::new(vec![provider("first", &["https://issuer"]), provider("second", &["https://issuer"])]);
    let (knows_name, knows_other) = (set(&new_key()), set_of(&[new_key().jwk("other")]));
    let keys = Held(vec![Some(knows_name), Some(knows_other)]);
    let forged = issued_by(&json!("https://issuer"), &new_key());
    let refused =
        providers.judge(&forged, &Accepted::All, &keys, &mut cache(), at(NOW)).map(|_| ()).unwrap_err();
    assert_eq!((refused.error, refused.awaited), (JwtError::Signature, vec![ProviderIndex(1)]));
}

#[test]
fn providers_that_may_know_the_key_are_named() {
    let keys = Held(vec![Some(set(&new_key())), None, None]);
    let refusal = |token: &str| {
        providers().judge(token, &Accepted::All, &keys, &mut cache(), at(NOW)).map(|_| ()).unwrap_err()
    };
    let unknown = |kid: &str, issuer: &str| {
        let mut claims = good_claims();
        claims["iss"] = issuer.into();
        new_key().token(Algorithm::EdDsa, &format!(r#"{{"alg":"EdDSA"{kid}}}"#), &claims.to_string())
    };
    let refused = refusal(&unknown(r#","kid":"new""#, "https://issuer"));
    assert_eq!((refused.error, refused.awaited), (JwtError::UnknownKey, vec![STAFF]));
    let refused = refusal(&unknown(r#","kid":"new""#, "https://partners"));
    assert_eq!((refused.error, refused.awaited), (JwtError::KeysUnavailable, vec![PARTNERS]));
    // Without a name there is nothing to look for: the one key of the set is asked.
    let refused = refusal(&unknown("", "https://issuer"));
    assert_eq!((refused.error, refused.awaited), (JwtError::Signature, vec![]));
}

#[test]
fn a_remembered_token_costs_no_signature_check() {
    let (providers, mut cache) = (Providers::new(vec![provider("staff", &["https://issuer"])]), cache());
    let keys = Held(vec![Some(key_set())]);
    let token = good_token(Algorithm::EdDsa);
    let mut judge = |now| {
        let verdict = providers.judge(&token, &Accepted::All, &keys, &mut cache, at(now));
        verdict.map_err(|refusal| refusal.error)
    };
    let first = judge(NOW).unwrap();
    let again = judge(NOW + 1).unwrap();
    assert!(Arc::ptr_eq(&first, &again), "the same verdict, not one like it");
    assert_eq!(judge(NOW + 60).map(|_| ()), Err(JwtError::Expired));
}

#[test]
fn a_verdict_ends_with_its_key() {
    let providers = Providers::new(vec![provider("staff", &["https://issuer"])]);
    let old = key(Algorithm::EdDsa);
    let new = new_key();
    let token = good_token(Algorithm::EdDsa);
    let mut cache = cache();
    let mut judge = |jwks: &[Value]| {
        let keys = Held(vec![Some(set_of(jwks))]);
        let verdict = providers.judge(&token, &Accepted::All, &keys, &mut cache, at(NOW));
        verdict.map_err(|refusal| refusal.error)
    };
    let first = judge(&[old.jwk("eddsa")]).unwrap();
    // The next key is announced, then the old one goes.
    let both = judge(&[new.jwk("next"), old.jwk("eddsa")]).unwrap();
    assert!(Arc::ptr_eq(&first, &both), "a set that still holds the key costs no signature check");
    assert_eq!(judge(&[new.jwk("next")]).map(|_| ()), Err(JwtError::UnknownKey));
    // Come back, it must convince anew; under another name, or for another use, it does not.
    assert!(judge(&[old.jwk("eddsa")]).is_ok());
    assert_eq!(
        judge(&[new.jwk("eddsa")]).map(|_| ()),
        Err(JwtError::Signature),
        "the name now is another key's"
    );
    assert!(judge(&[old.jwk("eddsa")]).is_ok());
    assert_eq!(judge(&[old.jwk("renamed")]).map(|_| ()), Err(JwtError::UnknownKey));
    assert!(judge(&[old.jwk("eddsa")]).is_ok());
    let mut for_encryption = old.jwk("eddsa");
    for_encryption["use"] = "enc".into();
    assert_eq!(judge(&[for_encryption]).map(|_| ()), Err(JwtError::UnknownKey));
}

#[test]
fn a_verdict_on_a_token_without_key_name_ends_with_its_set() {
    let providers = Providers::new(vec![provider("staff", &["https://issuer"])]);
    let old = key(Algorithm::EdDsa);
    let token = old.token(Algorithm::EdDsa, r#"{"alg":"EdDSA"}"#, &good_claims().to_string());
    let mut cache = cache();
    let mut judge = |jwks: &[Value]| {
        let keys = Held(vec![Some(set_of(jwks))]);
        let verdict = providers.judge(&token, &Accepted::All, &keys, &mut cache, at(NOW));
        verdict.map(|_| ()).map_err(|refusal| refusal.error)
    };
    assert_eq!(judge(&[old.jwk("a")]), Ok(()));
    assert_eq!(judge(&[old.jwk("a"), new_key().jwk("b")]), Err(JwtError::UnknownKey));
}

#[test]
fn a_verdict_ends_with_the_demands_it_met() {
    let keys = Held(vec![Some(key_set()), None, None]);
    let token = good_token(Algorithm::EdDsa);
    let mut cache = cache();
    let mut judge = |name: &str, demands| {
        let providers = Providers::new(vec![Verifier::new(name, demands)]);
        let verdict = providers.judge(&token, &Accepted::All, &keys, &mut cache, at(NOW));
        verdict.map(|verified| verified.provider().to_owned()).map_err(|refusal| refusal.error)
    };
    assert_eq!(judge("staff", demands()), Ok("staff".into()));
    let audiences = vec!["other".into()];
    assert_eq!(judge("staff", Demands { audiences, ..demands() }), Err(JwtError::Audience));
    assert_eq!(judge("staff", demands()), Ok("staff".into()));
    let algorithms = [Algorithm::Rs256].into_iter().collect();
    assert_eq!(judge("staff", Demands { algorithms, ..demands() }), Err(JwtError::Algorithm));
    assert_eq!(
        judge("renamed", Demands { leeway: Duration::from_secs(1), ..demands() }),
        Ok("renamed".into())
    );
}

#[test]
fn keys_that_were_never_fetched_are_not_the_tokens_fault() {
    let keys = Held(vec![None, None, None]);
    let verdict = verdict(&good_token(Algorithm::EdDsa), &Accepted::All, &keys);
    assert_eq!(verdict, Err(JwtError::KeysUnavailable));
    assert_eq!(JwtError::KeysUnavailable.challenge(), "Bearer");
}

#[test]
fn providers_are_found_by_name() {
    assert_eq!(providers().named("partners"), Some(PARTNERS));
    assert_eq!(providers().named("nobody"), None);
}
