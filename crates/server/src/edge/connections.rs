//! The places of one listener: how many connections there are, whose they are, and which of them say nothing.
//!
//! **Guarantees.** When every place is taken, the address that holds most silent connections gives up the one that
//! has been silent longest: whoever takes places to hold them pays first. A connection with a request open and one
//! that became a channel is never cut for others. An address has at most its share.
//! **Does not** wait: the accept loop does.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::network;

/// The connections of one listener.
pub struct Connections {
    most: usize,
    inner: Mutex<Inner>,
    /// Someone left.
    left: Notify,
}

#[derive(Default)]
struct Inner {
    /// Places taken.
    taken: usize,
    /// The next silence's number: smaller ones have been silent longer.
    next: u64,
    addresses: HashMap<IpAddr, Address>,
}

#[derive(Default)]
struct Address {
    taken: usize,
    silent: BTreeMap<u64, Arc<Notify>>,
}

/// What became of a connection that wants a place.
pub enum Admission {
    /// It has one.
    Seat(Seat),
    /// Its address holds its share, all of it busy.
    TooMany,
    /// Every place is taken by somebody who is busy.
    Full,
}

/// One connection's place. Gives it back when dropped.
pub struct Seat {
    connections: Arc<Connections>,
    address: IpAddr,
    cut: Arc<Notify>,
    silence: Mutex<Silence>,
}

/// Whether a connection says something.
enum Silence {
    /// A request is open.
    Busy,
    /// None is, by this number.
    Silent(u64),
    /// The connection ended, or became a channel.
    Over,
}

impl Connections {
    /// `most` places.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            inner: Mutex::default(),
            left: Notify::new(),
        })
    }

    /// Gives a connection a place, taking one from somebody who is silent where none is left. The connection counts
    /// as silent until it says otherwise. A silent one that is told to go frees its place a moment later, so for that
    /// moment there may be one more than there are places.
    pub fn admit(self: &Arc<Self>, peer: IpAddr, most_of_one: Option<usize>) -> Admission {
        let address = network(peer);
        let mut inner = self.inner();
        let own = inner.addresses.get_mut(&address);
        if let Some(own) = own
            && most_of_one.is_some_and(|most| own.taken >= most)
            && !own.cut_one()
        {
            return Admission::TooMany;
        }
        if inner.taken >= self.most {
            let fullest = inner
                .addresses
                .values_mut()
                .max_by_key(|address| address.silent.len());
            if !fullest.is_some_and(Address::cut_one) {
                return Admission::Full;
            }
        }
        inner.taken += 1;
        let number = inner.next;
        inner.next += 1;
        let cut = Arc::new(Notify::new());
        let own = inner.addresses.entry(address).or_default();
        own.taken += 1;
        own.silent.insert(number, Arc::clone(&cut));
        Admission::Seat(Seat {
            connections: Arc::clone(self),
            address,
            cut,
            silence: Mutex::new(Silence::Silent(number)),
        })
    }

    /// Returns when a place was given back since the last call.
    pub async fn somebody_left(&self) {
        self.left.notified().await;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while the lock is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Address {
    /// Tells the connection that has been silent longest to go; whether there was one.
    fn cut_one(&mut self) -> bool {
        match self.silent.pop_first() {
            Some((_, cut)) => {
                cut.notify_one();
                true
            }
            None => false,
        }
    }
}

impl Seat {
    /// Returns when the connection is to give way to others.
    pub async fn gives_way(&self) {
        self.cut.notified().await;
    }

    /// A request is open.
    pub(crate) fn busy(&self) {
        self.change(Silence::Busy);
    }

    /// No request is open any more.
    pub(crate) fn silent(&self) {
        let mut silence = self.silence();
        if matches!(*silence, Silence::Busy) {
            let mut inner = self.connections.inner();
            let number = inner.next;
            inner.next += 1;
            if let Some(own) = inner.addresses.get_mut(&self.address) {
                own.silent.insert(number, Arc::clone(&self.cut));
                *silence = Silence::Silent(number);
            }
        }
    }

    /// Nothing is to be read on the connection any more, or it became a channel.
    pub(crate) fn over(&self) {
        self.change(Silence::Over);
    }

    fn change(&self, to: Silence) {
        let mut silence = self.silence();
        if let Silence::Silent(number) = *silence
            && let Some(own) = self.connections.inner().addresses.get_mut(&self.address)
        {
            own.silent.remove(&number);
        }
        if !matches!(*silence, Silence::Over) {
            *silence = to;
        }
    }

    fn silence(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.over();
        let mut inner = self.connections.inner();
        inner.taken -= 1;
        if let Some(own) = inner.addresses.get_mut(&self.address) {
            own.taken -= 1;
            if own.taken == 0 {
                inner.addresses.remove(&self.address);
            }
        }
        drop(inner);
        self.connections.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn seat(connections: &Arc<Connections>, last: u8) -> Seat {
        match connections.admit(address(last), Some(3)) {
            Admission::Seat(seat) => seat,
            Admission::TooMany => panic!("too many"),
            Admission::Full => panic!("full"),
        }
    }

    fn must_go(seat: &Seat) -> bool {
        seat.gives_way().now_or_never().is_some()
    }

    #[test]
    fn the_address_with_most_silent_ones_gives_up_its_oldest() {
        let connections = Connections::new(5);
        let alone = seat(&connections, 1);
        let many = [2, 2, 2].map(|last| seat(&connections, last));
        let other = seat(&connections, 3);
        let newcomer = seat(&connections, 4);
        assert!(must_go(&many[0]));
        assert!(!must_go(&many[1]) && !must_go(&alone) && !must_go(&other) && !must_go(&newcomer));
    }

    #[test]
    fn who_is_busy_and_who_became_a_channel_stays() {
        let connections = Connections::new(2);
        let busy = seat(&connections, 1);
        busy.busy();
        let channel = seat(&connections, 2);
        channel.busy();
        channel.over();
        channel.silent();
        assert!(matches!(
            connections.admit(address(3), None),
            Admission::Full
        ));
        busy.silent();
        let newcomer = seat(&connections, 3);
        assert!(must_go(&busy) && !must_go(&channel));
        drop((busy, newcomer));
        assert!(connections.somebody_left().now_or_never().is_some());
        drop(seat(&connections, 3));
        drop(channel);
        assert!(connections.inner().addresses.is_empty());
    }

    #[test]
    fn an_address_has_its_share_and_cuts_its_own() {
        let connections = Connections::new(100);
        let own = [1, 1, 1].map(|last| seat(&connections, last));
        let fourth = seat(&connections, 1);
        assert!(must_go(&own[0]));
        for seat in own.iter().chain([&fourth]) {
            seat.busy();
        }
        assert!(matches!(
            connections.admit(address(1), Some(3)),
            Admission::TooMany
        ));
        assert!(matches!(
            connections.admit(address(1), None),
            Admission::Seat(_)
        ));
    }
}
