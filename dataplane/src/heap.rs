//! Values that go from hand to hand, on the heap, where they stay.

/// Makes a value where it stays. `Box::new` has it made elsewhere, and copies all of it: of a future even the room for what it
/// will only hold later.
#[expect(clippy::unnecessary_box_returns, reason = "where it is made is the point")]
pub(crate) fn put<T>(make: impl FnOnce() -> T) -> Box<T> {
    Box::write(Box::new_uninit(), make())
}
