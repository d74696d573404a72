//! A stretch of network between two programs, that a test makes slow, silent, or cuts.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::waiting::DEADLINE;

/// How it is on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Clear,
    /// Everything passes, each piece after a delay.
    Slow(Duration),
    /// Nothing passes, and nobody is told; what is sent waits.
    Silent,
    /// The connection that brings one byte more than so many from the far end is cut; then it is [`Weather::Clear`].
    CutOnceAfter(u64),
    /// Each connection is cut when it has brought so many bytes from the far end.
    CutAfter(u64),
}

/// A way from an address of its own to a far end that may move.
#[derive(Debug)]
pub struct Network {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    far_end: SocketAddr,
    weather: Weather,
    is_over: bool,
    accepted: u64,
    /// Both halves of those that are open, by number.
    connections: HashMap<u64, [TcpStream; 2]>,
}

impl State {
    fn cut(&mut self, number: u64) {
        for half in self.connections.remove(&number).into_iter().flatten() {
            let _ = half.shutdown(Shutdown::Both);
        }
    }
}

impl Network {
    /// A clear way to an address.
    ///
    /// # Panics
    /// When loopback has no free port.
    #[must_use]
    pub fn to(far_end: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (weather, connections) = (Weather::Clear, HashMap::new());
        let state = State { far_end, weather, is_over: false, accepted: 0, connections };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if accepting.lock().is_over {
                    return;
                }
                // A far end that is not there shows as a connection that ends at once.
                let _ = accepting.connect(near);
            }
        });
        Self { address, shared }
    }

    /// Where it begins.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes it so, for the connections that are open, too.
    pub fn set(&self, weather: Weather) {
        self.shared.lock().weather = weather;
        self.shared.changed.notify_all();
    }

    /// Leads elsewhere from now on, and cuts what is open when that is somewhere else.
    pub fn lead_to(&self, far_end: SocketAddr) {
        let mut state = self.shared.lock();
        if state.far_end != far_end {
            state.far_end = far_end;
            let open: Vec<_> = state.connections.keys().copied().collect();
            open.into_iter().for_each(|number| state.cut(number));
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_over = true;
        let open: Vec<_> = state.connections.keys().copied().collect();
        open.into_iter().for_each(|number| state.cut(number));
        drop(state);
        self.shared.changed.notify_all();
        // Wakes the listening thread, which then sees that it is over.
        let _ = TcpStream::connect_timeout(&self.address, DEADLINE);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, near: TcpStream) -> io::Result<()> {
        let far_end = self.lock().far_end;
        let far = TcpStream::connect_timeout(&far_end, DEADLINE)?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let halves = [near.try_clone()?, far.try_clone()?];
        let mut state = self.lock();
        let number = state.accepted;
        state.accepted += 1;
        state.connections.insert(number, halves);
        if state.far_end != far_end || state.is_over {
            state.cut(number);
        }
        drop(state);
        let (near_again, far_again) = (near.try_clone()?, far.try_clone()?);
        let (there, back) = (Arc::clone(self), Arc::clone(self));
        // To the far end all is passed; what is cut, is cut on the way back.
        thread::spawn(move || there.pump(number, near, far, |_, _, length| length));
        thread::spawn(move || back.pump(number, far_again, near_again, allowance));
        Ok(())
    }

    /// Passes bytes on as the weather lets it, until one side ends or is cut.
    fn pump(
        &self,
        number: u64,
        mut from: TcpStream,
        mut to: TcpStream,
        allowance: impl Fn(&mut State, u64, u64) -> u64,
    ) {
        let mut piece = vec![0; 16 * 1024];
        let mut passed = 0_u64;
        while let Ok(length @ 1..) = from.read(&mut piece) {
            let silent = |state: &mut State| state.weather == Weather::Silent && !state.is_over;
            let waited = self.changed.wait_while(self.lock(), silent);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            let allowed = allowance(&mut state, passed, length as u64);
            passed += allowed;
            let allowed = usize::try_from(allowed).map_or(length, |allowed| allowed.min(length));
            let weather = state.weather;
            drop(state);
            if let Weather::Slow(delay) = weather {
                // The delay is what is asked for; nobody waits for it to know something.
                thread::sleep(delay);
            }
            if to.write_all(&piece[..allowed]).is_err() || allowed < length {
                break;
            }
        }
        self.lock().cut(number);
    }
}

/// How many of these bytes pass on a connection that has brought so many from the far end.
fn allowance(state: &mut State, passed: u64, length: u64) -> u64 {
    match state.weather {
        Weather::CutAfter(limit) => limit.saturating_sub(passed).min(length),
        Weather::CutOnceAfter(limit) if limit < length => {
            state.weather = Weather::Clear;
            limit
        }
        Weather::CutOnceAfter(limit) => {
            state.weather = Weather::CutOnceAfter(limit - length);
            length
        }
        Weather::Clear | Weather::Slow(_) | Weather::Silent => length,
    }
}
