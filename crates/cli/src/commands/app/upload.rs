//! Streams a package to the server, with a bar.

use std::fs::File;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use outfitter_api_types::apps::{FileStoreLink, FileStoreTypeEnum};
use outfitter_api_types::native::packages::PackageUploadResponse;
use outfitter_packages::{PackageFacts, inspect};
use tokio_util::io::ReaderStream;

use crate::commands::Session;
use crate::outcome::CommandError;
use crate::paths;

/// Bytes read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// A package on this machine.
pub(crate) struct PackageFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its name in the bucket.
    pub(crate) file_name: String,
    /// Its size in bytes.
    pub(crate) size_bytes: u64,
    /// What its content says.
    pub(crate) facts: PackageFacts,
}

impl PackageFile {
    /// Looks at a file.
    ///
    /// # Errors
    /// It cannot be read, or is a damaged package.
    pub(crate) fn open(path: &Path) -> Result<Self, CommandError> {
        let facts =
            inspect(path).map_err(|error| CommandError::file("use package", path, error))?;
        let size_bytes = File::open(path)
            .and_then(|file| file.metadata())
            .map_err(|error| CommandError::file("open package", path, error))?
            .len();
        let file_name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| {
                CommandError::usage(format!(
                    "the name of package {} is not text",
                    path.display()
                ))
            })?
            .to_owned();
        Ok(Self {
            path: path.to_owned(),
            file_name,
            size_bytes,
            facts,
        })
    }
}

/// Uploads a package; the answer is what an application takes for its package.
///
/// # Errors
/// The file or the server.
pub(crate) async fn upload(
    session: &Session,
    package: &PackageFile,
) -> Result<FileStoreLink, CommandError> {
    let file = tokio::fs::File::open(&package.path)
        .await
        .map_err(|error| CommandError::file("open package", &package.path, error))?;
    let bar = ProgressBar::with_draw_target(
        Some(package.size_bytes),
        if session.printer.draws() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        },
    )
    .with_style(
        ProgressStyle::with_template(
            "  {prefix} {bar:20.green/dim} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        )
        .expect("the template is well formed")
        .progress_chars("━━─"),
    )
    .with_prefix(package.file_name.clone());
    let content = ReaderStream::with_capacity(bar.wrap_async_read(file), BLOCK_BYTES);
    let answer: Result<PackageUploadResponse, _> = session
        .client
        .upload(
            paths::PACKAGES,
            &[("file_name", package.file_name.clone())],
            package.size_bytes,
            content,
        )
        .await;
    bar.finish_and_clear();
    Ok(FileStoreLink {
        store_type: FileStoreTypeEnum::Obs,
        bucket_store: Some(answer?.bucket_store),
        file_link: None,
    })
}
