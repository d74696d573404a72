//! Who a bearer token says the caller is, and whether that can be believed (JSON Web Tokens: RFC 7519, signed as
//! RFC 7515 says, used as RFC 6750 says, with the care RFC 8725 asks for).
//!
//! A token never decides how it is verified: algorithms come from the configuration and the key, keys from the provider's
//! key set. Nothing here fetches a key, follows an address in a token, or reads a clock.

/// What a request shows for itself: its one bearer token.
pub mod authorization;
/// Why a token is not believed.
pub mod error;
/// JSON that can be read in one way only.
mod json;
/// Times as tokens write them.
pub mod time;
/// How tokens are signed.
pub mod algorithm;
/// A token taken apart. Nothing in it is believed yet.
pub mod token;
/// What is equal when two things are the same.
mod mark;
/// What verifies signatures.
pub mod keys;
/// What a believed token says.
pub mod claims;
/// Whether a token of one provider is believed.
pub mod verify;
/// Whether a token of any provider is believed.
pub mod providers;
/// Tokens that were believed before.
pub mod cache;
/// When a provider's keys are fetched, and when they are not.
pub mod key_store;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod forgeries;
#[cfg(test)]
mod vectors;
