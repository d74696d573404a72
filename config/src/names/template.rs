//! Texts with names in them, such as `client ${client_ip}`; `$${` stands for `${`. What a name stands for is the business of
//! whoever has such texts.

use std::mem;

use super::ValueError;

/// A piece of such a text.
pub(super) enum Piece<'a> {
    /// As it is; not empty.
    Text(String),
    /// What stands in `${...}`.
    Name(&'a str),
}

/// The pieces of a text, in their order.
pub(super) struct Pieces<'a> {
    text: &'a str,
    rest: &'a str,
    /// Behind the text that was given last.
    name: Option<&'a str>,
}

impl<'a> Pieces<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, rest: text, name: None }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>, ValueError>;

    /// An error where a name does not end.
    fn next(&mut self) -> Option<Self::Item> {
        let mut plain = String::new();
        while self.name.is_none()
            && let Some((before, behind)) = self.rest.split_once("${")
        {
            if let Some(before) = before.strip_suffix('$') {
                plain += before;
                plain += "${";
                self.rest = behind;
                continue;
            }
            plain += before;
            let Some((name, rest)) = behind.split_once('}') else {
                self.rest = "";
                return Some(Err(ValueError::OpenVariable { text: self.text.into() }));
            };
            (self.name, self.rest) = (Some(name), rest);
        }
        if self.name.is_none() {
            plain += mem::take(&mut self.rest);
        }
        if plain.is_empty() {
            self.name.take().map(Piece::Name).map(Ok)
        } else {
            Some(Ok(Piece::Text(plain)))
        }
    }
}
