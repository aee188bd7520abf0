//! Whether who connects under an agent's certificate is the machine that it was given to, in the state that the server noted
//! last (docs/adr/0029-identity.md).
//!
//! A machine has marks that copying its disk does not copy, and a history that copying its disk does: an id that the agent
//! drew by chance and a count that it raises at each connect. Marks that differ tell two machines apart; a count that is not
//! above the one noted tells a state of before. Two machines with the same marks go on with one history until one is behind:
//! that one is told to begin a history of its own, and is known by it from then on.

use std::collections::BTreeMap;

use outfitter_agent_protocol::{History, MAX_MARKS, MachineIdentity};
use outfitter_ids::HistoryId;
use serde::{Deserialize, Serialize};

use super::enrollment::EnrollmentRefusal;

/// What the server noted of an agent at its last accepted connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedIdentity {
    /// What the machine is known by.
    pub marks: BTreeMap<String, String>,
    /// Its history, and how far it was; `None`: an administrator said that this machine is the one, whatever its history.
    pub history: Option<History>,
    /// The history that it left for a new one, and how far that was noted.
    pub before: Option<History>,
    /// The history of a copy that took the machine's place for a while.
    pub barred: Option<HistoryId>,
}

/// Whether another channel under the same certificate is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// It was heard not long ago, and answers.
    Alive,
    /// There is none.
    Silent,
}

/// How a copy is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopySign {
    /// The marks differ.
    OtherMachine,
    /// The marks are the same, its history is behind, and the one that is ahead is connected.
    BothAlive,
    /// It took the place of the one that was there first, which has come back.
    TookOver,
}

impl CopySign {
    /// Whether it is another machine for certain. Of two with the same marks either may be the one that was copied: whoever
    /// came first went on with the history.
    pub const fn is_certain(self) -> bool {
        match self {
            Self::OtherMachine => true,
            Self::BothAlive | Self::TookOver => false,
        }
    }
}

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityVerdict {
    /// The machine that is known, in the state that is known or a later one.
    Itself,
    /// The machine that is known, in a state of before: it has to begin a new history, and drop what was going on then,
    /// before it may do anything.
    Behind,
    /// The same, and it has.
    Restored,
    /// The one that was there first, while a copy of it had taken its place: the copy is barred from now on.
    Returned,
    /// A copy.
    Copy(CopySign),
}

/// Decides who connects; total. Without anything noted, whoever comes first is the one.
pub fn decide_identity(
    noted: Option<&NotedIdentity>,
    told: &MachineIdentity,
    other: Other,
) -> IdentityVerdict {
    let Some(noted) = noted else {
        return IdentityVerdict::Itself;
    };
    if differ(&noted.marks, &told.marks) {
        return IdentityVerdict::Copy(CopySign::OtherMachine);
    }
    if noted.barred == Some(told.history.id) {
        return IdentityVerdict::Copy(CopySign::TookOver);
    }
    let is_ahead_of = |noted: Option<History>| {
        noted.is_some_and(|noted| noted.id == told.history.id && told.history.count > noted.count)
    };
    if noted.history.is_none() || is_ahead_of(noted.history) {
        return IdentityVerdict::Itself;
    }
    // Only the machine that was noted at a count can go on from there: copies were made before it.
    if is_ahead_of(noted.before) {
        return IdentityVerdict::Returned;
    }
    match (other, told.begun_anew) {
        (Other::Alive, _) => IdentityVerdict::Copy(CopySign::BothAlive),
        (Other::Silent, true) => IdentityVerdict::Restored,
        (Other::Silent, false) => IdentityVerdict::Behind,
    }
}

/// A copy that was refused, or that lost its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenCopy {
    /// When it was there last.
    pub at_millis: i64,
    /// Where it called from, where that is known.
    pub address: Option<String>,
    /// How it was told.
    pub sign: CopySign,
    /// What it is known by.
    pub marks: BTreeMap<String, String>,
    /// Its history.
    pub history: History,
    /// An administrator said that it is the copy: it is refused without more ado.
    pub settled: bool,
}

impl SeenCopy {
    /// Whether it is the machine that tells this of itself.
    pub fn is(&self, told: &MachineIdentity) -> bool {
        self.marks == told.marks && self.history.id == told.history.id
    }

    /// What is noted of the agent once an administrator said that this machine, which was refused, is the real one.
    pub fn instead_of(&self, noted: &NotedIdentity) -> NotedIdentity {
        // Between machines with the same marks the history alone tells.
        let same_marks = !differ(&noted.marks, &self.marks);
        NotedIdentity {
            marks: self.marks.clone(),
            history: same_marks.then_some(self.history),
            before: None,
            barred: noted
                .history
                .map(|history| history.id)
                .filter(|_| same_marks),
        }
    }
}

/// Marks of the machine itself, whatever it starts from: its firmware's uuid, or the folder that plays it. A machine id is none:
/// a copied disk has it.
const HARDWARE: [&str; 2] = ["product", "folder"];

/// Whether the live agent whose desktop somebody claims is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Its channel is here, and it answers or has not been asked.
    Alive,
    /// There is no channel here, but it was heard of less than three heartbeats ago: another server may have it.
    Recent,
    /// Neither.
    Gone,
}

/// Why who enrolls takes the place of a live agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// The token may.
    ByToken,
    /// It is the same machine, by its hardware, and the agent is gone.
    ByMark,
}

/// Decides whether who enrolls takes the place of the desktop's live agent; total. `noted` is what that one is known by, `marks`
/// what who enrolls tells of its machine.
///
/// # Errors
/// [`EnrollmentRefusal::NameTaken`]; [`EnrollmentRefusal::StillSeen`] where it is the same machine, and who it was may still be
/// there.
pub fn decide_takeover(
    may_reenroll: bool,
    noted: Option<&NotedIdentity>,
    marks: &BTreeMap<String, String>,
    presence: Presence,
) -> Result<Takeover, EnrollmentRefusal> {
    if may_reenroll {
        return Ok(Takeover::ByToken);
    }
    if !noted.is_some_and(|noted| is_same_hardware(&noted.marks, marks)) {
        return Err(EnrollmentRefusal::NameTaken);
    }
    match presence {
        Presence::Alive => Err(EnrollmentRefusal::NameTaken),
        Presence::Recent => Err(EnrollmentRefusal::StillSeen),
        Presence::Gone => Ok(Takeover::ByMark),
    }
}

/// Whether two lists of marks name the same hardware: one mark of it is the same, and none differs.
pub fn is_same_hardware(
    some: &BTreeMap<String, String>,
    others: &BTreeMap<String, String>,
) -> bool {
    let of = |name| Some((some.get(name)?, others.get(name)?));
    let mut known = HARDWARE.into_iter().filter_map(of).peekable();
    known.peek().is_some() && known.all(|(mark, other)| mark == other)
}

/// Whether two lists of marks are of two machines: one that both know differs. A mark that one of them could not read says
/// nothing.
fn differ(some: &BTreeMap<String, String>, others: &BTreeMap<String, String>) -> bool {
    some.iter()
        .any(|(name, mark)| others.get(name).is_some_and(|other| other != mark))
}

impl NotedIdentity {
    /// What is noted once a machine was let in; `None` where it is not to be.
    pub fn after(
        noted: Option<&Self>,
        told: &MachineIdentity,
        verdict: IdentityVerdict,
    ) -> Option<Self> {
        let mut marks = noted.map(|noted| noted.marks.clone()).unwrap_or_default();
        for (name, mark) in &told.marks {
            // Those that are known stay: nobody pushes them out with names of its own.
            if marks.len() < MAX_MARKS {
                marks.entry(name.clone()).or_insert_with(|| mark.clone());
            }
        }
        let (before, barred) = match verdict {
            IdentityVerdict::Itself => {
                noted.map_or((None, None), |noted| (noted.before, noted.barred))
            }
            IdentityVerdict::Restored => (
                noted.and_then(|noted| noted.history),
                noted.and_then(|noted| noted.barred),
            ),
            IdentityVerdict::Returned => {
                (None, noted.and_then(|noted| noted.history).map(|of| of.id))
            }
            IdentityVerdict::Behind | IdentityVerdict::Copy(_) => return None,
        };
        Some(Self {
            marks,
            history: Some(told.history),
            before,
            barred,
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn history(id: u128, count: i64) -> History {
        History {
            id: HistoryId::new(Uuid::from_u128(id)),
            count,
        }
    }

    fn marks(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter()
            .map(|(name, mark)| ((*name).to_owned(), (*mark).to_owned()))
            .collect()
    }

    fn told(machine: &[(&str, &str)], history: History) -> MachineIdentity {
        MachineIdentity {
            marks: marks(machine),
            history,
            begun_anew: false,
        }
    }

    const ONE: &[(&str, &str)] = &[("machine_id", "1"), ("product", "a")];

    fn noted() -> NotedIdentity {
        NotedIdentity {
            marks: marks(ONE),
            history: Some(history(1, 10)),
            before: Some(history(2, 7)),
            barred: Some(history(3, 0).id),
        }
    }

    #[test]
    fn each_machine_and_each_history_has_its_verdict() {
        use CopySign::{BothAlive, OtherMachine, TookOver};
        use IdentityVerdict::{Behind, Copy, Itself, Restored, Returned};
        use Other::{Alive, Silent};
        let as_user: &[_] = &[("machine_id", "1")];
        let other_id: &[_] = &[("machine_id", "2"), ("product", "a")];
        let other_board: &[_] = &[("machine_id", "1"), ("product", "b")];
        let nothing: &[(&str, &str)] = &[];
        for (what, machine, of, anew, other, verdict) in [
            ("it goes on", ONE, (1, 11), false, Silent, Itself),
            (
                "its old channel is not dead yet",
                ONE,
                (1, 11),
                false,
                Alive,
                Itself,
            ),
            ("it skipped counts", ONE, (1, 99), false, Silent, Itself),
            (
                "it runs without root this time",
                as_user,
                (1, 11),
                false,
                Silent,
                Itself,
            ),
            (
                "nothing can be read of the machine",
                nothing,
                (1, 11),
                false,
                Silent,
                Itself,
            ),
            (
                "cloned, new machine id",
                other_id,
                (1, 11),
                false,
                Silent,
                Copy(OtherMachine),
            ),
            (
                "cloned, new board",
                other_board,
                (1, 11),
                false,
                Alive,
                Copy(OtherMachine),
            ),
            (
                "cloned and behind",
                other_id,
                (1, 3),
                false,
                Silent,
                Copy(OtherMachine),
            ),
            (
                "a clone begins anew by itself",
                other_id,
                (9, 1),
                true,
                Silent,
                Copy(OtherMachine),
            ),
            (
                "the count that was noted",
                ONE,
                (1, 10),
                false,
                Silent,
                Behind,
            ),
            ("a snapshot", ONE, (1, 3), false, Silent, Behind),
            (
                "a snapshot, resynchronised",
                ONE,
                (9, 1),
                true,
                Silent,
                Restored,
            ),
            (
                "the same snapshot once more",
                ONE,
                (2, 5),
                false,
                Silent,
                Behind,
            ),
            (
                "a history that nobody knows",
                ONE,
                (8, 50),
                false,
                Silent,
                Behind,
            ),
            (
                "a twin that is behind",
                ONE,
                (1, 3),
                false,
                Alive,
                Copy(BothAlive),
            ),
            (
                "a twin that begins anew",
                ONE,
                (9, 1),
                true,
                Alive,
                Copy(BothAlive),
            ),
            ("the first comes back", ONE, (2, 8), false, Silent, Returned),
            (
                "and finds its copy there",
                ONE,
                (2, 8),
                false,
                Alive,
                Returned,
            ),
            (
                "the copy that was barred",
                ONE,
                (3, 40),
                false,
                Silent,
                Copy(TookOver),
            ),
            (
                "whatever it tries",
                ONE,
                (3, 41),
                true,
                Alive,
                Copy(TookOver),
            ),
        ] {
            let told = MachineIdentity {
                begun_anew: anew,
                ..told(machine, history(of.0, of.1))
            };
            assert_eq!(
                decide_identity(Some(&noted()), &told, other),
                verdict,
                "{what}"
            );
        }
        let first = told(ONE, history(1, 1));
        assert_eq!(decide_identity(None, &first, Silent), Itself);
        // An administrator said that this machine is the one.
        let settled = NotedIdentity {
            history: None,
            ..noted()
        };
        assert_eq!(decide_identity(Some(&settled), &first, Alive), Itself);
        let other = told(other_id, history(1, 1));
        assert_eq!(
            decide_identity(Some(&settled), &other, Silent),
            Copy(OtherMachine)
        );
    }

    /// A server and machines, played to their end.
    struct Server {
        noted: Option<NotedIdentity>,
    }

    impl Server {
        fn connect(&mut self, told: &MachineIdentity, other: Other) -> IdentityVerdict {
            let verdict = decide_identity(self.noted.as_ref(), told, other);
            if let Some(after) = NotedIdentity::after(self.noted.as_ref(), told, verdict) {
                self.noted = Some(after);
            }
            verdict
        }
    }

    #[test]
    fn a_copy_that_took_over_gives_way_to_the_one_that_was_there_first_and_stays_away() {
        use IdentityVerdict::{Behind, Copy, Itself, Restored, Returned};
        let mut server = Server { noted: None };
        let silent = Other::Silent;
        for count in 1..=5 {
            assert_eq!(
                server.connect(&told(ONE, history(1, count)), silent),
                Itself
            );
        }
        // Copied at 3, machine id and all, and started while the first one is off.
        assert_eq!(server.connect(&told(ONE, history(1, 4)), silent), Behind);
        let anew = MachineIdentity {
            begun_anew: true,
            ..told(ONE, history(2, 1))
        };
        assert_eq!(server.connect(&anew, silent), Restored);
        assert_eq!(server.connect(&told(ONE, history(2, 2)), silent), Itself);
        assert_eq!(
            server.connect(&told(ONE, history(1, 6)), Other::Alive),
            Returned
        );
        assert_eq!(server.connect(&told(ONE, history(1, 7)), silent), Itself);
        let barred = server.connect(&told(ONE, history(2, 3)), silent);
        assert_eq!(barred, Copy(CopySign::TookOver));
        assert_eq!(server.connect(&told(ONE, history(1, 8)), silent), Itself);
    }

    #[test]
    fn a_desktop_that_goes_back_to_the_same_snapshot_each_night_works_each_day() {
        use IdentityVerdict::{Behind, Itself, Restored};
        let mut server = Server { noted: None };
        let silent = Other::Silent;
        for count in 1..=5 {
            server.connect(&told(ONE, history(1, count)), silent);
        }
        for night in 0..4 {
            assert_eq!(server.connect(&told(ONE, history(1, 3)), silent), Behind);
            let anew = MachineIdentity {
                begun_anew: true,
                ..told(ONE, history(100 + night, 1))
            };
            assert_eq!(server.connect(&anew, silent), Restored);
            for count in 2..30 {
                let again = told(ONE, history(100 + night, count));
                assert_eq!(server.connect(&again, silent), Itself);
            }
        }
    }

    #[test]
    fn who_is_the_real_one_is_an_administrators_word_too() {
        use IdentityVerdict::{Copy, Itself};
        let other: &[_] = &[("machine_id", "2")];
        for (machine, sign) in [(other, CopySign::OtherMachine), (ONE, CopySign::BothAlive)] {
            let mut server = Server {
                noted: Some(noted()),
            };
            let first = told(ONE, history(1, 11));
            let second = told(machine, history(5, 3));
            let seen = SeenCopy {
                at_millis: 0,
                address: None,
                sign,
                marks: second.marks.clone(),
                history: second.history,
                settled: false,
            };
            server.noted = Some(seen.instead_of(&noted()));
            let next = told(machine, history(5, 4));
            assert_eq!(server.connect(&next, Other::Silent), Itself, "{sign:?}");
            let verdict = server.connect(&first, Other::Silent);
            assert!(matches!(verdict, Copy(_)), "{sign:?}: {verdict:?}");
        }
    }

    #[test]
    fn a_machine_takes_its_desktop_back_by_its_hardware_alone_and_from_nobody_who_is_there() {
        use EnrollmentRefusal::{NameTaken, StillSeen};
        use Presence::{Alive, Gone, Recent};
        use Takeover::{ByMark, ByToken};
        let other_disk: &[_] = &[("machine_id", "9"), ("product", "a")];
        let other_board: &[_] = &[("machine_id", "1"), ("product", "b")];
        let as_user: &[_] = &[("machine_id", "1")];
        let in_a_folder: &[_] = &[("product", "a"), ("folder", "f")];
        for (what, may_reenroll, told, presence, outcome) in [
            ("recomposed", false, other_disk, Gone, Ok(ByMark)),
            ("set up anew", false, ONE, Gone, Ok(ByMark)),
            ("one more mark", false, in_a_folder, Gone, Ok(ByMark)),
            ("it lives", false, other_disk, Alive, Err(NameTaken)),
            (
                "it may live elsewhere",
                false,
                other_disk,
                Recent,
                Err(StillSeen),
            ),
            ("another board", false, other_board, Gone, Err(NameTaken)),
            (
                "another board, who lives",
                false,
                other_board,
                Recent,
                Err(NameTaken),
            ),
            (
                "a machine id is no proof",
                false,
                as_user,
                Gone,
                Err(NameTaken),
            ),
            ("nothing is told", false, &[], Gone, Err(NameTaken)),
            (
                "the token may, whoever it is",
                true,
                other_board,
                Alive,
                Ok(ByToken),
            ),
        ] {
            let decided = decide_takeover(may_reenroll, Some(&noted()), &marks(told), presence);
            assert_eq!(decided, outcome, "{what}");
        }
        // Of an agent that never connected nothing is known.
        assert_eq!(
            decide_takeover(false, None, &marks(ONE), Gone),
            Err(NameTaken)
        );
        let both = marks(&[("product", "a"), ("folder", "f")]);
        let moved = marks(&[("product", "a"), ("folder", "g")]);
        assert!(!is_same_hardware(&both, &moved));
    }

    #[test]
    fn what_could_not_be_read_once_stays_known_and_cannot_be_pushed_out() {
        let mut server = Server { noted: None };
        server.connect(&told(ONE, history(1, 1)), Other::Silent);
        server.connect(&told(&[("machine_id", "1")], history(1, 2)), Other::Silent);
        let known = |server: &Server| server.noted.clone().map(|noted| noted.marks);
        assert_eq!(known(&server), Some(marks(ONE)));
        for count in 3..20 {
            let name = format!("mark {count}");
            server.connect(&told(&[(&name, "x")], history(1, count)), Other::Silent);
        }
        let noted = known(&server).unwrap();
        assert_eq!(noted.len(), MAX_MARKS);
        assert!(ONE.iter().all(|(name, mark)| noted[*name] == *mark));
    }

    #[test]
    fn only_other_marks_tell_another_machine_for_certain() {
        use CopySign::{BothAlive, OtherMachine, TookOver};
        let certain = [OtherMachine, BothAlive, TookOver].map(CopySign::is_certain);
        assert_eq!(certain, [true, false, false]);
    }
}
