use outfitter_agent_protocol::{History, Method, PackageRef, SourceTrust, TaskKind, UpdateStage};
use outfitter_ids::{AppId, DesktopId, HistoryId, JobId, RevisionId};
use uuid::Uuid;

use super::*;

const ONE: AttemptId = AttemptId::new(Uuid::from_u128(1));
const TWO: AttemptId = AttemptId::new(Uuid::from_u128(2));

fn at(millis: u64) -> Moment {
    Duration::from_millis(millis)
}

fn introduction() -> Introduction {
    Introduction {
        agent_version: "1.0.0".to_owned(),
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        boot_id: "boot".to_owned(),
        sandbox_root: None,
    }
}

fn machine(journal: &[AttemptReport]) -> Machine {
    Machine::new(introduction(), Pace::default(), journal, 7)
}

fn opened(trust: LinkTrust) -> Input {
    Input::Opened {
        trust,
        identity: None,
    }
}

fn report(attempt: AttemptId, stage: AttemptStage) -> AttemptReport {
    AttemptReport { attempt, stage }
}

fn task(attempt: AttemptId) -> ServerMessage {
    ServerMessage::Task(Box::new(Task {
        attempt,
        job: JobId::new(Uuid::from_u128(10)),
        project: None,
        kind: TaskKind::Install,
        app: AppId::new(Uuid::from_u128(11)),
        app_name: "app".to_owned(),
        app_version: "1".to_owned(),
        revision: RevisionId::new(Uuid::from_u128(12)),
        method: Method::Quiet,
        command: "true".to_owned(),
        package: PackageRef {
            file_name: "a".to_owned(),
            sha256: None,
            size_bytes: None,
        },
        detection: None,
        success_exit_codes: vec![0],
        run_limit_secs: 60,
        approach: outfitter_agent_protocol::Approach::Ordinary,
        exit_codes: std::collections::BTreeMap::new(),
        running_programs: None,
        session: None,
    }))
}

fn welcome() -> ServerMessage {
    ServerMessage::Welcome(Welcome {
        protocol: PROTOCOL,
        desktop: DesktopId::new(Uuid::from_u128(20)),
        epoch: 1,
        server_time_millis: 5,
        heartbeat_secs: 60,
        inventory: None,
    })
}

fn source(attempt: AttemptId) -> Source {
    Source {
        attempt,
        url: "/packages/x".to_owned(),
        headers: BTreeMap::new(),
        expires_at_millis: None,
        trust: SourceTrust::Server,
        bytes_per_second: None,
        rate_holds_secs: None,
        ca_pem: None,
        redirects_within: None,
    }
}

/// Opens a channel at a moment and gives what was done on `Opened` and on `Welcome`.
fn connect(machine: &mut Machine, now: Moment) -> (Vec<Effect>, Vec<Effect>) {
    assert_eq!(machine.step(Input::Tick, now), [Effect::Connect]);
    let hello = machine.step(opened(LinkTrust::Full), now);
    let welcomed = machine.step(Input::Received(welcome()), now);
    assert!(machine.in_session());
    (hello, welcomed)
}

/// A machine in a session that has journaled and acknowledged attempt one.
fn accepted() -> Machine {
    let mut machine = machine(&[]);
    connect(&mut machine, at(0));
    let effects = machine.step(Input::Received(task(ONE)), at(1));
    assert!(
        matches!(effects.as_slice(), [Effect::Journal(_)]),
        "{effects:?}"
    );
    let effects = machine.step(Input::Journaled { attempt: ONE }, at(2));
    assert_eq!(
        effects,
        [Effect::Send(AgentMessage::Accepted { attempt: ONE })]
    );
    machine
}

fn running() -> Machine {
    let mut machine = accepted();
    let effects = machine.step(Input::Received(ServerMessage::Go { attempt: ONE }), at(3));
    assert_eq!(effects, [Effect::Start { attempt: ONE }]);
    machine
}

fn ended() -> Machine {
    let mut machine = running();
    let effects = machine.step(Input::Ended { attempt: ONE }, at(4));
    assert_eq!(effects, [Effect::SendResult { attempt: ONE }]);
    machine
}

fn lost(machine: &mut Machine, now: Moment) -> Moment {
    machine.step(
        Input::Closed(Ending::Lost {
            retry_after_secs: None,
        }),
        now,
    );
    assert!(!machine.in_session());
    machine.wake_at().expect("it comes back")
}

fn declined(effects: &[Effect], attempt: AttemptId) -> bool {
    effects.iter().any(|effect| {
        matches!(effect, Effect::Send(AgentMessage::Declined { attempt: of, .. }) if *of == attempt)
    })
}

#[test]
fn nothing_is_said_before_hello_and_nothing_but_hello_before_welcome() {
    let mut machine = machine(&[report(ONE, AttemptStage::Ended)]);
    assert_eq!(machine.step(Input::Tick, at(0)), [Effect::Connect]);
    let effects = machine.step(opened(LinkTrust::Full), at(1));
    assert!(
        matches!(effects.as_slice(), [Effect::Send(AgentMessage::Hello(_))]),
        "{effects:?}"
    );
    assert_eq!(
        machine.step(Input::SourceNeeded { attempt: ONE }, at(2)),
        []
    );
    let effects = machine.step(Input::Received(welcome()), at(3));
    assert!(effects.contains(&Effect::SendResult { attempt: ONE }));
}

#[test]
fn a_task_is_acknowledged_only_after_the_journal_holds_it() {
    let mut machine = machine(&[]);
    connect(&mut machine, at(0));
    let effects = machine.step(Input::Received(task(ONE)), at(1));
    assert!(matches!(effects.as_slice(), [Effect::Journal(_)]));
    // Not even when asked twice or told to go.
    assert_eq!(machine.step(Input::Received(task(ONE)), at(1)), []);
    let effects = machine.step(Input::Received(ServerMessage::Go { attempt: ONE }), at(1));
    assert!(declined(&effects, ONE), "{effects:?}");
    let effects = machine.step(Input::Journaled { attempt: ONE }, at(2));
    assert_eq!(
        effects,
        [Effect::Send(AgentMessage::Accepted { attempt: ONE })]
    );
}

#[test]
fn a_task_that_cannot_be_journaled_is_declined_and_forgotten() {
    let mut machine = machine(&[]);
    connect(&mut machine, at(0));
    machine.step(Input::Received(task(ONE)), at(1));
    let effects = machine.step(
        Input::JournalFailed {
            attempt: ONE,
            reason: "disk full".to_owned(),
        },
        at(2),
    );
    assert!(declined(&effects, ONE));
    let effects = machine.step(Input::Received(task(TWO)), at(3));
    assert!(matches!(effects.as_slice(), [Effect::Journal(_)]));
}

#[test]
fn a_lost_acknowledgement_is_repeated_for_a_duplicate_task_and_after_a_while() {
    let mut machine = accepted();
    let effects = machine.step(Input::Received(task(ONE)), at(5));
    assert_eq!(
        effects,
        [Effect::Send(AgentMessage::Accepted { attempt: ONE })]
    );
    let later = at(5) + Pace::default().resend;
    let effects = machine.step(Input::Tick, later);
    assert!(effects.contains(&Effect::Send(AgentMessage::Accepted { attempt: ONE })));
}

#[test]
fn a_lost_acknowledgement_stands_in_the_next_hello() {
    let mut machine = accepted();
    let back = lost(&mut machine, at(10));
    let (hello, _) = connect(&mut machine, back);
    let [Effect::Send(AgentMessage::Hello(hello))] = hello.as_slice() else {
        panic!("{hello:?}");
    };
    assert_eq!(hello.attempts, [report(ONE, AttemptStage::Accepted)]);
    let effects = machine.step(Input::Received(ServerMessage::Go { attempt: ONE }), back);
    assert_eq!(effects, [Effect::Start { attempt: ONE }]);
}

#[test]
fn a_second_go_starts_nothing() {
    let mut machine = running();
    let go = || Input::Received(ServerMessage::Go { attempt: ONE });
    assert_eq!(machine.step(go(), at(5)), []);
    let back = lost(&mut machine, at(6));
    connect(&mut machine, back);
    assert_eq!(machine.step(go(), back), []);
    let mut machine = ended();
    assert_eq!(
        machine.step(go(), at(9)),
        [Effect::SendResult { attempt: ONE }]
    );
}

#[test]
fn a_go_for_an_unknown_attempt_is_declined() {
    let mut machine = machine(&[]);
    connect(&mut machine, at(0));
    let effects = machine.step(Input::Received(ServerMessage::Go { attempt: ONE }), at(1));
    assert!(declined(&effects, ONE));
    assert!(!effects.contains(&Effect::Start { attempt: ONE }));
}

#[test]
fn a_no_go_forgets_what_has_not_run_and_nothing_else() {
    let no_go = || {
        Input::Received(ServerMessage::NoGo {
            attempt: ONE,
            reason: "no longer authorized".to_owned(),
        })
    };
    let mut machine = accepted();
    assert!(
        machine
            .step(no_go(), at(5))
            .contains(&Effect::Forget { attempt: ONE })
    );
    let effects = machine.step(Input::Received(task(TWO)), at(6));
    assert!(matches!(effects.as_slice(), [Effect::Journal(_)]));
    for mut machine in [running(), ended()] {
        let effects = machine.step(no_go(), at(5));
        assert!(
            !effects.contains(&Effect::Forget { attempt: ONE }),
            "{effects:?}"
        );
    }
}

#[test]
fn a_reconnect_in_mid_install_tells_every_stage() {
    let mut machine = machine(&[
        report(ONE, AttemptStage::Ended),
        report(TWO, AttemptStage::Running),
    ]);
    let (hello, welcomed) = connect(&mut machine, at(0));
    let [Effect::Send(AgentMessage::Hello(hello))] = hello.as_slice() else {
        panic!("{hello:?}");
    };
    assert_eq!(
        hello.attempts,
        [
            report(ONE, AttemptStage::Ended),
            report(TWO, AttemptStage::Running)
        ]
    );
    assert!(welcomed.contains(&Effect::SendResult { attempt: ONE }));
    assert!(!welcomed.contains(&Effect::Start { attempt: TWO }));
}

#[test]
fn a_duplicate_of_a_running_task_is_answered_with_its_phase() {
    let mut machine = running();
    machine.step(
        Input::Advanced {
            attempt: ONE,
            phase: Phase::Running,
            percent: None,
            bytes_per_second: None,
        },
        at(5),
    );
    let effects = machine.step(Input::Received(task(ONE)), at(6));
    assert_eq!(
        effects,
        [Effect::Send(AgentMessage::Progress {
            attempt: ONE,
            phase: Phase::Running,
            percent: None,
            bytes_per_second: None,
        })]
    );
}

#[test]
fn a_result_is_sent_until_it_is_recorded() {
    let mut machine = ended();
    let mut now = at(4);
    for _ in 0..3 {
        now += Pace::default().resend;
        // Signs of life keep the session.
        machine.step(
            Input::Received(ServerMessage::Heartbeat {
                server_time_millis: 1,
            }),
            now,
        );
        machine.step(Input::Tick, now);
    }
    let back = lost(&mut machine, now);
    let (_, welcomed) = connect(&mut machine, back);
    assert!(welcomed.contains(&Effect::SendResult { attempt: ONE }));
    let recorded = || Input::Received(ServerMessage::Recorded { attempt: ONE });
    assert_eq!(
        machine.step(recorded(), back),
        [Effect::Forget { attempt: ONE }]
    );
    assert_eq!(machine.step(recorded(), back), []);
    let effects = machine.step(Input::Tick, back + Pace::default().resend);
    assert!(!effects.contains(&Effect::SendResult { attempt: ONE }));
}

#[test]
fn a_receipt_for_an_attempt_that_runs_is_ignored() {
    let mut machine = running();
    let effects = machine.step(
        Input::Received(ServerMessage::Recorded { attempt: ONE }),
        at(5),
    );
    assert_eq!(effects, []);
    assert_eq!(
        machine.step(Input::Ended { attempt: ONE }, at(6)),
        [Effect::SendResult { attempt: ONE }]
    );
}

#[test]
fn a_second_task_while_one_is_open_is_declined() {
    let mut machine = running();
    let effects = machine.step(Input::Received(task(TWO)), at(5));
    assert!(declined(&effects, TWO) && effects.len() == 1, "{effects:?}");
    // One that only waits for `Go` asks the server to decide.
    let mut machine = accepted();
    let effects = machine.step(Input::Received(task(TWO)), at(5));
    assert!(declined(&effects, TWO));
    assert!(effects.contains(&Effect::Send(AgentMessage::Accepted { attempt: ONE })));
    // One that has ended is not in the way.
    let mut machine = ended();
    let effects = machine.step(Input::Received(task(TWO)), at(5));
    assert!(matches!(effects.as_slice(), [Effect::Journal(_)]));
}

#[test]
fn a_cancellation_reaches_what_is_open() {
    let cancel = || Input::Received(ServerMessage::Cancel { attempt: ONE });
    for mut machine in [accepted(), running()] {
        assert_eq!(
            machine.step(cancel(), at(5)),
            [Effect::Cancel { attempt: ONE }]
        );
        // After it no `Go` starts anything.
        let go = machine.step(Input::Received(ServerMessage::Go { attempt: ONE }), at(6));
        assert_eq!(go, []);
    }
    assert_eq!(
        ended().step(cancel(), at(5)),
        [Effect::SendResult { attempt: ONE }]
    );
    let mut machine = machine(&[]);
    connect(&mut machine, at(0));
    let effects = machine.step(cancel(), at(1));
    assert!(matches!(effects.as_slice(), [Effect::Note(_)]));
}

#[test]
fn sources_are_asked_for_again_on_a_new_channel_and_given_once() {
    let mut machine = running();
    let request = Effect::Send(AgentMessage::SourceRequest { attempt: ONE });
    assert_eq!(
        machine.step(Input::SourceNeeded { attempt: ONE }, at(5)),
        std::slice::from_ref(&request)
    );
    let back = lost(&mut machine, at(6));
    let (_, welcomed) = connect(&mut machine, back);
    assert!(welcomed.contains(&request));
    let give = || Input::Received(ServerMessage::Source(source(ONE)));
    assert_eq!(
        machine.step(give(), back),
        [Effect::GiveSource(source(ONE))]
    );
    assert_eq!(machine.step(give(), back), []);
}

#[test]
fn progress_is_sent_at_most_once_a_second_and_the_last_one_wins() {
    let mut machine = running();
    let mut sent = Vec::new();
    for percent in 0..100_u8 {
        let now = at(1000 + u64::from(percent) * 10);
        sent.extend(machine.step(
            Input::Advanced {
                attempt: ONE,
                phase: Phase::Downloading,
                percent: Some(percent),
                bytes_per_second: Some(1000),
            },
            now,
        ));
    }
    assert_eq!(sent.len(), 1);
    let effects = machine.step(Input::Tick, at(2000));
    assert!(effects.contains(&Effect::Send(AgentMessage::Progress {
        attempt: ONE,
        phase: Phase::Downloading,
        percent: Some(99),
        bytes_per_second: Some(1000),
    })));
}

#[test]
fn heartbeats_name_what_runs_and_silence_ends_the_channel() {
    let mut machine = running();
    let (mut now, mut beats, mut closed) = (at(3), 0, false);
    while !closed {
        now = machine.wake_at().expect("a moment").max(now);
        for effect in machine.step(Input::Tick, now) {
            match effect {
                Effect::Send(AgentMessage::Heartbeat { attempts }) => {
                    assert_eq!(attempts, [ONE]);
                    beats += 1;
                }
                Effect::Close => closed = true,
                _ => {}
            }
        }
    }
    assert!((2..=4).contains(&beats), "{beats}");
    assert!(now >= at(3) + Duration::from_secs(180));
    assert!(!machine.in_session());
}

#[test]
fn a_server_that_never_welcomes_is_left() {
    let mut machine = machine(&[]);
    machine.step(Input::Tick, at(0));
    machine.step(opened(LinkTrust::Full), at(1));
    let effects = machine.step(Input::Tick, at(1) + Pace::default().greeting_limit);
    assert!(effects.contains(&Effect::Close));
    assert!(machine.wake_at().is_some());
}

#[test]
fn waits_grow_to_the_limit_and_are_spread() {
    let pace = Pace::default();
    let mut first = Vec::new();
    for seed in 0..200 {
        let mut machine = Machine::new(introduction(), pace, &[], seed);
        let mut now = at(0);
        for round in 0..12_u32 {
            machine.step(Input::Tick, now);
            let back = lost(&mut machine, now);
            let ceiling = pace
                .backoff_first
                .saturating_mul(1 << round)
                .min(pace.backoff_limit);
            assert!(back - now <= ceiling);
            if round == 0 {
                first.push(back - now);
            }
            now = back;
        }
    }
    let early = first
        .iter()
        .filter(|wait| **wait < pace.backoff_first / 2)
        .count();
    assert!(
        (60..140).contains(&early),
        "{early} of 200 in the first half"
    );
}

#[test]
fn the_moment_the_server_names_is_kept() {
    for ending in [
        Ending::Lost {
            retry_after_secs: Some(90),
        },
        Ending::Refused {
            retry_after_secs: Some(90),
        },
    ] {
        let mut machine = machine(&[]);
        machine.step(Input::Tick, at(0));
        machine.step(Input::Closed(ending), at(0));
        let back = machine.wake_at().expect("a moment");
        assert!((at(90_000)..=at(91_000)).contains(&back), "{back:?}");
    }
    let mut machine = accepted();
    let effects = machine.step(
        Input::Received(ServerMessage::Refused {
            code: "shutting_down".to_owned(),
            reason: "an upgrade".to_owned(),
            retry_after_secs: Some(7),
            enroll_anew: false,
        }),
        at(10),
    );
    assert!(effects.contains(&Effect::Close));
    let back = machine.wake_at().expect("a moment");
    assert!((at(7_010)..=at(8_010)).contains(&back), "{back:?}");
}

#[test]
fn a_refusal_that_needs_a_person_is_not_hammered() {
    let mut machine = machine(&[]);
    machine.step(Input::Tick, at(0));
    machine.step(
        Input::Closed(Ending::Refused {
            retry_after_secs: None,
        }),
        at(0),
    );
    assert!(machine.wake_at().expect("a moment") >= Pace::default().refused_wait);
}

#[test]
fn with_a_wrong_clock_only_time_and_renewal_go_over_the_channel() {
    let mut machine = machine(&[report(ONE, AttemptStage::Accepted)]);
    machine.step(Input::Tick, at(0));
    machine.step(opened(LinkTrust::TimeOnly), at(0));
    let effects = machine.step(Input::Received(welcome()), at(1));
    assert_eq!(effects, [Effect::LearnTime(5)]);
    let effects = machine.step(Input::Received(task(TWO)), at(2));
    assert!(declined(&effects, TWO));
    assert_eq!(
        machine.step(Input::Received(ServerMessage::Go { attempt: ONE }), at(3)),
        []
    );
    let csr_pem = "csr".to_owned();
    let effects = machine.step(
        Input::RenewalDue {
            csr_pem: csr_pem.clone(),
        },
        at(4),
    );
    assert_eq!(effects, [Effect::Send(AgentMessage::Renew { csr_pem })]);
    assert!(
        machine.wake_at().expect("a moment") > at(4),
        "it does not spin"
    );
}

#[test]
fn what_is_learnt_of_the_time_may_make_a_channel_good_for_work() {
    let mut machine = machine(&[]);
    machine.step(Input::Tick, at(0));
    machine.step(opened(LinkTrust::TimeOnly), at(0));
    machine.step(Input::Received(welcome()), at(1));
    assert_eq!(machine.step(Input::TimeLearned, at(2)), [Effect::Close]);
    let soon = machine.wake_at().expect("a moment");
    assert!(soon <= at(2) + Pace::default().backoff_first);
    assert_eq!(machine.step(Input::Tick, soon), [Effect::Connect]);
    machine.step(opened(LinkTrust::Full), soon);
    machine.step(Input::Received(welcome()), soon);
    assert_eq!(machine.step(Input::TimeLearned, soon), []);
    assert!(machine.in_session());
}

#[test]
fn who_is_judged_without_a_clock_does_not_say_whom_to_trust() {
    for (trust, roots_pem) in [
        (LinkTrust::TimeOnly, None),
        (LinkTrust::Full, Some("roots".to_owned())),
    ] {
        let mut machine = machine(&[]);
        machine.step(Input::Tick, at(0));
        machine.step(opened(trust), at(0));
        machine.step(Input::Received(welcome()), at(1));
        let certificate = ServerMessage::Certificate {
            chain_pem: "chain".to_owned(),
            roots_pem: "roots".to_owned(),
        };
        let effects = machine.step(Input::Received(certificate), at(2));
        let kept = Effect::KeepCertificate {
            chain_pem: "chain".to_owned(),
            roots_pem,
        };
        assert_eq!(effects, [kept, Effect::Close]);
    }
}

#[test]
fn a_state_of_before_drops_what_was_going_on_then_and_comes_back_with_a_new_history() {
    let behind = || ServerMessage::Refused {
        code: HISTORY_BEHIND.to_owned(),
        reason: "set back".to_owned(),
        retry_after_secs: None,
        enroll_anew: false,
    };
    let journal = [
        report(ONE, AttemptStage::Running),
        report(TWO, AttemptStage::Ended),
    ];
    let mut machine = machine(&journal);
    machine.step(Input::Tick, at(0));
    machine.step(opened(LinkTrust::Full), at(0));
    let effects = machine.step(Input::Received(behind()), at(1));
    assert_eq!(
        effects[..2],
        [Effect::BeginHistory, Effect::SetBack { attempt: ONE }]
    );
    assert!(effects.contains(&Effect::Close));
    let soon = machine.wake_at().expect("a moment");
    assert!(soon <= at(1) + Pace::default().backoff_first);
    machine.step(Input::Tick, soon);
    machine.step(opened(LinkTrust::Full), soon);
    let effects = machine.step(Input::Received(welcome()), soon);
    assert!(effects.contains(&Effect::InStep), "{effects:?}");
    let effects = machine.step(Input::Received(ServerMessage::Go { attempt: ONE }), soon);
    assert_eq!(effects, []);

    // Not on the word of a server that is judged without a clock.
    let mut machine = super::tests::machine(&journal);
    machine.step(Input::Tick, at(0));
    machine.step(opened(LinkTrust::TimeOnly), at(0));
    let effects = machine.step(Input::Received(behind()), at(1));
    assert!(!effects.contains(&Effect::BeginHistory), "{effects:?}");
}

#[test]
fn a_copy_that_may_enroll_anew_stops_what_is_another_desktops_and_leaves() {
    let told = MachineIdentity {
        marks: BTreeMap::new(),
        history: History {
            id: HistoryId::new(Uuid::from_u128(3)),
            count: 4,
        },
        begun_anew: false,
    };
    let journal = [
        report(ONE, AttemptStage::Accepted),
        report(TWO, AttemptStage::Ended),
    ];
    for (enroll_anew, trust, leaves) in [
        (true, LinkTrust::Full, true),
        (false, LinkTrust::Full, false),
        (true, LinkTrust::TimeOnly, false),
    ] {
        let mut machine = machine(&journal);
        machine.step(Input::Tick, at(0));
        let opened = Input::Opened {
            trust,
            identity: Some(told.clone()),
        };
        machine.step(opened, at(0));
        let refused = ServerMessage::Refused {
            code: COPY.to_owned(),
            reason: "another machine".to_owned(),
            retry_after_secs: Some(300),
            enroll_anew,
        };
        let effects = machine.step(Input::Received(refused), at(1));
        let left = Effect::LeaveAsCopy(Box::new(CopyRefusal {
            identity: told.clone(),
            retry_after_secs: Some(300),
        }));
        assert_eq!(effects.contains(&left), leaves, "{effects:?}");
        assert_eq!(
            effects.contains(&Effect::Cancel { attempt: ONE }),
            leaves,
            "{effects:?}"
        );
        if leaves {
            // It does not come back under that name.
            assert_eq!(machine.step(Input::Tick, at(2)), []);
            let ended = machine.step(Input::Ended { attempt: ONE }, at(3));
            assert_eq!(ended, [Effect::Exit]);
        } else {
            let back = machine.wake_at().expect("a moment");
            assert!(back >= at(300_000), "{back:?}");
        }
    }
}

#[test]
fn a_decommissioned_desktop_stops_what_runs_before_it_leaves() {
    let mut machine = machine(&[
        report(ONE, AttemptStage::Running),
        report(TWO, AttemptStage::Ended),
    ]);
    machine.step(Input::Tick, at(0));
    let effects = machine.step(Input::Closed(Ending::Decommissioned), at(1));
    assert_eq!(effects, [Effect::Cancel { attempt: ONE }]);
    // It does not come back, whatever happens.
    assert_eq!(machine.step(Input::Tick, at(30_000)), []);
    assert_eq!(
        machine.step(Input::Ended { attempt: ONE }, at(31_000)),
        [Effect::Exit]
    );
    assert_eq!(machine.wake_at(), None);
}

#[test]
fn a_decommissioned_desktop_does_not_wait_for_ever() {
    let mut machine = machine(&[report(ONE, AttemptStage::Running)]);
    machine.step(Input::Tick, at(0));
    machine.step(Input::Closed(Ending::Decommissioned), at(0));
    let end = machine.wake_at().expect("a moment");
    assert_eq!(machine.step(Input::Tick, end), [Effect::Exit]);
}

#[test]
fn a_renewal_is_asked_for_until_a_certificate_comes() {
    let mut machine = machine(&[]);
    let csr_pem = "csr".to_owned();
    let due = Input::RenewalDue {
        csr_pem: csr_pem.clone(),
    };
    assert_eq!(machine.step(due, at(0)), []);
    let (_, welcomed) = connect(&mut machine, at(1));
    let renew = Effect::Send(AgentMessage::Renew { csr_pem });
    assert!(welcomed.contains(&renew));
    let later = at(1) + Pace::default().resend;
    assert!(machine.step(Input::Tick, later).contains(&renew));
    let effects = machine.step(
        Input::Received(ServerMessage::Certificate {
            chain_pem: "chain".to_owned(),
            roots_pem: "roots".to_owned(),
        }),
        later,
    );
    assert!(matches!(
        effects.as_slice(),
        [Effect::KeepCertificate { .. }, Effect::Close]
    ));
    // The new one is shown in a new channel, in which nothing is asked for any more.
    let back = machine.wake_at().expect("a moment");
    let (_, welcomed) = connect(&mut machine, back);
    assert!(!welcomed.contains(&renew));
    let effects = machine.step(Input::Tick, back + Pace::default().resend);
    assert!(!effects.contains(&renew));
}

#[test]
fn shutdown_closes_and_leaves_attempts_as_they_are() {
    let mut machine = running();
    assert_eq!(
        machine.step(Input::Shutdown, at(5)),
        [Effect::Close, Effect::Exit]
    );
    assert_eq!(machine.step(Input::Ended { attempt: ONE }, at(6)), []);
    assert_eq!(machine.wake_at(), None);
    let mut waiting = self::machine(&[]);
    assert_eq!(waiting.step(Input::Shutdown, at(0)), [Effect::Exit]);
}

#[test]
fn an_update_is_told_until_it_was_noted_and_an_offer_comes_before_the_welcome_too() {
    let mut machine = machine(&[]);
    let report = UpdateReport {
        version: "1.2.0".to_owned(),
        round: 1,
        stage: UpdateStage::Failed,
        detail: Some("it ended".to_owned()),
    };
    let told = Effect::Send(AgentMessage::Update(report.clone()));
    // Before there is a channel it waits.
    assert_eq!(
        machine.step(Input::UpdateReported(report.clone()), at(0)),
        []
    );
    assert_eq!(machine.step(Input::Tick, at(0)), [Effect::Connect]);
    machine.step(opened(LinkTrust::Full), at(0));
    let offer = UpdateOffer {
        manifest: "{}".to_owned(),
        signature: String::new(),
        round: 2,
        trial_limit_secs: 5,
    };
    let offered = ServerMessage::Update(Box::new(offer.clone()));
    assert_eq!(
        machine.step(Input::Received(offered), at(1)),
        [Effect::OfferUpdate(Box::new(offer))]
    );
    assert!(
        machine
            .step(Input::Received(welcome()), at(1))
            .contains(&told)
    );
    let again = at(1) + Pace::default().resend;
    assert!(machine.wake_at().is_some_and(|wake| wake <= again));
    assert!(machine.step(Input::Tick, again).contains(&told));
    let noted = |round| {
        Input::Received(ServerMessage::UpdateNoted {
            version: "1.2.0".to_owned(),
            round,
            stage: UpdateStage::Failed,
        })
    };
    // What was noted is another report's.
    assert_eq!(machine.step(noted(0), again), []);
    assert_eq!(machine.step(noted(1), again), [Effect::UpdateNoted(report)]);
    assert_eq!(machine.step(noted(1), again), []);
}

const LOST: Ending = Ending::Lost {
    retry_after_secs: None,
};

fn asking(facts: &str, software: &str) -> ServerMessage {
    let ServerMessage::Welcome(plain) = welcome() else {
        panic!("no welcome");
    };
    ServerMessage::Welcome(Welcome {
        inventory: Some(outfitter_agent_protocol::InventoryAsk {
            facts: facts.to_owned(),
            software: software.to_owned(),
            within_secs: 10,
        }),
        ..plain
    })
}

fn found(facts: &str, software: &str) -> Input {
    Input::InventoryLooked(InventoryDigests {
        facts: facts.to_owned(),
        software: software.to_owned(),
    })
}

/// What is said and done about the inventory until `end`, the heartbeats answered; the clock is moved by the machine.
fn until(machine: &mut Machine, mut now: Moment, end: Moment) -> Vec<(Moment, Effect)> {
    let mut seen = Vec::new();
    while let Some(wake) = machine.wake_at().filter(|wake| *wake <= end) {
        now = now.max(wake);
        for effect in machine.step(Input::Tick, now) {
            match effect {
                Effect::LookForInventory | Effect::SendInventory(_) => seen.push((now, effect)),
                Effect::Send(AgentMessage::Heartbeat { .. }) => {
                    let answer = ServerMessage::Heartbeat {
                        server_time_millis: 1,
                    };
                    machine.step(Input::Received(answer), now);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    seen
}

#[test]
fn a_server_that_asks_for_no_inventory_hears_none_and_nobody_looks() {
    let mut machine = machine(&[]);
    machine.step(Input::Tick, at(0));
    machine.step(opened(LinkTrust::Full), at(0));
    machine.step(Input::Received(welcome()), at(1));
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(until(&mut machine, at(1), day), []);
    assert_eq!(machine.step(found("f", "s"), day), []);
}

#[test]
fn only_parts_that_differ_are_told_and_rarely_looked_for() {
    let mut machine = machine(&[]);
    machine.step(Input::Tick, at(0));
    machine.step(opened(LinkTrust::Full), at(0));
    machine.step(Input::Received(asking("f0", "s1")), at(1));
    // The first look is spread over the time that the server named.
    let hour = Duration::from_secs(3600);
    let looks = until(&mut machine, at(1), hour);
    let [(first, Effect::LookForInventory)] = looks.as_slice() else {
        panic!("{looks:?}");
    };
    assert!(*first <= at(10_001), "{first:?}");
    // The software is as the server has it.
    let facts = Effect::SendInventory(InventoryKind::Facts);
    assert_eq!(
        machine.step(found("f1", "s1"), hour),
        std::slice::from_ref(&facts)
    );
    let noted = |digest: &str| {
        Input::Received(ServerMessage::InventoryNoted {
            digest: digest.to_owned(),
        })
    };
    assert_eq!(machine.step(noted("other"), hour), []);
    // Until it was noted it is sent again.
    let again = until(&mut machine, hour, hour + at(130_000));
    assert_eq!(again, [(hour + at(120_000), facts.clone())]);
    let now = again[0].0;
    assert_eq!(
        machine.step(noted("f1"), now),
        [Effect::InventoryNoted(InventoryKind::Facts)]
    );
    // From then on it is looked at every six to eight hours, and the same again is not told.
    let day = until(&mut machine, now, Duration::from_secs(24 * 3600));
    assert!((2..=4).contains(&day.len()), "{day:?}");
    let now = Duration::from_secs(24 * 3600);
    assert_eq!(machine.step(found("f1", "s1"), now), []);

    // A new channel to a server that has the same: nothing is looked for, nothing said.
    machine.step(Input::Closed(LOST), now);
    let now = machine.wake_at().expect("it comes back");
    machine.step(Input::Tick, now);
    machine.step(opened(LinkTrust::Full), now);
    machine.step(Input::Received(asking("f1", "s1")), now);
    let is_told = |(_, effect): &(Moment, Effect)| matches!(effect, Effect::SendInventory(_));
    assert!(!until(&mut machine, now, now + hour).iter().any(is_told));
    // One that lost it is told, though what was found is not kept.
    let now = now + hour;
    machine.step(Input::Closed(LOST), now);
    let now = machine.wake_at().expect("it comes back");
    machine.step(Input::Tick, now);
    machine.step(opened(LinkTrust::Full), now);
    machine.step(Input::Received(asking("", "s1")), now);
    let mut told = until(&mut machine, now, now + at(10_001));
    told.retain(is_told);
    assert_eq!(told.len(), 1);
    assert_eq!(
        machine.step(Input::InventoryLost, now + at(10_001)),
        [Effect::LookForInventory]
    );
}

#[test]
fn a_busy_server_is_told_later_and_an_attempt_brings_a_look() {
    let mut machine = running();
    machine.step(Input::Closed(LOST), at(5));
    let now = machine.wake_at().expect("it comes back");
    machine.step(Input::Tick, now);
    machine.step(opened(LinkTrust::Full), now);
    machine.step(Input::Received(asking("", "")), now);
    let hour = now + Duration::from_secs(3600);
    assert_eq!(until(&mut machine, now, hour).len(), 1);
    assert_eq!(machine.step(found("f", "s"), hour).len(), 2);
    machine.step(
        Input::Received(ServerMessage::InventoryNoted {
            digest: "f".to_owned(),
        }),
        hour,
    );
    let later = ServerMessage::InventoryLater {
        digest: "s".to_owned(),
        retry_after_secs: 300,
    };
    machine.step(Input::Received(later), hour);
    let told = until(&mut machine, hour, hour + Duration::from_secs(660));
    let [(when, Effect::SendInventory(InventoryKind::Software)), ..] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert!(*when >= hour + Duration::from_secs(300), "{when:?}");
    machine.step(
        Input::Received(ServerMessage::InventoryNoted {
            digest: "s".to_owned(),
        }),
        *when,
    );
    machine.step(Input::Ended { attempt: ONE }, *when);
    machine.step(
        Input::Received(ServerMessage::Recorded { attempt: ONE }),
        *when,
    );
    let looks = until(&mut machine, *when, *when + at(10_000));
    assert_eq!(looks, [(*when + at(10_000), Effect::LookForInventory)]);
}
