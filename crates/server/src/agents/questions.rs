//! Questions to connected desktops that somebody waits for.
//!
//! **Guarantees.** An answer counts only from the desktop that was asked, once. What nobody waits for any more is forgotten:
//! memory is bounded by the calls that wait. Nothing is stored; after a crash the caller asks again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use outfitter_store::DesktopKey;
use tokio::sync::oneshot;

/// What a desktop answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Whether a rule holds.
    Rule(Seen),
    /// The newest of the agent's log.
    Log(String),
}

/// What a desktop saw of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether the rule holds; `None`: it cannot be told there.
    pub holds: Option<bool>,
    /// What was seen, in words.
    pub seen: String,
}

/// The questions that are open.
#[derive(Default)]
pub struct Questions {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    last: u64,
    waiting: BTreeMap<u64, (DesktopKey, oneshot::Sender<Answer>)>,
}

/// A question that is forgotten when this is dropped.
pub struct Question<'a> {
    questions: &'a Questions,
    /// Its number.
    pub number: u64,
    /// Where the answer arrives.
    pub answer: oneshot::Receiver<Answer>,
}

impl Questions {
    /// Opens a question to a desktop.
    pub fn open(&self, desktop: DesktopKey) -> Question<'_> {
        let (sender, answer) = oneshot::channel();
        let mut open = self.lock();
        open.last += 1;
        let number = open.last;
        open.waiting.insert(number, (desktop, sender));
        Question {
            questions: self,
            number,
            answer,
        }
    }

    /// Takes an answer; one that nobody asked this desktop for is nothing.
    pub fn answer(&self, desktop: DesktopKey, number: u64, answer: Answer) {
        let mut open = self.lock();
        if open
            .waiting
            .get(&number)
            .is_some_and(|(asked, _)| *asked == desktop)
            && let Some((_, sender)) = open.waiting.remove(&number)
        {
            // Whoever waited may be gone.
            let _ = sender.send(answer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Every change is one map operation: a panic elsewhere leaves the map whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.questions.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_from_the_desktop_that_was_asked_and_once() {
        let questions = Questions::default();
        let answer = |text: &str| Answer::Log(text.to_owned());
        let mut question = questions.open(DesktopKey::new(1));
        questions.answer(DesktopKey::new(2), question.number, answer("another"));
        assert!(question.answer.try_recv().is_err());
        questions.answer(DesktopKey::new(1), question.number, answer("first"));
        questions.answer(DesktopKey::new(1), question.number, answer("second"));
        assert_eq!(question.answer.try_recv(), Ok(answer("first")));
        let number = question.number;
        drop(question);
        questions.answer(DesktopKey::new(1), number, answer("late"));
        assert!(questions.lock().waiting.is_empty());
    }
}
