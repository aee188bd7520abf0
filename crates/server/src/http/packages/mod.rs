//! Packages: our own way into a project's bucket.

pub(super) mod settings;

use std::sync::Arc;

use axum::body::Body;
use http::StatusCode;
use outfitter_api_types::apps::{BucketStore, InstallType, OsTypeEnum};
use outfitter_api_types::native::packages::{
    DamagedPackage, InstallerFamily as WireInstallerFamily, ListDamagedPackagesQuery,
    ListDamagedPackagesResponse, PackageAdvice, PackageKind as WirePackageKind, PackageProposal,
    PackageUploadResponse, ShowUploadQuery, ShowUploadResponse, UploadPackageQuery, UploadState,
};
use outfitter_api_types::time::WireTime;
use outfitter_bucket::ObjectError;
use outfitter_domain::app::bucket_name;
use outfitter_ids::ProjectId;
use outfitter_packages::{
    Advice, InstallerFamily, PackageKind, Proposal, ProposedMethod, ProposedSystem,
};

use super::apps::revisions::wire_condition;
use super::{ApiError, Call, GatewayError, Operation, Reply, Routes};
use crate::Services;
use crate::app::packages::{self, Arrival, UploadError, UploadedPackage};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add_streaming(
            Operation::post("/api/v1/{project_id}/packages", "UploadPackage")
                .action("outfitter:packages:upload")
                .summary("Upload a package into the bucket of the project."),
            upload_package,
        )
        .add(
            Operation::get("/api/v1/{project_id}/packages", "ShowUpload")
                .action("outfitter:packages:show")
                .summary("Show what became of an upload into the bucket, and what was recognised."),
            show_upload,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/package-settings",
                "ShowPackageSettings",
            )
            .action("outfitter:packageSettings:get")
            .summary(
                "Show what is asked of the project's packages, and what they may take and take.",
            ),
            settings::show_package_settings,
        )
        .add(
            Operation::put(
                "/api/v1/{project_id}/package-settings",
                "SetPackageSettings",
            )
            .action("outfitter:packageSettings:set")
            .summary("Set what is asked of the project's packages."),
            settings::set_package_settings,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/damaged-packages",
                "ListDamagedPackages",
            )
            .action("outfitter:packages:listDamaged")
            .summary(
                "List applications whose package is missing or altered: they cannot be installed.",
            ),
            list_damaged_packages,
        );
}

async fn list_damaged_packages(
    services: Arc<Services>,
    call: Call<(), ListDamagedPackagesQuery>,
) -> Result<Reply<ListDamagedPackagesResponse>, ApiError> {
    let (count, damaged) = services
        .store
        .db()
        .package_damaged(call.project().project, call.query.offset, call.query.limit)
        .await?;
    Ok(Reply::new(ListDamagedPackagesResponse {
        count,
        items: damaged
            .into_iter()
            .map(|found| DamagedPackage {
                app_id: found.app.to_string(),
                app_name: found.app_name,
                sha256: found.sha256,
                size_bytes: found.size_bytes,
                condition: wire_condition(found.condition),
                looked_at: found
                    .looked_at
                    .map(|at| WireTime::from_unix_millis(at.get())),
            })
            .collect(),
    }))
}

async fn upload_package(
    services: Arc<Services>,
    call: Call<(), UploadPackageQuery>,
    body: Body,
) -> Result<Reply<PackageUploadResponse>, ApiError> {
    let project = call.project();
    let query = &call.query;
    let package = packages::upload(
        &services,
        project.into(),
        &query.file_name,
        query.sha256.as_deref(),
        body,
    )
    .await
    .map_err(refused)?;
    Ok(Reply::new(wire_package(project.id, package)))
}

async fn show_upload(
    services: Arc<Services>,
    call: Call<(), ShowUploadQuery>,
) -> Result<Reply<ShowUploadResponse>, ApiError> {
    let project = call.project();
    let query = &call.query;
    let arrival = packages::arrival(
        &services,
        project.into(),
        &query.object_path,
        query.etag.as_deref(),
    )
    .await
    .map_err(refused)?;
    let (state, package) = match arrival {
        Arrival::Ready(package) => (UploadState::Ready, Some(wire_package(project.id, *package))),
        Arrival::Pending => (UploadState::Pending, None),
        Arrival::Refused => (UploadState::Refused, None),
        Arrival::Absent => return Err(ApiError::NotFound { noun: "upload" }),
    };
    Ok(Reply::new(ShowUploadResponse { state, package }))
}

fn wire_package(project: ProjectId, package: UploadedPackage) -> PackageUploadResponse {
    PackageUploadResponse {
        bucket_store: BucketStore {
            bucket_name: bucket_name(project),
            bucket_file_path: package.object_key,
        },
        sha256: package.object.sha256.to_string(),
        size_bytes: i64::try_from(package.object.size_bytes).unwrap_or(i64::MAX),
        kind: package_kind(package.object.facts.kind),
        installer: package.object.facts.installer.map(|family| match family {
            InstallerFamily::Inno => WireInstallerFamily::Inno,
            InstallerFamily::Nsis => WireInstallerFamily::Nsis,
            InstallerFamily::WixBurn => WireInstallerFamily::WixBurn,
            InstallerFamily::InstallShield => WireInstallerFamily::InstallShield,
        }),
        proposal: proposal(package.proposal),
    }
}

fn proposal(found: Proposal) -> PackageProposal {
    PackageProposal {
        name: found.name,
        version: found.version,
        install_type: found.method.map(|method| match method {
            ProposedMethod::Command => InstallType::QuietInstall,
            ProposedMethod::Unpack => InstallType::UnzipInstall,
        }),
        install_command: found.install_command,
        uninstall_command: found.uninstall_command,
        support_os: found.system.map(|system| match system {
            ProposedSystem::Linux => OsTypeEnum::Linux,
            ProposedSystem::Windows => OsTypeEnum::Windows,
            ProposedSystem::Any => OsTypeEnum::Other,
        }),
        advice: found.advice.map(|advice| match advice {
            Advice::ScriptMayAsk => PackageAdvice::ScriptMayAsk,
            Advice::GiveCommand => PackageAdvice::GiveCommand,
            Advice::Unknown => PackageAdvice::Unknown,
        }),
    }
}

fn refused(error: UploadError) -> ApiError {
    match error {
        UploadError::Field(problem) => ApiError::invalid(problem.field, problem.reason),
        UploadError::TooLarge => GatewayError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "APIGW.0201",
            "Request entity too large.",
        )
        .into(),
        UploadError::BrokenOff => {
            GatewayError::new(StatusCode::BAD_REQUEST, "APIGW.0201", "API request error.").into()
        }
        UploadError::Packages(source) | UploadError::Object(ObjectError::Packages(source)) => {
            ApiError::Unavailable {
                doing: "store a package",
                source: Box::new(source),
            }
        }
        UploadError::Object(ObjectError::QuotaExceeded { quota_bytes }) => ApiError::coded(
            StatusCode::BAD_REQUEST,
            "WKS.00211110",
            format!(
                "Application quota exceeded: the packages of the project may take {quota_bytes} bytes"
            ),
        ),
        UploadError::Object(source @ ObjectError::Collected) => ApiError::Unavailable {
            doing: "store a package",
            source: Box::new(source),
        },
        UploadError::Object(ObjectError::Store(source)) => source.into(),
        UploadError::Object(
            source @ (ObjectError::NoUpload
            | ObjectError::Inspect(_)
            | ObjectError::Facts(_)
            | ObjectError::Interrupted(_)),
        ) => ApiError::internal("record an uploaded package", source),
        UploadError::Inspect(_) | UploadError::Interrupted(_) => {
            ApiError::internal("inspect an uploaded package", error)
        }
    }
}

/// What a package is, in the coarser words of the wire.
pub(super) fn package_kind(kind: PackageKind) -> WirePackageKind {
    match kind {
        PackageKind::Deb => WirePackageKind::Deb,
        PackageKind::Rpm => WirePackageKind::Rpm,
        PackageKind::Msi => WirePackageKind::Msi,
        PackageKind::Exe => WirePackageKind::Exe,
        PackageKind::Zip => WirePackageKind::Zip,
        PackageKind::Tar
        | PackageKind::TarGz
        | PackageKind::TarXz
        | PackageKind::TarZst
        | PackageKind::TarBz2 => WirePackageKind::Tar,
        PackageKind::SevenZip => WirePackageKind::SevenZip,
        PackageKind::Rar => WirePackageKind::Rar,
        PackageKind::Script => WirePackageKind::Script,
        PackageKind::AppImage => WirePackageKind::AppImage,
        PackageKind::Ole | PackageKind::Elf | PackageKind::Unknown => WirePackageKind::Other,
    }
}
