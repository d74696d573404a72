//! What differs between two configurations, key by key, under the names that the file has for them.
//!
//! Two configurations have no difference exactly when they mean the same (their root hashes are equal). Secrets are
//! compared and never shown. What a difference brings about is not known here; see the engine's `effects`.

/// A part of a configuration as its keys and their values.
mod keys;
/// The value of a key.
mod value;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
};

use serde::Serialize;

use self::keys::Keys;
pub use self::value::{Hidden, Value};
use crate::model::{Auth, GatewayConfig, Provider, Settings};

/// The most names that are told of a changed order.
const MAX_ORDER_NAMES: usize = 8;

/// Whose key changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What is neither a provider, a backend nor a route.
    Settings,
    /// A provider of tokens.
    Provider,
    /// A backend.
    Backend,
    /// A route.
    Route,
    /// In which order providers, backends or routes stand.
    Order,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Whose key.
    pub kind: Kind,
    /// Which provider, backend or route; "providers", "backends" or "routes" of an order; empty for the settings.
    pub name: String,
    /// The key beneath it, such as `rate_limit.rps`; empty when it is there as a whole, or not at all.
    pub path: String,
    /// None: it was not there.
    pub from: Option<Value>,
    /// None: it is not there any more.
    pub to: Option<Value>,
}

/// All differences: of the settings, then of the providers, the backends and the routes in the order of the file.
#[must_use]
pub fn changes<'a>(before: &'a GatewayConfig, after: &'a GatewayConfig) -> Vec<Change> {
    let mut changes = Vec::new();
    if before.settings() != after.settings() {
        compare(&mut changes, Kind::Settings, "", &Keys::of(before.settings()), &Keys::of(after.settings()));
        let providers = |settings| providers(settings).map(|provider| (provider.name.as_str(), provider));
        compare_lists(
            &mut changes,
            Kind::Provider,
            providers(before.settings()),
            providers(after.settings()),
        );
    }
    if !before.backends().is_shared_with(after.backends()) {
        let backends = |config: &'a GatewayConfig| {
            config.backends().iter().map(|backend| (backend.name().as_str(), backend.as_ref()))
        };
        compare_lists(&mut changes, Kind::Backend, backends(before), backends(after));
    }
    let routes = |config| GatewayConfig::routes(config).map(|route| (route.name.as_str(), route));
    compare_lists(&mut changes, Kind::Route, routes(before), routes(after));
    changes
}

fn providers(settings: &Settings) -> impl Iterator<Item = &Provider> {
    settings.auth.iter().flat_map(Auth::providers)
}

/// Compares what is known by its name.
fn compare_lists<'a, T: PartialEq + 'a>(
    changes: &mut Vec<Change>,
    kind: Kind,
    before: impl Iterator<Item = (&'a str, &'a T)>,
    after: impl Iterator<Item = (&'a str, &'a T)>,
) where
    Keys: From<&'a T>,
{
    let (before, after): (Vec<_>, Vec<_>) = (before.collect(), after.collect());
    let (known, present): (HashMap<_, _>, HashSet<_>) =
        (before.iter().copied().collect(), after.iter().map(|(name, _)| *name).collect());
    let whole = |item: &'a T| Some(Value::Section(Keys::from(item).into_map()));
    let change = |name: &str, from, to| Change { kind, name: name.into(), path: String::new(), from, to };
    for (name, item) in before.iter().filter(|(name, _)| !present.contains(name)) {
        changes.push(change(name, whole(item), None));
    }
    for (name, item) in &after {
        match known.get(name) {
            None => changes.push(change(name, None, whole(item))),
            Some(former) if former == item => {}
            Some(former) => compare(changes, kind, name, &Keys::from(*former), &Keys::from(*item)),
        }
    }
    let stayed = before.iter().map(|(name, _)| *name).filter(|name| present.contains(name)).collect();
    let stay = after.iter().map(|(name, _)| *name).filter(|name| known.contains_key(name)).collect();
    changes.extend(reordered(kind, stayed, stay));
}

/// The part of two orders of the same names in which they differ.
fn reordered(kind: Kind, mut before: Vec<&str>, mut after: Vec<&str>) -> Option<Change> {
    let ahead = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    before.drain(..ahead);
    after.drain(..ahead);
    while before.last().is_some_and(|name| after.last() == Some(name)) {
        before.pop();
        after.pop();
    }
    let told = |names: &[&str]| {
        let mut told: Vec<String> = names.iter().take(MAX_ORDER_NAMES).map(|&name| name.into()).collect();
        if names.len() > MAX_ORDER_NAMES {
            told.push(format!("{} more", names.len() - MAX_ORDER_NAMES));
        }
        Some(Value::List(told))
    };
    let name = match kind {
        Kind::Provider => "providers",
        Kind::Backend => "backends",
        Kind::Settings | Kind::Route | Kind::Order => "routes",
    };
    let change = || Change {
        kind: Kind::Order,
        name: name.into(),
        path: String::new(),
        from: told(&before),
        to: told(&after),
    };
    (!before.is_empty()).then(change)
}

/// Compares the keys of one thing. A section of which one side has nothing is one difference.
fn compare(changes: &mut Vec<Change>, kind: Kind, name: &str, before: &Keys, after: &Keys) {
    let (before, after) = (before.as_map(), after.as_map());
    let heads = |keys: &BTreeMap<String, Value>| -> BTreeSet<String> {
        keys.keys().map(|path| head(path).to_owned()).collect()
    };
    let (heads_before, heads_after) = (heads(before), heads(after));
    let mut change = |path: &str, from, to| {
        changes.push(Change { kind, name: name.into(), path: path.into(), from, to });
    };
    for head in heads_before.union(&heads_after) {
        match (heads_before.contains(head), heads_after.contains(head)) {
            (true, false) => change(head, section(before, head), None),
            (false, true) => change(head, None, section(after, head)),
            _ => {
                let beneath = |path: &&String| self::head(path) == head;
                let paths: BTreeSet<_> = before.keys().chain(after.keys()).filter(beneath).collect();
                for path in paths.into_iter().filter(|path| before.get(*path) != after.get(*path)) {
                    change(path, before.get(path).cloned(), after.get(path).cloned());
                }
            }
        }
    }
}

fn head(path: &str) -> &str {
    path.split_once('.').map_or(path, |(head, _)| head)
}

/// All that is beneath a key; the value of the key itself, if it has one.
fn section(keys: &BTreeMap<String, Value>, head: &str) -> Option<Value> {
    let beneath = |(path, value): (&String, &Value)| {
        let rest = path.strip_prefix(head)?.strip_prefix('.')?;
        Some((rest.to_owned(), value.clone()))
    };
    keys.get(head).cloned().or_else(|| Some(Value::Section(keys.iter().filter_map(beneath).collect())))
}

impl fmt::Display for Change {
    /// One line: `route orders: rate_limit.rps 5 -> 50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, path, from, to } = self;
        match kind {
            Kind::Settings => f.write_str(path)?,
            Kind::Order => write!(f, "order of {name}:")?,
            Kind::Provider => write_key(f, "provider", name, path)?,
            Kind::Backend => write_key(f, "backend", name, path)?,
            Kind::Route => write_key(f, "route", name, path)?,
        }
        match (from, to) {
            (Some(Value::Secret(_)), Some(Value::Secret(_))) => f.write_str(" (secret) changed"),
            (Some(from), Some(to)) => write!(f, " {from} -> {to}"),
            (None, Some(to)) => write!(f, " added {to}"),
            (Some(_), None) => f.write_str(" removed"),
            (None, None) => Ok(()),
        }
    }
}

fn write_key(f: &mut fmt::Formatter<'_>, word: &str, name: &str, path: &str) -> fmt::Result {
    write!(f, "{word} {name}")?;
    if path.is_empty() { Ok(()) } else { write!(f, ": {path}") }
}

#[cfg(test)]
mod tests;
