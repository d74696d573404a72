//! Windows (RFC 9113 section 6.9): how many bytes of bodies may be under way, of a stream or of all of a connection.

use apigw_transport::frames::MAX_WINDOW_BYTES;

/// A window has been opened above what there is (section 6.9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a window above 2^31 - 1 bytes")]
pub(crate) struct Overflow;

/// More has come than there was room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more bytes than the window has room for")]
pub(crate) struct Exceeded;

/// What may still be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SendWindow {
    /// Below 0 where settings have made the window smaller than what is under way (section 6.9.2).
    bytes: i64,
}

impl SendWindow {
    pub(crate) fn new(bytes: u32) -> Self {
        Self { bytes: bytes.into() }
    }

    /// How many bytes may be sent now.
    pub(crate) fn room(self) -> usize {
        usize::try_from(self.bytes).unwrap_or(0)
    }

    /// So many bytes are sent; there must be room for them.
    pub(crate) fn spend(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.room(), "the window would be overstepped");
        self.bytes -= i64::try_from(bytes).unwrap_or(i64::MAX);
    }

    /// So many of the bytes that were to be sent are not.
    pub(crate) fn unspend(&mut self, bytes: usize) {
        self.bytes += i64::try_from(bytes).unwrap_or(0);
    }

    /// The other side takes so many bytes more.
    ///
    /// # Errors
    /// When that is more than a window has.
    pub(crate) fn widen(&mut self, bytes: u32) -> Result<(), Overflow> {
        self.shift(bytes.into())
    }

    /// The size with which windows begin has changed, and with it all that have begun (section 6.9.2).
    ///
    /// # Errors
    /// When this one gets larger than windows are.
    pub(crate) fn follow(&mut self, before: u32, now: u32) -> Result<(), Overflow> {
        self.shift(i64::from(now) - i64::from(before))
    }

    fn shift(&mut self, by: i64) -> Result<(), Overflow> {
        let bytes = self.bytes + by;
        if bytes > i64::from(MAX_WINDOW_BYTES) {
            return Err(Overflow);
        }
        self.bytes = bytes;
        Ok(())
    }
}

/// What may still come. What has been taken is given back in parts that are worth a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceiveWindow {
    size: u32,
    /// How much may come now.
    left: u32,
    /// How much has been taken, and the other side does not know of it.
    taken: u32,
}

impl ReceiveWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self { size, left: size, taken: 0 }
    }

    /// So many bytes have come.
    ///
    /// # Errors
    /// When there was no room for them.
    pub(crate) fn receive(&mut self, bytes: usize) -> Result<(), Exceeded> {
        let left = u32::try_from(bytes).ok().and_then(|bytes| self.left.checked_sub(bytes));
        self.left = left.ok_or(Exceeded)?;
        Ok(())
    }

    /// So many of the bytes that came have been taken. Tells by how much the window is to be opened now, if it is: not for each
    /// frame, but before little is left. What nobody takes for long would keep the rest from those who share the window.
    ///
    /// To be asked whenever either side has moved, bytes that come included: so what has been taken is always less than what is left,
    /// or the other side knows of it. It is never opened by nothing, which would be an error (section 6.9).
    pub(crate) fn take(&mut self, bytes: usize) -> Option<u32> {
        self.taken += u32::try_from(bytes).unwrap_or(0);
        if self.taken == 0 || self.taken < self.left.min(self.size / 2) {
            return None;
        }
        let taken = std::mem::take(&mut self.taken);
        self.left += taken;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = MAX_WINDOW_BYTES;

    #[test]
    fn a_window_opens_to_its_most_and_no_further() {
        let mut window = SendWindow::new(10);
        assert_eq!(window.widen(MOST - 10), Ok(()));
        assert_eq!((window.widen(1), window.room()), (Err(Overflow), MOST as usize));
        window.spend(1);
        assert_eq!((window.widen(1), window.room()), (Ok(()), MOST as usize));
        assert_eq!(SendWindow::new(0).widen(MOST), Ok(()));
    }

    #[test]
    fn settings_move_a_window_below_zero_and_back() {
        let mut window = SendWindow::new(100);
        window.spend(80);
        assert_eq!((window.follow(100, 30), window.room()), (Ok(()), 0), "50 below");
        assert_eq!((window.widen(50), window.room()), (Ok(()), 0));
        assert_eq!((window.widen(1), window.room()), (Ok(()), 1));
        assert_eq!((window.follow(30, 100), window.room()), (Ok(()), 71));
        assert_eq!(window.follow(0, MOST), Err(Overflow));
        window.unspend(9);
        assert_eq!(window.room(), 80);
    }

    #[test]
    fn what_has_been_taken_is_given_back_by_the_half_or_when_as_little_is_left() {
        let mut window = ReceiveWindow::new(100);
        assert_eq!((window.receive(40), window.take(40), window.take(9)), (Ok(()), None, None));
        assert_eq!((window.take(1), window.receive(111)), (Some(50), Err(Exceeded)));
        let mut window = ReceiveWindow::new(100);
        assert_eq!((window.receive(90), window.take(9)), (Ok(()), None), "80 are never taken");
        assert_eq!((window.take(1), window.receive(20), window.take(1)), (Some(10), Ok(()), Some(1)));
        assert_eq!((window.receive(2), window.receive(usize::MAX)), (Err(Exceeded), Err(Exceeded)));
    }

    #[test]
    fn what_comes_and_is_not_taken_lets_go_what_was_taken_before() {
        let mut window = ReceiveWindow::new(100);
        assert_eq!((window.receive(30), window.take(30)), (Ok(()), None), "70 are left");
        assert_eq!((window.receive(40), window.take(0)), (Ok(()), Some(30)));
        assert_eq!(
            (window.receive(60), window.take(0)),
            (Ok(()), None),
            "nothing is left, and nothing was taken"
        );
        assert_eq!(window.take(1), Some(1));
    }
}
