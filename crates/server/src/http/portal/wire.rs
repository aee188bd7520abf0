//! What an end user sees, as the wire has it.

use outfitter_agent_protocol::TaskKind;
use outfitter_api_types::native::deployments::DeploymentKind;
use outfitter_api_types::native::portal::{
    PortalAct, PortalApp, PortalJob, PortalJobState, PortalStanding,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::Millis;
use outfitter_domain::app::Icon;
use outfitter_domain::job::State;
use outfitter_domain::portal::{Act, Standing};
use outfitter_store::{JobView, PortalJob as StoredJob, UserKey};

use crate::Services;
use crate::app::icons;
use crate::app::portal::SeenApp;
use crate::http::jobs::phase;

/// An app as its user sees it.
pub(super) fn app(services: &Services, user: UserKey, seen: SeenApp) -> PortalApp {
    let now = services.clock.now();
    let SeenApp { app, view } = seen;
    let installed = app.installed;
    PortalApp {
        id: app.id.to_string(),
        name: app.name,
        version: app.version,
        description: app.description,
        catalog_id: app.catalog_id,
        icon_url: match app.icon {
            Icon::Absent => None,
            Icon::Link(address) => Some(address),
            Icon::Png { sha256 } => Some(icons::address(
                &services.endpoints.endpoint,
                app.id,
                &sha256,
            )),
        },
        install_info: app.install_info,
        standing: standing(view.standing),
        acts: view.acts.into_iter().map(act).collect(),
        installed_at: installed.as_ref().map(|it| time(it.at)),
        verified: installed.as_ref().map(|it| it.proof.is_verified()),
        installed_version: installed.map(|it| it.version),
        job: app.job.map(|found| job(user, found, now)),
    }
}

/// A job as the users of its desktop see it.
pub(super) fn job(user: UserKey, job: StoredJob, now: Millis) -> PortalJob {
    let view = job.live.view;
    let waits = matches!(view.state, State::Queued | State::RetryWait) && job.due_at > now;
    PortalJob {
        id: view.id.to_string(),
        app_id: view.app.to_string(),
        kind: match view.kind {
            TaskKind::Install => DeploymentKind::Install,
            TaskKind::Uninstall => DeploymentKind::Uninstall,
        },
        state: match view.state {
            State::Queued | State::Leased | State::RetryWait => PortalJobState::Waiting,
            State::Running => PortalJobState::Running,
            State::Succeeded => PortalJobState::Done,
            State::Failed => PortalJobState::Failed,
            State::Cancelled => PortalJobState::Cancelled,
        },
        by_user: job.requested_by == Some(user),
        waits_until: waits.then(|| time(job.due_at)),
        phase: job.live.phase.map(phase),
        percent: job.live.percent,
        reason: view
            .reason
            .filter(|_| view.state == State::Failed)
            .map(|reason| reason.code().to_owned()),
        sentence: sentence(&view).map(str::to_owned),
        restart_pending: view.restart_pending,
        created_at: time(view.created_at),
        updated_at: time(view.updated_at),
        app_name: view.app_name,
        app_version: view.app_version,
    }
}

/// Why a job failed, without what is for administrators alone.
pub(crate) fn sentence(view: &JobView) -> Option<&'static str> {
    view.reason
        .filter(|_| view.state == State::Failed)
        .map(|reason| reason.sentence())
}

/// The word for how far a job is.
pub(crate) const fn job_state_word(state: State) -> &'static str {
    match state {
        State::Queued | State::Leased | State::RetryWait => "waiting",
        State::Running => "running",
        State::Succeeded => "done",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}

fn standing(standing: Standing) -> PortalStanding {
    match standing {
        Standing::Absent => PortalStanding::Absent,
        Standing::Waiting => PortalStanding::Waiting,
        Standing::Installing => PortalStanding::Installing,
        Standing::Removing => PortalStanding::Removing,
        Standing::Installed => PortalStanding::Installed,
        Standing::UpdateAvailable => PortalStanding::UpdateAvailable,
        Standing::Failed => PortalStanding::Failed,
    }
}

fn act(act: Act) -> PortalAct {
    match act {
        Act::Install => PortalAct::Install,
        Act::Update => PortalAct::Update,
        Act::Remove => PortalAct::Remove,
        Act::Cancel => PortalAct::Cancel,
        Act::Defer => PortalAct::Defer,
    }
}

fn time(at: Millis) -> WireTime {
    WireTime::from_unix_millis(at.get())
}
