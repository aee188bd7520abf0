use std::sync::Arc;

use outfitter_artifacts::check::{prove, with_causes};
use outfitter_artifacts::{PackageCondition, PackageFile, PackageStore, Scrutiny};
use outfitter_ids::SystemIds;
use outfitter_server::config::{Config, PackagePlace};
use serde::Serialize;
use tokio_util::io::ReaderStream;

use super::Session;
use crate::args::store::{StoreCheckArgs, StoreCommand, StoreImportArgs};
use crate::outcome::{CommandError, Outcome};
use crate::printer::{Printer, Shade};

pub(super) async fn run(
    command: StoreCommand,
    printer: Printer,
    session: impl FnOnce() -> Result<Session, CommandError>,
) -> Result<Outcome, CommandError> {
    match command {
        StoreCommand::Check(args) => check(args, printer).await,
        StoreCommand::Import(args) => import(args, printer).await,
        StoreCommand::Collect(args) => super::store_collect::run(args, &session()?).await,
    }
}

async fn open(config: &Config) -> Result<PackageStore, CommandError> {
    match &config.packages {
        // A server may be using the folder: what it is writing stays.
        PackagePlace::Folder => Ok(PackageStore::join_local(config.data_dir.join("packages"))),
        place @ PackagePlace::Object(_) => place
            .open(&config.data_dir, Arc::new(SystemIds))
            .await
            .map_err(|error| CommandError::because("cannot open the package store", error)),
    }
}

/// A package of a folder, and what became of it.
#[derive(Debug, Serialize)]
struct Imported {
    sha256: String,
    size_bytes: u64,
    ok: bool,
    detail: String,
}

async fn import(args: StoreImportArgs, printer: Printer) -> Result<Outcome, CommandError> {
    let config = args.options.resolve()?;
    let store = open(&config).await?;
    store
        .ping()
        .await
        .map_err(|error| CommandError::because("the package store cannot be used", error))?;
    let folder = PackageStore::join_local(&args.folder);
    folder
        .ping()
        .await
        .map_err(|error| CommandError::file("use", &args.folder, error))?;
    let packages = folder
        .packages()
        .await
        .map_err(|error| CommandError::file("list", &args.folder, error))?;
    let mut imported = Vec::with_capacity(packages.len());
    for package in packages {
        let told = copy(&folder, &store, &package).await;
        let ok = told.is_ok();
        let (Ok(detail) | Err(detail)) = told;
        imported.push(Imported {
            sha256: package.sha256.to_string(),
            size_bytes: package.size_bytes,
            ok,
            detail,
        });
    }
    printer.show(&imported, || {
        super::table(
            &["package", "bytes", "result", "detail"],
            imported
                .iter()
                .map(|package| {
                    vec![
                        package.sha256.clone().into(),
                        package.size_bytes.to_string().into(),
                        if package.ok {
                            Shade::Good("well".to_owned())
                        } else {
                            Shade::Bad("wrong".to_owned())
                        },
                        package.detail.clone().into(),
                    ]
                })
                .collect(),
            "the folder holds no packages",
        )
    });
    let good = imported.iter().filter(|package| package.ok).count();
    Ok(Outcome::of_counts(good, imported.len()))
}

/// Copies one package; what is not what its name says does not get in.
async fn copy(from: &PackageStore, to: &PackageStore, package: &PackageFile) -> Told {
    let there = to
        .condition(&package.sha256, package.size_bytes, Scrutiny::Size)
        .await;
    if there.map_err(words)? == PackageCondition::Intact {
        return Ok("was there already".to_owned());
    }
    let bytes = from
        .open_range(&package.sha256, 0..u64::MAX)
        .await
        .map_err(words)?;
    let staged = to
        .stage(ReaderStream::new(bytes), package.size_bytes)
        .await
        .map_err(words)?;
    if staged.sha256 != package.sha256 {
        return Err("its bytes are others than its name says: it stays out".to_owned());
    }
    staged.place().await.map_err(words)?;
    Ok("is copied".to_owned())
}

async fn check(args: StoreCheckArgs, printer: Printer) -> Result<Outcome, CommandError> {
    let store = open(&args.options.resolve()?).await?;
    let steps = prove(&store, &SystemIds).await;
    printer.show(&steps, || {
        super::table(
            &["step", "result", "detail"],
            steps
                .iter()
                .map(|step| {
                    vec![
                        step.step.into(),
                        if step.ok {
                            Shade::Good("well".to_owned())
                        } else {
                            Shade::Bad("wrong".to_owned())
                        },
                        step.detail.clone().into(),
                    ]
                })
                .collect(),
            "nothing was tried",
        )
    });
    Ok(if steps.iter().all(|step| step.ok) {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

type Told = Result<String, String>;

fn words(error: impl std::error::Error) -> String {
    with_causes(&error)
}
