//! What the demo prints at its end: the honest table, and lines to go on with.

use std::collections::BTreeSet;
use std::path::Path;

use outfitter_api_types::jobs::JobStatus;
use outfitter_api_types::native::attempts::Proof;
use serde_json::{Value, json};

use super::story::{DemoApp, Expected, Told};
use crate::follow::{EndedJob, reasons, verdict};
use crate::printer::{Shade, TableView, View};

/// Most desktops that get a column each.
const COLUMNS: usize = 6;

/// What of it did not end as it has to; empty when all is right.
pub(super) fn deviations(told: &Told) -> Vec<String> {
    let mut wrong = Vec::new();
    for app in &told.apps {
        for desktop in &told.desktops {
            match job(told, app, desktop) {
                None => wrong.push(format!("{} on {desktop}: there is no job", app.name)),
                Some(ended) if !is_as_expected(told, app, ended) => wrong.push(format!(
                    "{} on {desktop}: expected {:?}, found {:?} with proof {:?} after {} attempts: {}",
                    app.name,
                    app.expected,
                    ended.job.job_status,
                    ended.proof,
                    ended.attempts,
                    ended.job.error_message.as_deref().unwrap_or("no message")
                )),
                Some(_) => {}
            }
        }
    }
    wrong
}

fn is_as_expected(told: &Told, app: &DemoApp, ended: &EndedJob) -> bool {
    let status = ended.job.job_status;
    match app.expected {
        Expected::Verified => {
            status == JobStatus::Success
                && matches!(ended.proof, Some(Proof::DetectionRule | Proof::Manifest))
        }
        Expected::UnverifiedOnRetry => {
            status == JobStatus::Success
                && ended.proof == Some(Proof::ExitCodeOnly)
                && told.retried.contains(&ended.job.id)
                && ended.attempts == 2
        }
        // The reason has to be there; its words are the server's.
        Expected::CaughtLying => {
            status == JobStatus::Fail && ended.proof.is_none() && ended.job.error_message.is_some()
        }
    }
}

fn job<'a>(told: &'a Told, app: &DemoApp, desktop: &str) -> Option<&'a EndedJob> {
    told.jobs.iter().find(|ended| {
        ended.job.app_id == app.id && ended.job.instance_name.as_deref() == Some(desktop)
    })
}

/// The table, and under it why what failed did.
pub(super) fn view(told: &Told) -> View {
    let columns: &[String] = if told.desktops.len() <= COLUMNS {
        &told.desktops
    } else {
        &[]
    };
    let mut head = vec!["app".to_owned(), "package".to_owned()];
    if columns.is_empty() {
        head.push(format!("{} desktops", told.desktops.len()));
    }
    head.extend(columns.iter().cloned());
    let rows = told
        .apps
        .iter()
        .map(|app| {
            let mut row = vec![Shade::from(app.name), app.kind.into()];
            if columns.is_empty() {
                row.push(together(told, app));
            }
            row.extend(columns.iter().map(|desktop| match job(told, app, desktop) {
                Some(ended) => verdict(ended),
                None => Shade::Bad("no job".to_owned()),
            }));
            row
        })
        .collect();
    let mut views = vec![
        View::Block("\n".to_owned()),
        View::Table(TableView {
            head,
            rows,
            empty: "nothing was installed",
        }),
    ];
    let reasons: String = reasons(&told.jobs)
        .into_iter()
        .map(|(app, message, _)| format!("{app} failed: {message}\n"))
        .collect();
    views.push(View::Block(reasons));
    View::Several(views)
}

/// `50 verified`, or the different ends with their counts.
fn together(told: &Told, app: &DemoApp) -> Shade {
    let ends: Vec<Shade> = told
        .jobs
        .iter()
        .filter(|ended| ended.job.app_id == app.id)
        .map(verdict)
        .collect();
    match ends.first() {
        Some(first) if ends.iter().all(|end| end == first) => {
            let text = format!("{} {}", ends.len(), first.text());
            match first {
                Shade::Plain(_) => Shade::Plain(text),
                Shade::Good(_) => Shade::Good(text),
                Shade::Doubtful(_) => Shade::Doubtful(text),
                Shade::Bad(_) => Shade::Bad(text),
            }
        }
        _ => {
            let texts: BTreeSet<&str> = ends.iter().map(Shade::text).collect();
            let counted: Vec<String> = texts
                .into_iter()
                .map(|text| {
                    let count = ends.iter().filter(|end| end.text() == text).count();
                    format!("{count} {text}")
                })
                .collect();
            Shade::Bad(counted.join(", "))
        }
    }
}

/// How to go on while the server runs: the console first; then lines and a script that work as pasted.
pub(super) fn to_go_on(told: &Told, program: &str, folder: &Path) -> String {
    let bootstrap = &told.bootstrap;
    format!(
        r#"
In the browser:  {console}
user name        {user}
password         {password}

In a terminal:   {program} --bootstrap {folder}/server/bootstrap.json job list

With curl:

curl -s -H 'X-Auth-Token: {token}' '{endpoint}/v1/{project_id}/app-center/jobs?job_status=FAIL'

With the vendor's Python SDK (pip install huaweicloudsdkworkspace):

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkworkspace.v2 import ListAppsRequest, ListJobsRequest, WorkspaceClient

credentials = BasicCredentials("{access_key}", "{secret_key}", "{project_id}")
builder = WorkspaceClient.new_builder().with_credentials(credentials)
client = builder.with_endpoint("{endpoint}").build()
for app in client.list_apps(ListAppsRequest(limit=100)).items:
    print(app.name, app.version, app.install_type)
for job in client.list_jobs(ListJobsRequest(limit=100)).items:
    print(job.app_name, job.instance_name, job.job_status, job.error_message or "")
"#,
        console = bootstrap.console_url,
        user = bootstrap.user_name,
        password = bootstrap.password,
        folder = folder.display(),
        token = told.token,
        endpoint = bootstrap.endpoint.trim_end_matches('/'),
        project_id = bootstrap.project_id,
        access_key = bootstrap.access_key,
        secret_key = bootstrap.secret_key,
    )
}

/// The same for programs.
pub(super) fn document(told: &Told) -> Value {
    let jobs: Vec<Value> = told
        .jobs
        .iter()
        .map(|ended| {
            json!({
                "app": ended.job.app_name,
                "desktop": ended.job.instance_name,
                "job_status": ended.job.job_status,
                "proof": ended.proof,
                "attempts": ended.attempts,
                "error_message": ended.job.error_message,
            })
        })
        .collect();
    json!({
        "endpoint": told.bootstrap.endpoint,
        "project_id": told.bootstrap.project_id,
        "deviations": deviations(told),
        "jobs": jobs,
    })
}
