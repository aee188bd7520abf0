//! Writes of many callers in one transaction: whoever comes while a group is being committed goes into the next.
//!
//! **Guarantees.** An answer is given after the commit. A group has at most [`GROUP`] entries, which bounds how long
//! it holds the writer (measured: 100 spread rows hold SQLite's for 4-7 ms); a lone caller does not wait for others.
//! When the queue is full callers wait; when a group fails all of its callers are told. At the end of the process what
//! was accepted is written, and nothing more is accepted.

use std::future::Future;
use std::sync::Arc;

use outfitter_store::StoreError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Entries in one transaction. Source: docs/invariants.md, I1.
const GROUP: usize = 100;

/// Callers that wait for the next group; further ones wait to be let in.
const QUEUE_LENGTH: usize = 1000;

/// Why a grouped write did not happen. Shared by all callers of the group.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GroupError {
    /// The database's reason.
    #[error("the group of writes failed")]
    Store(#[source] Arc<StoreError>),
    /// The process is ending.
    #[error("the server is shutting down")]
    Ending,
}

type Entry<I, O> = (I, oneshot::Sender<Result<O, GroupError>>);

/// The callers' end.
pub struct Grouped<I, O> {
    queue: mpsc::Sender<Entry<I, O>>,
}

/// The writer's end.
pub struct Groups<I, O> {
    queue: mpsc::Receiver<Entry<I, O>>,
}

/// Makes both ends.
pub fn grouped<I, O>() -> (Grouped<I, O>, Groups<I, O>) {
    let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
    (Grouped { queue: sender }, Groups { queue: receiver })
}

impl<I, O> Grouped<I, O> {
    /// Hands an entry to the next group and waits for its commit.
    ///
    /// # Errors
    /// [`GroupError`]: nothing of the group was written.
    pub async fn write(&self, entry: I) -> Result<O, GroupError> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .send((entry, answer))
            .await
            .map_err(|_| GroupError::Ending)?;
        answered.await.map_err(|_| GroupError::Ending)?
    }
}

impl<I, O> Groups<I, O> {
    /// Writes groups until the end, or until every caller's end is gone. `write` answers one result per entry, in order.
    pub async fn run<F, Fut>(mut self, end: CancellationToken, write: F)
    where
        F: Fn(Vec<I>) -> Fut,
        Fut: Future<Output = Result<Vec<O>, StoreError>>,
    {
        let mut entries = Vec::with_capacity(GROUP);
        loop {
            let taken = tokio::select! {
                taken = self.queue.recv_many(&mut entries, GROUP) => taken,
                () = end.cancelled(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
            };
            if taken == 0 {
                return;
            }
            let (inputs, callers): (Vec<I>, Vec<_>) = entries.drain(..).unzip();
            match write(inputs).await {
                Ok(outputs) => {
                    for (caller, output) in callers.into_iter().zip(outputs) {
                        // A caller that went away knows that the write may have happened.
                        drop(caller.send(Ok(output)));
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    for caller in callers {
                        drop(caller.send(Err(GroupError::Store(Arc::clone(&error)))));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn callers_that_come_together_share_a_group() {
        let (grouped, groups) = grouped::<u32, usize>();
        let calls = futures_util::future::join_all((0..250).map(|number| grouped.write(number)));
        let written = groups.run(CancellationToken::new(), |entries| async move {
            let size = entries.len();
            Ok(vec![size; size])
        });
        let sizes = tokio::select! {
            sizes = calls => sizes,
            () = written => unreachable!("callers are still there"),
        };
        let sizes: Vec<usize> = sizes
            .into_iter()
            .map(|size| size.expect("written"))
            .collect();
        assert_eq!(sizes.len(), 250);
        assert_eq!(sizes.iter().max(), Some(&GROUP));
    }

    #[tokio::test]
    async fn a_failed_group_fails_for_all_of_its_callers() {
        let (grouped, groups) = grouped::<u32, ()>();
        let calls = futures_util::future::join_all((0..3).map(|number| grouped.write(number)));
        let written = groups.run(CancellationToken::new(), |_| async {
            Err(StoreError::Inconsistent {
                table: "job",
                column: "state",
                row: 1,
                value: "9".to_owned(),
            })
        });
        let answers = tokio::select! {
            answers = calls => answers,
            () = written => unreachable!("callers are still there"),
        };
        assert!(
            answers
                .iter()
                .all(|answer| matches!(answer, Err(GroupError::Store(_))))
        );
    }

    #[tokio::test]
    async fn at_the_end_what_was_accepted_is_written_and_nothing_more_is_accepted() {
        let (grouped, groups) = grouped::<u32, u32>();
        let end = CancellationToken::new();
        let accepted: Vec<_> = (0..150)
            .map(|number| {
                let (answer, answered) = oneshot::channel();
                grouped.queue.try_send((number, answer)).expect("room");
                answered
            })
            .collect();
        end.cancel();
        groups.run(end, |entries| async move { Ok(entries) }).await;
        for (number, answered) in (0..).zip(accepted) {
            let written = answered.await.expect("answered").expect("written");
            assert_eq!(written, number);
        }
        assert!(matches!(grouped.write(7).await, Err(GroupError::Ending)));
    }
}
