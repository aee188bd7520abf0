mod add;
mod deleted;
mod detection;
mod icon;
mod install;
mod upload;
mod verify;

#[cfg(unix)]
pub(crate) use self::{
    detection::set as set_detection_rule,
    install::accepted,
    upload::{PackageFile, upload},
};

use std::collections::BTreeMap;

use outfitter_api_types::apps::{
    AppStatusEnum, Application, BatchDeleteAppsReq, BatchOperateAppsReq, FileStoreLink,
    FileStoreTypeEnum, InstallType, ListAppCatalogsResponse, UpdateAppReq,
};
use outfitter_api_types::authorizations::{
    AccountInfo, AccountTypeEnum, AssignType, BatchAssignAppAuthorizationsReq,
};
use outfitter_api_types::native::detection::DetectionRule;
use outfitter_api_types::native::packages::DamagedPackage;
use outfitter_api_types::native::revisions::{
    AcceptLinkReq, AppRevision, PackageCondition, SetExitCodesReq,
};
use outfitter_api_types::native::why::OutdatedDesktop;
use outfitter_client::{ClientError, Method};
use serde::de::IgnoredAny;
use serde_json::json;
use url::Url;

use super::{Session, counted, note_cut, table, text, word};
use crate::args::AccountArgs;
use crate::args::app::{
    AcceptLinkArgs, AppCommand, AppsArg, AuthorizeArgs, DeleteArgs, ExitCodesArgs, ListAppsArgs,
    ListAuthorizationsArgs, OutdatedArgs, RevokeArgs, UpdateArgs,
};
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, TableView, View};

pub(super) async fn run(command: AppCommand, session: &Session) -> Result<Outcome, CommandError> {
    match command {
        AppCommand::Add(args) => add::run(args, session).await,
        AppCommand::List(args) => list(args, session).await,
        AppCommand::Show(args) => show(&args.app, session).await,
        AppCommand::Update(args) => update(args, session).await,
        AppCommand::Delete(args) => delete(args, session).await,
        AppCommand::Deleted(args) => deleted::list(args, session).await,
        AppCommand::Restore(args) => deleted::restore(args, session).await,
        AppCommand::AcceptLink(args) => accept_link(args, session).await,
        AppCommand::Enable(args) => switch(args, paths::APPS_ENABLE, "enabled", session).await,
        AppCommand::Disable(args) => switch(args, paths::APPS_DISABLE, "disabled", session).await,
        AppCommand::Authorize(args) => authorize(args, session).await,
        AppCommand::Revoke(args) => revoke(args, session).await,
        AppCommand::Authorizations(args) => authorizations(args, session).await,
        AppCommand::Categories => categories(session).await,
        AppCommand::Install(args) => install::run(args, session).await,
        AppCommand::Uninstall(args) => install::uninstall(args, session).await,
        AppCommand::Outdated(args) => outdated(args, session).await,
        AppCommand::ExitCodes(args) => exit_codes(args, session).await,
        AppCommand::Detect(args) => detection::detect(args, session).await,
        AppCommand::Detection(args) => detection::run(args, session).await,
        AppCommand::Verify(args) => verify::run(args, session).await,
    }
}

async fn list(args: ListAppsArgs, session: &Session) -> Result<Outcome, CommandError> {
    let filters: Vec<_> = args.name.into_iter().map(|name| ("name", name)).collect();
    let listing: Listing<Application> = listing::APPS
        .fetch(&session.client, &filters, args.list.limit)
        .await?;
    let damaged = damaged_packages(session).await?;
    let document = json!({
        "count": listing.count,
        "items": listing.items,
        "damaged_packages": damaged,
    });
    session.printer.show(&document, || {
        View::Table(TableView {
            head: [
                "id", "name", "version", "type", "os", "for", "package", "status",
            ]
            .map(str::to_owned)
            .into(),
            rows: listing.items.iter().map(|app| row(app, &damaged)).collect(),
            empty: "the catalogue is empty; `outfitter app add FILE` fills it",
        })
    });
    note_cut(session.printer, &listing);
    Ok(Outcome::Done)
}

/// Packages that are missing or altered; none for who may not ask, or asks a server that cannot tell.
async fn damaged_packages(session: &Session) -> Result<Vec<DamagedPackage>, CommandError> {
    let path = paths::DAMAGED_PACKAGES;
    match listing::fetch_below::<DamagedPackage>(&session.client, path, usize::MAX).await {
        Ok(damaged) => Ok(damaged.items),
        Err(ClientError::Refused {
            status: 403 | 404, ..
        }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// What was found of an app's package.
fn package_shade(condition: PackageCondition) -> Shade {
    match condition {
        PackageCondition::Intact => Shade::Good("intact".to_owned()),
        PackageCondition::Missing => Shade::Bad("missing".to_owned()),
        PackageCondition::Altered => Shade::Bad("altered".to_owned()),
    }
}

fn row(app: &Application, damaged: &[DamagedPackage]) -> Vec<Shade> {
    let found = damaged.iter().find(|package| package.app_id == app.id);
    vec![
        app.id.clone().into(),
        app.name.clone().into(),
        app.version.clone().into(),
        type_word(app.install_type).into(),
        word(&app.support_os).into(),
        audience(app.authorization_type).into(),
        found.map_or_else(|| "".into(), |package| package_shade(package.condition)),
        match app.status {
            AppStatusEnum::Normal => Shade::Good("enabled".to_owned()),
            AppStatusEnum::Forbidden => Shade::Bad("disabled".to_owned()),
        },
    ]
}

fn type_word(install_type: InstallType) -> &'static str {
    match install_type {
        InstallType::QuietInstall => "quiet",
        InstallType::UnzipInstall => "unzip",
        InstallType::GuiInstall => "gui",
    }
}

fn audience(authorization_type: AssignType) -> &'static str {
    match authorization_type {
        AssignType::AllUser => "everyone",
        AssignType::AssignUser => "those authorized",
    }
}

async fn show(wanted: &str, session: &Session) -> Result<Outcome, CommandError> {
    let app = listing::app(&session.client, wanted).await?;
    let path = paths::app_part(&app.id, "revisions");
    let revisions: Listing<AppRevision> =
        listing::fetch_below(&session.client, &path, usize::MAX).await?;
    let document = json!({"app": app, "revisions": revisions.items});
    session.printer.show(&document, || {
        let mut views = vec![card(&app), revisions_view(&revisions.items)];
        let newest = revisions.items.first();
        views.extend(
            newest
                .filter(|revision| !revision.exit_codes.is_empty())
                .map(exit_codes_view),
        );
        View::Several(views)
    });
    Ok(Outcome::Done)
}

async fn outdated(args: OutdatedArgs, session: &Session) -> Result<Outcome, CommandError> {
    let app_id = listing::app_id(&session.client, &args.app).await?;
    let path = paths::app_part(&app_id, "outdated-desktops");
    let listing: Listing<OutdatedDesktop> =
        listing::fetch_below(&session.client, &path, args.list.limit).await?;
    session.printer.show(&listing, || {
        let rows = listing.items.iter().map(|found| {
            vec![
                found.desktop_id.clone().into(),
                found.desktop_name.clone().into(),
                Shade::Doubtful(found.app_version.clone()),
                found.installed_at.to_string().into(),
            ]
        });
        table(
            &["desktop", "name", "version", "installed"],
            rows.collect(),
            "every desktop that has it has the newest revision",
        )
    });
    note_cut(session.printer, &listing);
    Ok(Outcome::Done)
}

async fn exit_codes(args: ExitCodesArgs, session: &Session) -> Result<Outcome, CommandError> {
    let app_id = listing::app_id(&session.client, &args.app).await?;
    let body = SetExitCodesReq {
        exit_codes: args.codes.into_iter().map(|code| code.0).collect(),
    };
    let path = paths::app_part(&app_id, "exit-codes");
    let body = serde_json::to_value(&body)
        .map_err(|error| CommandError::because("cannot write the request", error))?;
    let revision: AppRevision = session
        .client
        .call(Method::PUT, &path, &[], Some(&body))
        .await?;
    session
        .printer
        .show(&revision, || exit_codes_view(&revision));
    Ok(Outcome::Done)
}

fn exit_codes_view(revision: &AppRevision) -> View {
    View::Table(TableView {
        head: ["code", "outcome", "text"].map(str::to_owned).into(),
        rows: revision
            .exit_codes
            .iter()
            .map(|code| {
                vec![
                    code.code.to_string().into(),
                    word(&code.outcome).into(),
                    code.text.clone().unwrap_or_default().into(),
                ]
            })
            .collect(),
        empty: "every code means what it means for its kind of installer",
    })
}

fn card(app: &Application) -> View {
    let mut members = vec![
        ("app", app.name.clone()),
        ("id", app.id.clone()),
        ("version", app.version.clone()),
        ("type", type_word(app.install_type).to_owned()),
        ("os", word(&app.support_os)),
        ("for", audience(app.authorization_type).to_owned()),
    ];
    for (name, value) in [
        ("install", &app.install_command),
        ("uninstall", &app.uninstall_command),
        ("category", &app.catalog),
        ("description", &app.description),
    ] {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            members.push((name, value.clone()));
        }
    }
    members.push(("added", app.create_time.to_string()));
    View::Card(members)
}

fn revisions_view(revisions: &[AppRevision]) -> View {
    View::Table(TableView {
        head: [
            "revision",
            "version",
            "package",
            "condition",
            "detection",
            "created",
        ]
        .map(str::to_owned)
        .into(),
        rows: revisions
            .iter()
            .map(|revision| {
                let package = match (&revision.package.sha256, revision.package.size_bytes) {
                    (Some(sha256), Some(size_bytes)) => {
                        format!(
                            "{size_bytes} bytes, sha256 {}",
                            sha256.get(..12).unwrap_or(sha256)
                        )
                    }
                    (Some(sha256), None) => {
                        format!("sha256 {}", sha256.get(..12).unwrap_or(sha256))
                    }
                    (None, _) => word(&revision.package.state),
                };
                let package = match &revision.package.pinned_by_desktop_id {
                    Some(desktop) => format!("{package}, pinned by desktop {desktop}"),
                    None => package,
                };
                vec![
                    revision.number.to_string().into(),
                    revision.version.clone().into(),
                    package.into(),
                    revision
                        .package
                        .condition
                        .map_or_else(|| "".into(), package_shade),
                    match &revision.detection_rule {
                        Some(rule) => Shade::Plain(rule_text(rule)),
                        None if unpacked(revision) => "every unpacked file".into(),
                        None => Shade::Doubtful("none: unverified".to_owned()),
                    },
                    revision.created_at.to_string().into(),
                ]
            })
            .collect(),
        empty: "there are no revisions",
    })
}

/// Whether the agent unpacks it, so that its own manifest is the proof.
fn unpacked(revision: &AppRevision) -> bool {
    revision
        .install_command
        .as_deref()
        .is_some_and(|command| command.trim_start().starts_with("unzip "))
}

/// A rule in words.
fn rule_text(rule: &DetectionRule) -> String {
    let joined = |rules: &[DetectionRule], word: &str| {
        let texts: Vec<String> = rules.iter().map(rule_text).collect();
        format!("({})", texts.join(word))
    };
    match rule {
        DetectionRule::File(file) => {
            let exactly = match (&file.sha256, file.size_bytes) {
                (None, None) => "",
                _ => " with this content",
            };
            format!("file {}{exactly}", file.path)
        }
        DetectionRule::DebianPackage(package) => match &package.version {
            Some(version) => format!("package {} {version}", package.name),
            None => format!("package {}", package.name),
        },
        DetectionRule::RpmPackage(package) => match &package.version {
            Some(version) => format!("RPM package {} {version}", package.name),
            None => format!("RPM package {}", package.name),
        },
        DetectionRule::Script(rule) => {
            let first = rule.script.lines().next().unwrap_or_default();
            format!("script {first:?}")
        }
        DetectionRule::RegistryValue(value) => {
            let name = value.name.as_deref().unwrap_or_default();
            match &value.data {
                Some(data) => format!("registry {} {name} = {data}", value.key),
                None => format!("registry {} {name}", value.key)
                    .trim_end()
                    .to_owned(),
            }
        }
        DetectionRule::MsiProduct(product) => match &product.version {
            Some(version) => format!("MSI product {} {version}", product.product_code),
            None => format!("MSI product {}", product.product_code),
        },
        DetectionRule::All(rules) => joined(rules, " and "),
        DetectionRule::Any(rules) => joined(rules, " or "),
        DetectionRule::Not(rule) => format!("not {}", rule_text(rule)),
    }
}

async fn update(args: UpdateArgs, session: &Session) -> Result<Outcome, CommandError> {
    let app_id = listing::app_id(&session.client, &args.app).await?;
    let app_file_store = match (&args.file, args.link) {
        (Some(file), _) => {
            let package = upload::PackageFile::open(file)?;
            Some(upload::upload(session, &package).await?)
        }
        (None, Some(link)) => Some(link_store(link)),
        (None, None) => None,
    };
    let body = UpdateAppReq {
        name: args.name,
        version: args.version,
        description: args.description,
        authorization_type: None,
        app_file_store,
        app_icon_url: args.icon.as_deref().map(icon::read).transpose()?,
        install_type: args.install_type.map(InstallType::from),
        install_command: args.command,
        uninstall_command: args.uninstall_command,
        support_os: args.os.map(Into::into),
        catalog_id: args.catalog,
        install_info: None,
        status: None,
    };
    let changes = json!(body);
    if changes.as_object().is_some_and(serde_json::Map::is_empty) {
        return Err(CommandError::usage("nothing to change is given"));
    }
    let path = paths::one(paths::APPS, &app_id);
    let _: IgnoredAny = session
        .client
        .call(Method::PATCH, &path, &[], Some(&changes))
        .await?;
    session.printer.show(&json!({"id": app_id}), || {
        View::Line(format!(
            "{} is changed; nothing is installed by that",
            args.app
        ))
    });
    Ok(Outcome::Done)
}

/// A package that desktops fetch themselves.
fn link_store(link: Url) -> FileStoreLink {
    FileStoreLink {
        store_type: FileStoreTypeEnum::Link,
        bucket_store: None,
        file_link: Some(link.into()),
    }
}

async fn delete(args: DeleteArgs, session: &Session) -> Result<Outcome, CommandError> {
    let body = BatchDeleteAppsReq {
        items: listing::app_ids(&session.client, &args.apps.apps).await?,
        reserve_obs_file: Some(args.keep_packages),
    };
    let _: IgnoredAny = session.client.post(paths::APPS_DELETE, &body).await?;
    said("deleted", &body.items, session);
    Ok(Outcome::Done)
}

async fn accept_link(args: AcceptLinkArgs, session: &Session) -> Result<Outcome, CommandError> {
    let app_id = listing::app_id(&session.client, &args.app).await?;
    let body = AcceptLinkReq {
        sha256: args.sha256.map(|sha256| sha256.to_ascii_lowercase()),
    };
    let path = paths::app_part(&app_id, "actions/accept-link");
    let revision: AppRevision = session.client.post(&path, &body).await?;
    session.printer.show(&revision, || {
        View::Line(match &revision.package.sha256 {
            Some(sha256) => format!(
                "{} is at revision {} now, with SHA-256 {sha256}",
                args.app, revision.number
            ),
            None => format!(
                "{} is at revision {} now; the next desktop fixes its SHA-256",
                args.app, revision.number
            ),
        })
    });
    Ok(Outcome::Done)
}

async fn switch(
    args: AppsArg,
    path: &str,
    done: &str,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let body = BatchOperateAppsReq {
        items: listing::app_ids(&session.client, &args.apps).await?,
    };
    let _: IgnoredAny = session.client.post(path, &body).await?;
    said(done, &body.items, session);
    Ok(Outcome::Done)
}

/// The accounts that are named; nobody is a usage error, unless everyone is meant.
fn named(accounts: &AccountArgs, all_users: bool) -> Result<Vec<AccountInfo>, CommandError> {
    let users = accounts.accounts();
    if users.is_empty() && !all_users {
        return Err(CommandError::usage("nobody is named")
            .hint("give --user NAME, --group NAME or --all-users"));
    }
    Ok(users)
}

async fn authorize(args: AuthorizeArgs, session: &Session) -> Result<Outcome, CommandError> {
    let users = named(&args.accounts, args.all_users)?;
    let changed = assign(
        &args.apps,
        args.all_users.then_some(AssignType::AllUser),
        Accounts::Added(users),
        session,
    )
    .await?;
    said("authorized", &changed, session);
    Ok(Outcome::Done)
}

async fn revoke(args: RevokeArgs, session: &Session) -> Result<Outcome, CommandError> {
    let users = named(&args.accounts, args.all_users)?;
    let changed = assign(
        &args.apps,
        args.all_users.then_some(AssignType::AssignUser),
        Accounts::Removed(users),
        session,
    )
    .await?;
    said("revoked", &changed, session);
    Ok(Outcome::Done)
}

async fn authorizations(
    args: ListAuthorizationsArgs,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let app = listing::app(&session.client, &args.app).await?;
    let mut filters = Vec::new();
    if let Some(name) = args.name {
        filters.push(("name", name));
    }
    if let Some(kind) = args.account_type {
        filters.push(("target_type", word(&AccountTypeEnum::from(kind))));
    }
    let listing: Listing<AccountInfo> =
        listing::authorizations(&session.client, &app.id, &filters, args.list.limit).await?;
    session.printer.show(&listing, || {
        let rows = listing.items.iter().map(|account| {
            vec![
                account.account.clone().into(),
                match account.account_type {
                    AccountTypeEnum::Simple => "user".into(),
                    AccountTypeEnum::UserGroup => "group".into(),
                },
                text(&account.domain).into(),
            ]
        });
        table(
            &["account", "type", "domain"],
            rows.collect(),
            "nobody is authorized by name",
        )
    });
    if app.authorization_type == AssignType::AllUser {
        session
            .printer
            .note("the application is for everyone; this list has no effect as long as it is");
    }
    note_cut(session.printer, &listing);
    Ok(Outcome::Done)
}

async fn categories(session: &Session) -> Result<Outcome, CommandError> {
    let catalogs: ListAppCatalogsResponse = session.client.get(paths::APP_CATALOGS, &[]).await?;
    session.printer.show(&catalogs, || {
        let rows = catalogs.items.iter().map(|catalog| {
            vec![
                catalog.id.clone().into(),
                catalog.catalog_en.clone().into(),
                catalog.catalog_zh.clone().into(),
            ]
        });
        table(
            &["id", "category", "in chinese"],
            rows.collect(),
            "there are no categories",
        )
    });
    Ok(Outcome::Done)
}

/// What becomes of accounts on the list of those authorized.
enum Accounts {
    Added(Vec<AccountInfo>),
    Removed(Vec<AccountInfo>),
}

/// Changes who may have applications; answers their ids. The contract's call always sets the type too, so where
/// none is asked for each application is given the one it has: naming one more user must not take an application
/// from everyone else.
async fn assign(
    wanted: &[String],
    authorization_type: Option<AssignType>,
    accounts: Accounts,
    session: &Session,
) -> Result<Vec<String>, CommandError> {
    let mut by_type: BTreeMap<&str, (AssignType, Vec<String>)> = BTreeMap::new();
    for name in wanted {
        let (id, current) = match authorization_type {
            Some(given) => (listing::app_id(&session.client, name).await?, given),
            None => {
                let app = listing::app(&session.client, name).await?;
                (app.id, app.authorization_type)
            }
        };
        let (_, ids) = by_type
            .entry(audience(current))
            .or_insert_with(|| (current, Vec::new()));
        ids.push(id);
    }
    let (users, del_users) = match accounts {
        Accounts::Added(accounts) => (Some(accounts), None),
        Accounts::Removed(accounts) => (None, Some(accounts)),
    };
    let mut changed = Vec::new();
    for (authorization_type, app_ids) in by_type.into_values() {
        let body = BatchAssignAppAuthorizationsReq {
            app_ids,
            authorization_type,
            users: users.clone(),
            del_users: del_users.clone(),
        };
        let _: IgnoredAny = session.client.post(paths::APPS_AUTHORIZE, &body).await?;
        changed.extend(body.app_ids);
    }
    Ok(changed)
}

fn said(done: &str, app_ids: &[String], session: &Session) {
    session.printer.show(&json!({done: app_ids}), || {
        View::Line(format!("{} {done}", counted(app_ids.len(), "application")))
    });
}
