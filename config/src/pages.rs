//! Cutting what is too long for one message into several.
//!
//! Both sides of the API send lists of any length in messages of at most [`MAX_MESSAGE_BYTES`]. This module only counts;
//! it knows no message and holds nothing.

use apigw_proto::{MAX_MESSAGE_BYTES, v1};
use prost::Message;

use crate::problem::Problem;

/// The most bytes of one item, so that a message that holds it alone keeps the limit.
pub const MAX_ITEM_BYTES: usize = MAX_MESSAGE_BYTES - 1_024;

/// The most items of one page: keeps the decoded form of a page of tiny items small as well.
pub const MAX_PAGE_ITEMS: usize = 16_384;

/// What protobuf writes before a nested item: its field's tag and its length.
const ITEM_PREFIX_BYTES: usize = 8;

/// How many leading items fit one message, by the encoded length of each.
///
/// At least 1 unless there are none: an item above [`MAX_ITEM_BYTES`] stands alone, for the sender's limit to refuse.
pub fn fitting(item_bytes: impl IntoIterator<Item = usize>) -> usize {
    let mut total = 0;
    let mut count = 0;
    for bytes in item_bytes.into_iter().take(MAX_PAGE_ITEMS) {
        total += bytes + ITEM_PREFIX_BYTES;
        if total > MAX_ITEM_BYTES + ITEM_PREFIX_BYTES && count > 0 {
            break;
        }
        count += 1;
    }
    count
}

/// Cuts messages into pages, each fit to travel as a list in one message. Lazy: holds one page and one message more.
pub struct Pages<I: Iterator> {
    items: std::iter::Peekable<I>,
}

/// The pages of some messages, in their order; none of them is empty.
pub fn pages<I: IntoIterator>(items: I) -> Pages<I::IntoIter>
where
    I::Item: Message,
{
    Pages { items: items.into_iter().peekable() }
}

impl<I: Iterator> Iterator for Pages<I>
where
    I::Item: Message,
{
    type Item = Vec<I::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut page = vec![self.items.next()?];
        let mut total = page[0].encoded_len() + ITEM_PREFIX_BYTES;
        while page.len() < MAX_PAGE_ITEMS {
            let Some(bytes) = self.items.peek().map(|item| item.encoded_len() + ITEM_PREFIX_BYTES) else {
                break;
            };
            total += bytes;
            if total > MAX_ITEM_BYTES + ITEM_PREFIX_BYTES {
                break;
            }
            page.extend(self.items.next());
        }
        Some(page)
    }
}

/// The most problems told at once; a file with more has one cause for most of them.
pub const MAX_PROBLEMS: usize = 1_000;

/// The most bytes of problems told at once, so that they fit a message beside other things.
const MAX_PROBLEM_BYTES: usize = MAX_MESSAGE_BYTES / 4;

/// The first problems, as many as one message should hold; a last one says how many more there are.
#[must_use]
pub fn leading_problems(problems: &[Problem]) -> Vec<v1::Problem> {
    let mut room = MAX_PROBLEM_BYTES;
    let mut told = Vec::new();
    for problem in problems {
        let message = v1::Problem::from(problem.clone());
        let bytes = message.encoded_len() + ITEM_PREFIX_BYTES;
        // One place is kept for the count of the others.
        if told.len() == MAX_PROBLEMS - 1 && problems.len() > MAX_PROBLEMS || bytes > room {
            break;
        }
        room -= bytes;
        told.push(message);
    }
    let others = problems.len() - told.len();
    if others > 0 {
        let message = format!("and {others} more");
        told.push(v1::Problem { message, ..v1::Problem::default() });
    }
    told
}

#[cfg(test)]
mod tests {
    use apigw_proto::v1::Chunk;

    use super::*;

    #[test]
    fn pages_hold_every_item_once_in_order() {
        let of_size = |bytes: usize| Chunk { resources: vec![vec![0; bytes].into()] };
        let sizes = [10, MAX_ITEM_BYTES / 2, MAX_ITEM_BYTES / 2, 7, MAX_ITEM_BYTES, 1];
        let pages: Vec<Vec<usize>> = pages(sizes.map(of_size))
            .map(|page| page.iter().map(|item| item.resources[0].len()).collect())
            .collect();
        assert_eq!(pages.concat(), sizes);
        assert_eq!(pages.len(), 4, "{pages:?}");
    }

    fn problems(count: usize, message: &str) -> Vec<Problem> {
        let problem =
            Problem { file: String::new(), position: None, path: String::new(), message: message.into() };
        vec![problem; count]
    }

    #[test]
    fn all_problems_are_told_up_to_the_bound() {
        let told = leading_problems(&problems(MAX_PROBLEMS, "x"));
        assert_eq!(told.len(), MAX_PROBLEMS);
        assert!(told.iter().all(|problem| problem.message == "x"));
    }

    #[test]
    fn problems_above_the_bound_are_counted() {
        let told = leading_problems(&problems(MAX_PROBLEMS + 1, "x"));
        assert_eq!(told.len(), MAX_PROBLEMS);
        assert_eq!(told[MAX_PROBLEMS - 1].message, "and 2 more");
    }

    #[test]
    fn long_problems_are_bounded_by_their_bytes() {
        let told = leading_problems(&problems(5, &"x".repeat(MAX_PROBLEM_BYTES / 4)));
        assert_eq!(told.len(), 4);
        assert_eq!(told[3].message, "and 2 more");
        let told = leading_problems(&problems(1, &"x".repeat(MAX_PROBLEM_BYTES)));
        assert_eq!(told.iter().map(|p| p.message.as_str()).collect::<Vec<_>>(), ["and 1 more"]);
    }

    #[test]
    fn a_page_holds_what_fits_and_not_one_more() {
        let third = MAX_ITEM_BYTES / 3;
        let cases: [(&[usize], usize); 7] = [
            (&[], 0),
            (&[0], 1),
            (&[MAX_ITEM_BYTES], 1),
            (&[MAX_ITEM_BYTES, 0], 1),
            (&[MAX_ITEM_BYTES * 2, 1], 1),
            (&[third - 8, third - 8, third - 8], 3),
            (&[third, third, third, third], 2),
        ];
        for (items, expected) in cases {
            assert_eq!(fitting(items.iter().copied()), expected, "{items:?}");
        }
    }

    #[test]
    fn tiny_items_are_counted_too() {
        assert_eq!(fitting(std::iter::repeat_n(0, MAX_PAGE_ITEMS + 1)), MAX_PAGE_ITEMS);
    }

    #[test]
    fn a_full_page_is_a_legal_message() {
        for bytes in [1, 100, 10_000, MAX_ITEM_BYTES] {
            let count = fitting(std::iter::repeat(bytes));
            let page = Chunk { resources: vec![vec![0; bytes].into(); count] };
            assert!(page.encoded_len() <= MAX_MESSAGE_BYTES, "{count} items of {bytes} bytes");
        }
    }
}
