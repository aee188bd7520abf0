//! Who carries out what the database is asked to do: the caller itself, or a simulator that decides when.
//!
//! **Guarantees.** Without a host nothing is added to a call. With one, each call waits until the host lets it begin, is
//! then carried out to its end without anything else of the process running meanwhile, and waits until the host lets its
//! answer through: one order of calls gives one order of answers, whatever the database's own threads do. **Does not**
//! change what is asked or answered.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// What the database is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatabaseStep {
    /// Begin a write transaction.
    Begin,
    /// A statement, on the pool or in a transaction.
    Statement,
    /// Commit a write transaction.
    Commit,
}

/// A wait that a host chose.
pub type HostWait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Decides when calls of the database begin and when their answers arrive. A seam: a simulator.
pub trait DatabaseHost: Send + Sync {
    /// The runtime that the database's own tasks and time-outs live in, apart from the caller's.
    fn runtime(&self) -> &Handle;
    /// Ready when the step may begin. It may never be.
    fn before(&self, step: DatabaseStep) -> HostWait;
    /// Ready when the caller may hear that the step was carried out. It may never be.
    fn after(&self, step: DatabaseStep) -> HostWait;
}

/// A store's host, where it has one.
#[derive(Clone, Default)]
pub(crate) struct Hosting(Option<Hosted>);

/// Of what belongs to no store in particular.
pub(crate) static UNHOSTED: Hosting = Hosting(None);

#[derive(Clone)]
struct Hosted {
    host: Arc<dyn DatabaseHost>,
    /// Whose turn it is to write: fair, and in the caller's runtime.
    turn: Arc<Mutex<()>>,
}

/// The turn of a write transaction, where turns are given out here.
pub(crate) type Turn = Option<OwnedMutexGuard<()>>;

impl Hosting {
    pub(crate) fn by(host: Arc<dyn DatabaseHost>) -> Self {
        Self(Some(Hosted {
            host,
            turn: Arc::default(),
        }))
    }

    /// Waits for the turn to write.
    pub(crate) async fn turn(&self) -> Turn {
        match &self.0 {
            Some(hosted) => Some(Arc::clone(&hosted.turn).lock_owned().await),
            None => None,
        }
    }

    /// Carries out a step.
    pub(crate) async fn run<F: Future>(&self, step: DatabaseStep, work: F) -> F::Output {
        let Some(Hosted { host, .. }) = &self.0 else {
            return work.await;
        };
        host.before(step).await;
        let answer = {
            // Without a budget: the caller's would be used up by one long call, and never filled while it is polled.
            let mut work = pin!(tokio::task::unconstrained(work));
            std::future::poll_fn(|_| Poll::Ready(to_the_end(work.as_mut(), host.runtime()))).await
        };
        // A caller that goes away meanwhile leaves what it was to be answered: perhaps an open transaction.
        let mut held = Held {
            hosting: self,
            answer: Some(answer),
        };
        host.after(step).await;
        held.answer.take().expect("an answer is taken once")
    }

    /// Drops what belongs to the database where its tasks live.
    pub(crate) fn drop<T>(&self, value: T) {
        match &self.0 {
            Some(hosted) => {
                let _entered = hosted.host.runtime().enter();
                drop(value);
            }
            None => drop(value),
        }
    }
}

/// An answer on its way to the caller.
struct Held<'a, T> {
    hosting: &'a Hosting,
    answer: Option<T>,
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            self.hosting.drop(answer);
        }
    }
}

/// Carries out work of the database's runtime to its end, with nothing else on this thread meanwhile.
pub fn carry_out<F: Future>(runtime: &Handle, work: F) -> F::Output {
    to_the_end(pin!(tokio::task::unconstrained(work)), runtime)
}

fn to_the_end<F: Future>(mut work: Pin<&mut F>, runtime: &Handle) -> F::Output {
    let _entered = runtime.enter();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = work.as_mut().poll(&mut context) {
            return output;
        }
        // Something below may park this thread too and take our token for its own: no wake is relied upon.
        thread::park_timeout(LONGEST_PARK);
    }
}

/// Longest wait for a wake before the work is asked again.
const LONGEST_PARK: Duration = Duration::from_millis(5);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
