use crate::text::fold;
use crate::words::OsType;

/// What a page of a deployment is planned from. Apps and desktops are named by their position.
#[derive(Debug, Clone)]
pub struct PlanInput {
    /// The deployment's apps.
    pub apps: Vec<PlanApp>,
    /// Desktops in scope.
    pub desktops: Vec<PlanDesktop>,
}

/// An app of the deployment.
#[derive(Debug, Clone)]
pub struct PlanApp {
    /// Systems it is for.
    pub support_os: OsType,
    /// Key of its newest revision; `None` when the app was deleted meanwhile.
    pub newest_revision: Option<i64>,
}

/// A desktop in scope.
#[derive(Debug, Clone)]
pub struct PlanDesktop {
    /// Its system.
    pub os: OsType,
    /// Whether what is installed stays.
    pub persistence: Persistence,
    /// Names of its users in scope, in any order.
    pub users_in_scope: Vec<String>,
    /// Its jobs that are INIT or WAITING, for the deployment's apps.
    pub live_jobs: Vec<LiveJob>,
    /// Positions of apps that nobody there may have. Asked only where desktops are named and not people.
    pub not_authorized: Vec<usize>,
}

/// Whether a desktop keeps what is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It does.
    Persistent,
    /// It is recomposed at log-off.
    NonPersistent,
}

/// A job that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveJob {
    /// Position of its app in [`PlanInput::apps`].
    pub app: usize,
    /// Revision it was handed out with; `None` while INIT, when it follows the newest.
    pub revision: Option<i64>,
    /// Whether it does what the deployment does (install or uninstall), or the opposite.
    pub aim: Aim,
}

/// What a live job does, seen from a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// The same: both install, or both uninstall.
    Same,
    /// One installs what the other uninstalls.
    Opposite,
}

/// Jobs to open, and what gets none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallPlan {
    /// Jobs to open, desktop by desktop.
    pub jobs: Vec<PlannedJob>,
    /// Pairs that get none.
    pub skips: Vec<PlannedSkip>,
}

/// A job to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedJob {
    /// Position of the desktop.
    pub desktop: usize,
    /// Position of the app.
    pub app: usize,
    /// The contract's `target`.
    pub target: Option<String>,
}

/// A pair that gets no job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedSkip {
    /// Position of the desktop.
    pub desktop: usize,
    /// Position of the app.
    pub app: usize,
    /// Why.
    pub reason: SkipReason,
}

words! {
    /// Why a desktop in scope gets no job for an app.
    SkipReason {
        /// The app is for another system.
        OsMismatch = "os_mismatch",
        /// The desktop is recomposed at log-off.
        NotPersistent = "not_persistent",
        /// A job for the same app and revision has not ended.
        JobInProgress = "job_in_progress",
        /// A job that does the opposite (uninstall, install) with the same app has not ended.
        OppositeInProgress = "opposite_in_progress",
        /// Nobody who uses the desktop is authorized to the app.
        NotAuthorized = "not_authorized",
        /// The app was deleted after the request.
        AppDeleted = "app_deleted",
    }
}

/// Decides which jobs to open: one for each desktop and app that fit (contract, section 5, Fan-out).
pub fn plan_install(input: &PlanInput) -> InstallPlan {
    let mut plan = InstallPlan::default();
    for (desktop, facts) in input.desktops.iter().enumerate() {
        let target = target(&facts.users_in_scope);
        for (app, app_facts) in input.apps.iter().enumerate() {
            match skip(app, app_facts, facts) {
                Some(reason) => plan.skips.push(PlannedSkip {
                    desktop,
                    app,
                    reason,
                }),
                None => plan.jobs.push(PlannedJob {
                    desktop,
                    app,
                    target: target.cloned(),
                }),
            }
        }
    }
    plan
}

/// The one user in scope, the first by name of several, nobody of none.
fn target(users: &[String]) -> Option<&String> {
    match users {
        [] => None,
        [user] => Some(user),
        several => several
            .iter()
            .min_by_key(|user| (fold(user), user.as_str())),
    }
}

fn skip(app: usize, app_facts: &PlanApp, desktop: &PlanDesktop) -> Option<SkipReason> {
    let Some(newest) = app_facts.newest_revision else {
        return Some(SkipReason::AppDeleted);
    };
    if app_facts.support_os != OsType::Other && app_facts.support_os != desktop.os {
        return Some(SkipReason::OsMismatch);
    }
    if desktop.persistence == Persistence::NonPersistent {
        return Some(SkipReason::NotPersistent);
    }
    if desktop.not_authorized.contains(&app) {
        return Some(SkipReason::NotAuthorized);
    }
    let mut live = desktop.live_jobs.iter().filter(|job| job.app == app);
    if live.clone().any(|job| job.aim == Aim::Opposite) {
        return Some(SkipReason::OppositeInProgress);
    }
    live.any(|job| job.revision.is_none_or(|revision| revision == newest))
        .then_some(SkipReason::JobInProgress)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn desktop(os: OsType, users: &[&str]) -> PlanDesktop {
        PlanDesktop {
            os,
            persistence: Persistence::Persistent,
            users_in_scope: users.iter().map(|name| (*name).to_owned()).collect(),
            live_jobs: vec![],
            not_authorized: vec![],
        }
    }

    fn app(support_os: OsType) -> PlanApp {
        PlanApp {
            support_os,
            newest_revision: Some(7),
        }
    }

    #[test]
    fn the_target_is_the_first_user_by_name() {
        for (users, expected) in [
            (vec![], None),
            (vec!["li"], Some("li")),
            (vec!["Zoe", "anna", "Bob"], Some("anna")),
        ] {
            let plan = plan_install(&PlanInput {
                apps: vec![app(OsType::Linux)],
                desktops: vec![desktop(OsType::Linux, &users)],
            });
            assert_eq!(plan.jobs[0].target.as_deref(), expected);
        }
    }

    #[test]
    fn what_does_not_fit_is_skipped_with_its_reason() {
        let mut non_persistent = desktop(OsType::Linux, &[]);
        non_persistent.persistence = Persistence::NonPersistent;
        let mut busy = desktop(OsType::Linux, &[]);
        let reasons = |desktop: PlanDesktop, app: PlanApp| {
            plan_install(&PlanInput {
                apps: vec![app],
                desktops: vec![desktop],
            })
            .skips
            .first()
            .map(|skip| skip.reason)
        };
        assert_eq!(
            reasons(desktop(OsType::Windows, &[]), app(OsType::Linux)),
            Some(SkipReason::OsMismatch)
        );
        assert_eq!(
            reasons(desktop(OsType::Windows, &[]), app(OsType::Other)),
            None
        );
        assert_eq!(
            reasons(desktop(OsType::Other, &[]), app(OsType::Linux)),
            Some(SkipReason::OsMismatch)
        );
        assert_eq!(
            reasons(non_persistent, app(OsType::Linux)),
            Some(SkipReason::NotPersistent)
        );
        for (aim, revision, expected) in [
            (Aim::Same, None, Some(SkipReason::JobInProgress)),
            (Aim::Same, Some(7), Some(SkipReason::JobInProgress)),
            (Aim::Same, Some(6), None),
            (Aim::Opposite, None, Some(SkipReason::OppositeInProgress)),
            (Aim::Opposite, Some(6), Some(SkipReason::OppositeInProgress)),
        ] {
            busy.live_jobs = vec![LiveJob {
                app: 0,
                revision,
                aim,
            }];
            assert_eq!(reasons(busy.clone(), app(OsType::Linux)), expected);
        }
        let mut nobody = desktop(OsType::Linux, &[]);
        nobody.not_authorized = vec![0];
        assert_eq!(
            reasons(nobody, app(OsType::Linux)),
            Some(SkipReason::NotAuthorized)
        );
        let deleted = PlanApp {
            newest_revision: None,
            ..app(OsType::Other)
        };
        assert_eq!(
            reasons(desktop(OsType::Linux, &[]), deleted),
            Some(SkipReason::AppDeleted)
        );
    }

    fn any_input() -> impl Strategy<Value = PlanInput> {
        let os = || proptest::sample::select(OsType::ALL);
        let apps = proptest::collection::vec(
            (os(), proptest::option::weighted(0.9, 1_i64..4)).prop_map(
                |(support_os, newest_revision)| PlanApp {
                    support_os,
                    newest_revision,
                },
            ),
            1..5,
        );
        let aim = prop_oneof![Just(Aim::Same), Just(Aim::Opposite)];
        let live = (0_usize..5, proptest::option::of(1_i64..4), aim)
            .prop_map(|(app, revision, aim)| LiveJob { app, revision, aim });
        let desktops = proptest::collection::vec(
            (
                os(),
                any::<bool>(),
                proptest::collection::vec("[a-zA-Z]{1,4}", 0..4),
                proptest::collection::vec(live, 0..4),
            )
                .prop_map(|(os, persistent, users_in_scope, live_jobs)| PlanDesktop {
                    os,
                    persistence: if persistent {
                        Persistence::Persistent
                    } else {
                        Persistence::NonPersistent
                    },
                    users_in_scope,
                    live_jobs,
                    not_authorized: vec![],
                }),
            0..6,
        );
        (apps, desktops).prop_map(|(apps, desktops)| PlanInput { apps, desktops })
    }

    proptest! {
        #[test]
        fn every_pair_is_planned_once(input in any_input()) {
            let plan = plan_install(&input);
            let mut pairs: Vec<_> = plan.jobs.iter().map(|job| (job.desktop, job.app))
                .chain(plan.skips.iter().map(|skip| (skip.desktop, skip.app)))
                .collect();
            pairs.sort_unstable();
            let all: Vec<_> = (0..input.desktops.len())
                .flat_map(|desktop| (0..input.apps.len()).map(move |app| (desktop, app)))
                .collect();
            prop_assert_eq!(pairs, all);
        }

        #[test]
        fn planning_again_adds_nothing(mut input in any_input()) {
            for job in plan_install(&input).jobs {
                input.desktops[job.desktop].live_jobs.push(LiveJob { app: job.app, revision: None, aim: Aim::Same });
            }
            prop_assert_eq!(plan_install(&input).jobs, vec![]);
        }

        #[test]
        fn nothing_is_put_on_and_taken_off_at_once(input in any_input()) {
            for job in plan_install(&input).jobs {
                let opposite = |live: &LiveJob| live.app == job.app && live.aim == Aim::Opposite;
                prop_assert!(!input.desktops[job.desktop].live_jobs.iter().any(opposite));
            }
        }

        #[test]
        fn a_target_is_a_user_in_scope(input in any_input()) {
            for job in plan_install(&input).jobs {
                let users = &input.desktops[job.desktop].users_in_scope;
                prop_assert_eq!(job.target.is_none(), users.is_empty());
                prop_assert!(job.target.is_none_or(|target| users.contains(&target)));
            }
        }
    }
}
