//! Why a desktop has an app or has it not: gathers what is known; the words are the domain's.

use outfitter_agent_protocol::TaskKind;
use outfitter_domain::job::State;
use outfitter_domain::why::{
    AgentFact, AttemptFact, FreezeFact, FrozenPart, InstalledFact, JobFact, PackageFact,
    SkippedFact, Why, WhyFacts, explain,
};
use outfitter_domain::{AppStatus, Language, Millis, StoreType};
use outfitter_store::{
    App, Desktop, FreezeScope, PackageState, Persistence, ProjectKey, StoreError, WhyJob,
};

use super::desktops::is_connected;
use crate::Services;

/// Explains. App and desktop are of the project.
///
/// # Errors
/// When the database cannot answer.
pub async fn why(
    services: &Services,
    project: ProjectKey,
    app: &App,
    desktop: &Desktop,
    language: Language,
) -> Result<Why, StoreError> {
    let db = services.store.db();
    let record = db.why(app.key, desktop.key).await?;
    let installed = db.desktop_app_get(desktop.key, app.key).await?;
    let mut freezes = Vec::new();
    for (what, scope) in [
        (FrozenPart::Server, FreezeScope::Server),
        (FrozenPart::Project, FreezeScope::Project(project)),
    ] {
        freezes.extend(db.freeze_find(scope).await?.map(|freeze| FreezeFact {
            what,
            operator: freeze.operator,
            reason: freeze.reason,
            since: freeze.created_at,
        }));
    }
    let members = &app.members;
    let job_deployment = record.job.as_ref().map(|job| job.deployment);
    let facts = WhyFacts {
        app_name: members.name.clone(),
        newest_version: app.revision.content.version.clone(),
        is_hidden: members.status == AppStatus::Forbidden,
        package: package(services, app).await?,
        support_os: members.support_os,
        desktop_name: desktop.name.clone(),
        desktop_os: desktop.os_type,
        is_persistent: desktop.persistence == Persistence::Persistent,
        authorization: members.authorization_type,
        users: i64::try_from(desktop.users.len()).unwrap_or(i64::MAX),
        authorized: record.authorized,
        agent: match &desktop.agent {
            None => AgentFact::None,
            Some(_) if is_connected(services, desktop) => AgentFact::Connected,
            Some(_) => AgentFact::Away {
                last_seen_at: desktop.last_seen_at,
            },
        },
        restart_needed_at: desktop.reboot_needed_at,
        installed: installed.map(|installed| InstalledFact {
            is_newest: installed.revision_key == app.revision.key,
            version: installed.version,
            proof: installed.proof,
            at: installed.installed_at,
        }),
        freezes,
        busy_with: record
            .busy_with
            .filter(|(_, busy)| *busy != app.key)
            .map(|(name, _)| name),
        skipped: record.skipped.map(|skipped| SkippedFact {
            reason: skipped.reason,
            at: skipped.at,
            is_after_job: job_deployment.is_none_or(|job| skipped.deployment.get() > job.get()),
        }),
        job: record.job.map(|it| job(it, services.clock.now())),
    };
    Ok(explain(&facts, language))
}

async fn package(services: &Services, app: &App) -> Result<PackageFact, StoreError> {
    Ok(
        match (
            app.revision.content.file_store.store_type,
            &app.revision.package,
        ) {
            (StoreType::Link, _) => PackageFact::Ready,
            (StoreType::Obs, Some(package)) => match package.state {
                PackageState::Ready => PackageFact::Ready,
                PackageState::Pending => PackageFact::Pending,
                PackageState::Refused | PackageState::Collecting | PackageState::Gone => {
                    PackageFact::Missing
                }
            },
            (StoreType::Obs, None) => {
                if services
                    .store
                    .db()
                    .direct_upload_is_pending(app.key)
                    .await?
                {
                    PackageFact::Pending
                } else {
                    PackageFact::Missing
                }
            }
        },
    )
}

fn job(job: WhyJob, now: Millis) -> JobFact {
    let view = job.view;
    JobFact {
        is_uninstall: view.kind == TaskKind::Uninstall,
        state: view.state,
        operator: view.operator,
        created_at: view.created_at,
        updated_at: view.updated_at,
        reason: view.reason,
        message: view.message,
        due_at: job.due_at,
        put_off_until: (view.state == State::Queued && job.due_at > now).then_some(job.due_at),
        halted_at: job.halted_at,
        attempt: job.attempt.map(|attempt| AttemptFact {
            number: attempt.number,
            version: attempt.version,
            phase: job.phase,
            percent: attempt.percent.filter(|_| job.phase.is_some()),
            outcome: attempt.outcome,
            at: attempt.leased_at,
        }),
    }
}
