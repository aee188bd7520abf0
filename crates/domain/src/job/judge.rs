use outfitter_agent_protocol::{
    Approach, DetectionRule, Evidence, ExitOutcome, Method, Task, TaskKind,
};

use super::{Failure, Reason, exit_outcome, unpacks};

/// How well a SUCCESS is proven. Shown by every native view; the contract has no word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// A good exit code, and the detection rule true afterwards.
    Rule,
    /// The agent unpacked the archive and checked every file of its own manifest.
    Manifest,
    /// A rule that pins the version was true before; nothing was run.
    AlreadyInstalled,
    /// A good exit code and nothing more: "unverified".
    ExitCodeOnly,
    /// An uninstall found nothing to take off: the rule (or manifest) was false before; nothing was run.
    AlreadyAbsent,
    /// A success whose receipt turned out not to be what it says: it proves nothing.
    ReceiptInvalid,
}

impl Proof {
    /// Every proof.
    pub const ALL: &[Self] = &[
        Self::Rule,
        Self::Manifest,
        Self::AlreadyInstalled,
        Self::ExitCodeOnly,
        Self::AlreadyAbsent,
        Self::ReceiptInvalid,
    ];

    /// The number in the database. Never reused.
    pub const fn number(self) -> i64 {
        match self {
            Self::Rule => 0,
            Self::Manifest => 1,
            Self::AlreadyInstalled => 2,
            Self::ExitCodeOnly => 3,
            Self::AlreadyAbsent => 4,
            Self::ReceiptInvalid => 5,
        }
    }

    /// Reads the number; `None` for any other.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|proof| proof.number() == number)
    }

    /// Whether it shows that what was asked for is so; the others are shown as unverified.
    pub const fn is_verified(self) -> bool {
        match self {
            Self::Rule | Self::Manifest | Self::AlreadyInstalled | Self::AlreadyAbsent => true,
            Self::ExitCodeOnly | Self::ReceiptInvalid => false,
        }
    }

    /// Stable word for native routes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "detection_rule",
            Self::Manifest => "manifest",
            Self::AlreadyInstalled => "already_installed",
            Self::ExitCodeOnly => "exit_code_only",
            Self::AlreadyAbsent => "already_absent",
            Self::ReceiptInvalid => "receipt_invalid",
        }
    }
}

/// What an agent's evidence comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The app is there (or gone, for an uninstall).
    Succeeded(Proof),
    /// It is not, or nothing proves it.
    Failed(Failure),
}

/// Judges what an agent saw of the attempt that `task` describes (invariant I3). The agent is not asked for
/// its opinion, and not believed where its evidence does not hold together:
///
/// - SUCCESS needs an exit code that means success ([`exit_outcome`]) and, where a rule exists, the rule true afterwards (for an
///   uninstall: false). The rule is the task's; one that the agent derived from the verified package counts
///   where the task has none.
/// - Where the installer asked its user, the rule alone decides; without one the exit code does.
/// - An archive that the agent unpacks itself needs its manifest, true afterwards.
/// - "Already installed" needs a rule (or manifest) that can only be true of this revision, true before; a repair
///   is never already done.
/// - "Already absent" needs a rule (or the agent's record of what it unpacked), false before.
/// - The bytes must be those that the server recorded (I6).
pub fn judge(task: &Task, evidence: &Evidence) -> Verdict {
    match weigh(task, evidence) {
        Ok(proof) => Verdict::Succeeded(proof),
        Err(mut failure) => {
            failure.detected_afterwards = task.kind == TaskKind::Install
                && failure.reason != Reason::NotDetectedAfterInstall
                && failure.reason != Reason::EvidenceRefused
                && rule_in_force(task, evidence).is_ok_and(|rule| rule.is_some())
                && evidence.after.as_ref().is_some_and(|seen| seen.holds);
            Verdict::Failed(failure)
        }
    }
}

/// A rule and whether it can only be true of one content.
enum RuleInForce<'a> {
    Rule(&'a DetectionRule),
    Manifest,
}

impl RuleInForce<'_> {
    fn pins_version(&self) -> bool {
        match self {
            Self::Rule(rule) => rule.pins_version(),
            Self::Manifest => true,
        }
    }
}

fn weigh(task: &Task, evidence: &Evidence) -> Result<Proof, Failure> {
    if evidence.job != task.job || evidence.attempt != task.attempt {
        return Err(refused("it is about another attempt"));
    }
    if let Some(code) = evidence.failure {
        return Err(Failure {
            detail: evidence.failure_detail.clone(),
            ..Failure::bare(Reason::from(code))
        });
    }
    check_bytes(task, evidence)?;
    let rule = rule_in_force(task, evidence)?;
    if evidence.already_installed {
        return match (task.kind, rule, &evidence.before) {
            (TaskKind::Install, Some(rule), Some(before))
                if before.holds
                    && rule.pins_version()
                    && evidence.exit_code.is_none()
                    && task.approach == Approach::Ordinary =>
            {
                Ok(Proof::AlreadyInstalled)
            }
            _ => Err(refused(
                "it says already installed, but no rule that pins the version was true",
            )),
        };
    }
    if evidence.already_absent {
        return match (task.kind, rule, &evidence.before) {
            (TaskKind::Uninstall, Some(_), Some(before))
                if !before.holds && evidence.exit_code.is_none() =>
            {
                Ok(Proof::AlreadyAbsent)
            }
            _ => Err(refused(
                "it says already absent, but no rule was false before",
            )),
        };
    }
    let Some(exit_code) = evidence.exit_code else {
        return Err(refused("it holds neither an exit code nor a failure"));
    };
    // How a program ends that somebody clicks through says little: its rule decides.
    let rule_decides = task.session.is_some() && rule.is_some();
    let reason = match exit_outcome(task, exit_code) {
        _ if rule_decides => None,
        ExitOutcome::Success | ExitOutcome::RebootNeeded => None,
        ExitOutcome::Retry if task.exit_codes.contains_key(&exit_code) => {
            Some(Reason::ExitCodeRetry)
        }
        ExitOutcome::Retry => Some(Reason::InstallerBusy),
        ExitOutcome::Failure => Some(Reason::ExitCode),
    };
    if let Some(reason) = reason {
        let mut detail = format!("exit code {exit_code}");
        if let Some(text) = task
            .exit_codes
            .get(&exit_code)
            .and_then(|meaning| meaning.text.as_deref())
        {
            detail.push_str(": ");
            detail.push_str(text);
        } else if let Some(last) = evidence
            .output_tail
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
        {
            detail.push_str(": ");
            detail.push_str(last.trim());
        }
        return Err(Failure::seen(reason, detail));
    }
    let Some(rule) = rule else {
        return match (task.kind, &evidence.after) {
            // A list of what was unpacked that is empty is no rule, and yet it may say that something is left.
            (TaskKind::Uninstall, Some(after)) if after.holds => Err(Failure::seen(
                Reason::StillDetectedAfterUninstall,
                after.seen.clone(),
            )),
            _ => Ok(Proof::ExitCodeOnly),
        };
    };
    let Some(after) = &evidence.after else {
        return Err(refused("the rule was not evaluated afterwards"));
    };
    match (task.kind, after.holds) {
        (TaskKind::Install, false) => Err(Failure::seen(
            Reason::NotDetectedAfterInstall,
            after.seen.clone(),
        )),
        (TaskKind::Uninstall, true) => Err(Failure::seen(
            Reason::StillDetectedAfterUninstall,
            after.seen.clone(),
        )),
        (TaskKind::Install, true) | (TaskKind::Uninstall, false) => Ok(match rule {
            RuleInForce::Manifest => Proof::Manifest,
            // A rule that the agent chose and that any content satisfies proves nothing.
            RuleInForce::Rule(rule) if task.detection.is_none() && !rule.pins_version() => {
                Proof::ExitCodeOnly
            }
            RuleInForce::Rule(_) => Proof::Rule,
        }),
    }
}

/// The rule that decides, or why the evidence cannot be about it.
fn rule_in_force<'a>(
    task: &'a Task,
    evidence: &'a Evidence,
) -> Result<Option<RuleInForce<'a>>, Failure> {
    let unpacks = unpacks(task);
    let listed = evidence.manifest_files.is_some_and(|files| files > 0);
    let manifest = match task.kind {
        TaskKind::Install => unpacks && listed,
        // The agent's record of what it unpacked for the app, an empty one too; also where a command of the app's
        // own takes it off.
        TaskKind::Uninstall => unpacks || (task.method == Method::Unzip && listed),
    };
    if task.kind == TaskKind::Install && unpacks && !manifest {
        return Err(refused(
            "an archive was to be unpacked, but there is no manifest of its files",
        ));
    }
    match (&task.detection, &evidence.rule) {
        (Some(asked), Some(evaluated)) if asked == evaluated => Ok(Some(RuleInForce::Rule(asked))),
        (Some(_), _) => Err(refused("another rule than the application's was evaluated")),
        (None, _) if manifest => Ok(Some(RuleInForce::Manifest)),
        (None, Some(derived)) => Ok(Some(RuleInForce::Rule(derived))),
        (None, None) => Ok(None),
    }
}

/// The bytes must be the recorded ones wherever bytes were used: whenever something was run for an install,
/// and whenever the agent says anything about bytes. A rule of the task that already holds needs none.
fn check_bytes(task: &Task, evidence: &Evidence) -> Result<(), Failure> {
    let needed = task.kind == TaskKind::Install
        && !(evidence.already_installed && (task.detection.is_some() || unpacks(task)));
    let Some(digest) = &evidence.package_sha256 else {
        return if needed {
            Err(refused("it does not name the package that was run"))
        } else {
            Ok(())
        };
    };
    let digest_is_recorded = match &task.package.sha256 {
        Some(recorded) => recorded == digest,
        // A link on its first use: any well-formed digest, which is pinned afterwards.
        None => is_sha256(digest),
    };
    let size_is_recorded = match (task.package.size_bytes, evidence.package_size_bytes) {
        (Some(recorded), Some(seen)) => recorded == seen,
        (Some(_) | None, _) => true,
    };
    if digest_is_recorded && size_is_recorded {
        Ok(())
    } else {
        Err(Failure::seen(
            Reason::DigestMismatch,
            format!("the desktop had SHA-256 {digest}"),
        ))
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn refused(why: &str) -> Failure {
    Failure::seen(Reason::EvidenceRefused, why)
}

#[cfg(test)]
mod tests {
    use outfitter_agent_protocol::{Detection, ExitMeaning, FailureCode, PackageRef, UserSession};
    use outfitter_ids::{AppId, AttemptId, JobId, RevisionId};
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn id<T: From<uuid::Uuid>>(number: u128) -> T {
        T::from(uuid::Uuid::from_u128(number))
    }

    fn pinning() -> DetectionRule {
        DetectionRule::DebianPackage {
            name: "hello".to_owned(),
            version: Some("2.10".to_owned()),
        }
    }

    fn loose() -> DetectionRule {
        DetectionRule::DebianPackage {
            name: "hello".to_owned(),
            version: None,
        }
    }

    fn task(rule: Option<DetectionRule>) -> Task {
        Task {
            attempt: id::<AttemptId>(1),
            job: id::<JobId>(2),
            project: None,
            kind: TaskKind::Install,
            app: id::<AppId>(3),
            app_name: "Hello".to_owned(),
            app_version: "2.10".to_owned(),
            revision: id::<RevisionId>(4),
            method: Method::Quiet,
            command: "dpkg -i ${FILE_PATH}".to_owned(),
            package: PackageRef {
                file_name: "hello.deb".to_owned(),
                sha256: Some(DIGEST.to_owned()),
                size_bytes: Some(100),
            },
            detection: rule,
            success_exit_codes: vec![0, 3010],
            run_limit_secs: 3600,
            approach: outfitter_agent_protocol::Approach::Ordinary,
            exit_codes: std::collections::BTreeMap::new(),
            running_programs: None,
            session: None,
        }
    }

    fn seen(holds: bool) -> Option<Detection> {
        Some(Detection {
            holds,
            seen: "what was seen".to_owned(),
        })
    }

    /// Evidence of a run that went well.
    fn good(task: &Task) -> Evidence {
        Evidence {
            attempt: task.attempt,
            job: task.job,
            failure: None,
            failure_detail: None,
            rule: task.detection.clone(),
            manifest_files: unpacks(task).then_some(3),
            before: seen(false),
            after: seen(true),
            already_installed: false,
            already_absent: false,
            exit_code: Some(0),
            output_tail: String::new(),
            package_sha256: Some(DIGEST.to_owned()),
            package_size_bytes: Some(100),
            command: None,
            sandbox_root: None,
            agent_version: "1".to_owned(),
            phases: vec![],
            ended_at_millis: 0,
        }
    }

    fn unzip_task() -> Task {
        Task {
            method: Method::Unzip,
            command: "unzip ${FILE_PATH} -d /opt/x".to_owned(),
            ..task(None)
        }
    }

    fn reason(task: &Task, evidence: &Evidence) -> Reason {
        match judge(task, evidence) {
            Verdict::Failed(failure) => failure.reason,
            Verdict::Succeeded(proof) => panic!("succeeded by {proof:?}"),
        }
    }

    #[test]
    fn of_what_a_user_clicked_through_the_rule_decides_and_else_the_exit_code() {
        let opened = |rule| Task {
            command: String::new(),
            session: Some(UserSession {
                user: "ana".to_owned(),
                domain: "local.com".to_owned(),
                command: None,
            }),
            ..task(rule)
        };
        let with_rule = opened(Some(loose()));
        let mut evidence = good(&with_rule);
        evidence.exit_code = Some(1);
        assert_eq!(
            judge(&with_rule, &evidence),
            Verdict::Succeeded(Proof::Rule)
        );
        evidence.after = seen(false);
        assert_eq!(
            reason(&with_rule, &evidence),
            Reason::NotDetectedAfterInstall
        );
        let plain = opened(None);
        let mut evidence = good(&plain);
        assert_eq!(
            judge(&plain, &evidence),
            Verdict::Succeeded(Proof::ExitCodeOnly)
        );
        evidence.exit_code = Some(1);
        assert_eq!(reason(&plain, &evidence), Reason::ExitCode);
    }

    #[test]
    fn good_evidence_succeeds_by_the_best_proof_there_is() {
        let with_rule = task(Some(loose()));
        let plain = task(None);
        let mut derived = good(&plain);
        derived.rule = Some(pinning());
        let mut derived_loose = good(&plain);
        derived_loose.rule = Some(loose());
        let mut reboot = good(&plain);
        reboot.exit_code = Some(3010);
        for (task, evidence, proof) in [
            (&with_rule, good(&with_rule), Proof::Rule),
            (&plain, good(&plain), Proof::ExitCodeOnly),
            (&plain, reboot, Proof::ExitCodeOnly),
            (&plain, derived, Proof::Rule),
            (&plain, derived_loose, Proof::ExitCodeOnly),
            (&unzip_task(), good(&unzip_task()), Proof::Manifest),
        ] {
            assert_eq!(judge(task, &evidence), Verdict::Succeeded(proof));
        }
    }

    #[test]
    fn already_installed_is_believed_only_of_a_rule_that_pins_the_version() {
        let already = |task: &Task| Evidence {
            already_installed: true,
            exit_code: None,
            after: None,
            before: seen(true),
            package_sha256: None,
            package_size_bytes: None,
            ..good(task)
        };
        let pinned = task(Some(pinning()));
        assert_eq!(
            judge(&pinned, &already(&pinned)),
            Verdict::Succeeded(Proof::AlreadyInstalled)
        );
        assert_eq!(
            judge(&unzip_task(), &already(&unzip_task())),
            Verdict::Succeeded(Proof::AlreadyInstalled)
        );
        let loose = task(Some(loose()));
        assert_eq!(reason(&loose, &already(&loose)), Reason::EvidenceRefused);
        let none = task(None);
        assert_eq!(reason(&none, &already(&none)), Reason::EvidenceRefused);
        // A rule that the agent made up, without the bytes it would be derived from.
        let mut invented = already(&none);
        invented.rule = Some(pinning());
        assert_eq!(reason(&none, &invented), Reason::EvidenceRefused);
        let mut not_there = already(&pinned);
        not_there.before = seen(false);
        assert_eq!(reason(&pinned, &not_there), Reason::EvidenceRefused);
        let mut other_rule = already(&pinned);
        other_rule.rule = Some(DetectionRule::All(vec![pinning()]));
        assert_eq!(reason(&pinned, &other_rule), Reason::EvidenceRefused);
    }

    #[test]
    fn a_good_exit_code_is_not_enough() {
        let task = task(Some(pinning()));
        let mut not_there = good(&task);
        not_there.after = seen(false);
        assert_eq!(reason(&task, &not_there), Reason::NotDetectedAfterInstall);
        let mut not_looked = good(&task);
        not_looked.after = None;
        assert_eq!(reason(&task, &not_looked), Reason::EvidenceRefused);
        let mut other_bytes = good(&task);
        other_bytes.package_sha256 = Some("b".repeat(64));
        assert_eq!(reason(&task, &other_bytes), Reason::DigestMismatch);
        let mut other_size = good(&task);
        other_size.package_size_bytes = Some(1);
        assert_eq!(reason(&task, &other_size), Reason::DigestMismatch);
        let mut no_bytes = good(&task);
        no_bytes.package_sha256 = None;
        assert_eq!(reason(&task, &no_bytes), Reason::EvidenceRefused);
        let mut no_manifest = good(&unzip_task());
        no_manifest.manifest_files = None;
        assert_eq!(reason(&unzip_task(), &no_manifest), Reason::EvidenceRefused);
        no_manifest.manifest_files = Some(0);
        assert_eq!(reason(&unzip_task(), &no_manifest), Reason::EvidenceRefused);
        let mut other_job = good(&task);
        other_job.job = id(9);
        assert_eq!(reason(&task, &other_job), Reason::EvidenceRefused);
    }

    #[test]
    fn another_installation_in_progress_is_a_passing_failure() {
        let task = task(Some(pinning()));
        let mut busy = good(&task);
        busy.exit_code = Some(1618);
        assert_eq!(reason(&task, &busy), Reason::InstallerBusy);
    }

    #[test]
    fn a_bad_exit_code_fails_although_the_rule_holds() {
        let task = task(Some(pinning()));
        let mut evidence = good(&task);
        evidence.exit_code = Some(1603);
        evidence.output_tail = "starting\nfatal: no room\n\n".to_owned();
        let Verdict::Failed(failure) = judge(&task, &evidence) else {
            panic!("succeeded");
        };
        assert_eq!(failure.reason, Reason::ExitCode);
        let message = failure.message();
        assert!(message.contains("It was detected afterwards."), "{message}");
        assert!(
            message.contains("(exit code 1603: fatal: no room)"),
            "{message}"
        );
    }

    #[test]
    fn an_uninstall_needs_the_rule_false_afterwards() {
        let task = Task {
            kind: TaskKind::Uninstall,
            ..task(Some(loose()))
        };
        assert_eq!(
            reason(&task, &good(&task)),
            Reason::StillDetectedAfterUninstall
        );
        let mut gone = good(&task);
        gone.after = seen(false);
        gone.package_sha256 = None;
        assert_eq!(judge(&task, &gone), Verdict::Succeeded(Proof::Rule));
    }

    #[test]
    fn an_uninstall_of_what_is_not_there_needs_a_rule_that_was_false() {
        let absent = |task: &Task, before| Evidence {
            already_absent: true,
            exit_code: None,
            before,
            after: None,
            package_sha256: None,
            package_size_bytes: None,
            manifest_files: None,
            ..good(task)
        };
        let uninstall = |rule| Task {
            kind: TaskKind::Uninstall,
            ..task(rule)
        };
        let with_rule = uninstall(Some(loose()));
        assert_eq!(
            judge(&with_rule, &absent(&with_rule, seen(false))),
            Verdict::Succeeded(Proof::AlreadyAbsent)
        );
        let unpacked = Task {
            kind: TaskKind::Uninstall,
            ..unzip_task()
        };
        assert_eq!(
            judge(&unpacked, &absent(&unpacked, seen(false))),
            Verdict::Succeeded(Proof::AlreadyAbsent)
        );
        let bare = uninstall(None);
        let mut ran = absent(&with_rule, seen(false));
        ran.exit_code = Some(0);
        for (task, evidence) in [
            (&with_rule, absent(&with_rule, seen(true))),
            (&with_rule, absent(&with_rule, None)),
            (&with_rule, ran),
            (&bare, absent(&bare, seen(false))),
            // Of an install it says nothing.
            (
                &task(Some(loose())),
                absent(&task(Some(loose())), seen(false)),
            ),
        ] {
            assert_eq!(reason(task, &evidence), Reason::EvidenceRefused);
        }
    }

    #[test]
    fn what_was_unpacked_is_gone_when_the_agents_record_says_so() {
        let task = Task {
            kind: TaskKind::Uninstall,
            ..unzip_task()
        };
        let removed = |after| Evidence {
            after,
            package_sha256: None,
            package_size_bytes: None,
            ..good(&task)
        };
        assert_eq!(
            judge(&task, &removed(seen(false))),
            Verdict::Succeeded(Proof::Manifest)
        );
        assert_eq!(
            reason(&task, &removed(seen(true))),
            Reason::StillDetectedAfterUninstall
        );
        assert_eq!(reason(&task, &removed(None)), Reason::EvidenceRefused);
    }

    #[test]
    fn a_repair_is_never_already_done() {
        let task = Task {
            approach: Approach::Repair,
            ..task(Some(pinning()))
        };
        let mut evidence = good(&task);
        assert_eq!(judge(&task, &evidence), Verdict::Succeeded(Proof::Rule));
        evidence.already_installed = true;
        evidence.exit_code = None;
        evidence.before = seen(true);
        assert_eq!(reason(&task, &evidence), Reason::EvidenceRefused);
    }

    #[test]
    fn an_own_map_of_exit_codes_decides_and_speaks() {
        let mut task = task(Some(pinning()));
        for (code, outcome, text) in [
            (0, ExitOutcome::Failure, Some("licence server away")),
            (7, ExitOutcome::Retry, None),
            (8, ExitOutcome::RebootNeeded, None),
            (9, ExitOutcome::Success, None),
        ] {
            let text = text.map(str::to_owned);
            task.exit_codes.insert(code, ExitMeaning { outcome, text });
        }
        let ended = |code| Evidence {
            exit_code: Some(code),
            output_tail: "last line\n".to_owned(),
            ..good(&task)
        };
        let Verdict::Failed(failure) = judge(&task, &ended(0)) else {
            panic!("succeeded");
        };
        assert_eq!(failure.reason, Reason::ExitCode);
        assert_eq!(
            failure.detail.as_deref(),
            Some("exit code 0: licence server away")
        );
        assert_eq!(reason(&task, &ended(7)), Reason::ExitCodeRetry);
        for code in [8, 9] {
            assert_eq!(judge(&task, &ended(code)), Verdict::Succeeded(Proof::Rule));
        }
        // Meaning success, it still needs the rule.
        let mut not_there = ended(9);
        not_there.after = seen(false);
        assert_eq!(reason(&task, &not_there), Reason::NotDetectedAfterInstall);
    }

    #[test]
    fn a_failure_of_the_agent_is_never_a_success() {
        let task = task(Some(pinning()));
        let mut evidence = good(&task);
        evidence.failure = Some(FailureCode::Interrupted);
        evidence.failure_detail = Some("power loss".to_owned());
        let Verdict::Failed(failure) = judge(&task, &evidence) else {
            panic!("succeeded");
        };
        assert_eq!(failure.reason, Reason::Interrupted);
        assert!(failure.detected_afterwards);
    }

    fn any_detection() -> impl Strategy<Value = Option<Detection>> {
        prop_oneof![Just(None), any::<bool>().prop_map(seen)]
    }

    fn any_rule() -> impl Strategy<Value = Option<DetectionRule>> {
        prop_oneof![Just(None), Just(Some(pinning())), Just(Some(loose()))]
    }

    proptest! {
        /// Whatever an agent sends, a SUCCESS rests on everything that I3 asks for.
        #[test]
        fn every_success_is_backed(
            task_rule in any_rule(),
            rule in any_rule(),
            unzip in any::<bool>(),
            manifest_files in proptest::option::of(0_u32..3),
            before in any_detection(),
            after in any_detection(),
            already_installed in any::<bool>(),
            exit_code in proptest::option::of(prop_oneof![Just(0), Just(3010), Just(1)]),
            digest in proptest::option::of(prop_oneof![Just(DIGEST.to_owned()), Just("b".repeat(64))]),
            failure in proptest::option::weighted(0.2, Just(FailureCode::RunLimit)),
        ) {
            let mut task = task(task_rule);
            if unzip {
                task.method = Method::Unzip;
                task.command = "unzip ${FILE_PATH}".to_owned();
            }
            let evidence = Evidence {
                rule,
                manifest_files,
                before,
                after,
                already_installed,
                exit_code,
                package_sha256: digest,
                failure,
                ..good(&task)
            };
            if let Verdict::Succeeded(proof) = judge(&task, &evidence) {
                prop_assert!(evidence.failure.is_none());
                prop_assert!(evidence.package_sha256.as_deref().is_none_or(|digest| digest == DIGEST));
                prop_assert!(!unzip || evidence.manifest_files.is_some_and(|files| files > 0));
                prop_assert!(task.detection.is_none() || task.detection == evidence.rule);
                match proof {
                    Proof::AlreadyInstalled => {
                        prop_assert!(evidence.before.is_some_and(|seen| seen.holds));
                        prop_assert!(unzip || evidence.rule.is_some_and(|rule| rule.pins_version()));
                    }
                    Proof::AlreadyAbsent => prop_assert!(false, "an install is never already absent"),
                    Proof::ReceiptInvalid => prop_assert!(false, "receipts are judged later"),
                    Proof::Rule | Proof::Manifest | Proof::ExitCodeOnly => {
                        prop_assert!(evidence.exit_code.is_some_and(|code| task.success_exit_codes.contains(&code)));
                        prop_assert!(evidence.package_sha256.is_some());
                        let has_rule = evidence.rule.is_some() || unzip;
                        prop_assert!(!has_rule || evidence.after.is_some_and(|seen| seen.holds));
                        prop_assert!(proof != Proof::ExitCodeOnly || task.detection.is_none());
                    }
                }
            }
        }
    }

    proptest! {
        /// Whatever an agent sends, a verified SUCCESS of an uninstall saw the app gone.
        #[test]
        fn every_verified_uninstall_saw_it_gone(
            task_rule in any_rule(),
            rule in any_rule(),
            unzip in any::<bool>(),
            manifest_files in proptest::option::of(0_u32..3),
            before in any_detection(),
            after in any_detection(),
            already_absent in any::<bool>(),
            exit_code in proptest::option::of(prop_oneof![Just(0), Just(3010), Just(1605), Just(1)]),
        ) {
            let mut task = Task { kind: TaskKind::Uninstall, ..task(task_rule) };
            if unzip {
                task.method = Method::Unzip;
                task.command = "unzip ${FILE_PATH}".to_owned();
            }
            let evidence = Evidence {
                rule,
                manifest_files,
                before,
                after,
                already_absent,
                exit_code,
                package_sha256: None,
                package_size_bytes: None,
                ..good(&task)
            };
            if let Verdict::Succeeded(proof) = judge(&task, &evidence) {
                match proof {
                    Proof::AlreadyAbsent => {
                        prop_assert!(evidence.exit_code.is_none());
                        prop_assert!(evidence.before.is_some_and(|seen| !seen.holds));
                    }
                    Proof::Rule | Proof::Manifest => {
                        prop_assert!(evidence.exit_code.is_some_and(|code| code != 1));
                        prop_assert!(evidence.after.is_some_and(|seen| !seen.holds));
                    }
                    Proof::ExitCodeOnly => {
                        prop_assert!(task.detection.is_none() && !unzip);
                        prop_assert!(evidence.after.is_none_or(|seen| !seen.holds));
                    }
                    Proof::AlreadyInstalled => prop_assert!(false, "an uninstall is never already installed"),
                    Proof::ReceiptInvalid => prop_assert!(false, "receipts are judged later"),
                }
            }
        }
    }

    #[test]
    fn proofs_are_read_back() {
        for proof in Proof::ALL {
            assert_eq!(Proof::from_number(proof.number()), Some(*proof));
        }
    }
}
