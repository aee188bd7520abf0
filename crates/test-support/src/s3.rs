//! An S3 server that is not ours, in the process of the test: the file system of the crate `s3s-fs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use outfitter_artifacts::{
    AddressStyle, Downloads, KeyPair, ObjectCredentials, ObjectStoreOptions, Uploads,
};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The bucket that is there.
pub const BUCKET: &str = "packages";

const ACCESS_KEY: &str = "TESTACCESSKEY";
const SECRET_KEY: &str = "test-secret-key";

/// A server with one bucket; gone when dropped.
pub struct TestS3 {
    /// Its address.
    pub endpoint: String,
    folder: TempDir,
    serving: JoinHandle<()>,
}

impl TestS3 {
    /// Starts one on a port of its own.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("the bucket");
        let files = s3s_fs::FileSystem::new(folder.path()).expect("the S3 server's file system");
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    // A client that goes is no failure of the test.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self {
            endpoint,
            folder,
            serving,
        }
    }

    /// How to use it; addresses for desktops hold for a minute.
    pub fn options(&self) -> ObjectStoreOptions {
        ObjectStoreOptions {
            bucket: BUCKET.to_owned(),
            prefix: "out/fitter".to_owned(),
            endpoint: Some(self.endpoint.clone()),
            region: "us-east-1".to_owned(),
            style: AddressStyle::Path,
            credentials: ObjectCredentials::Given(KeyPair {
                access_key: ACCESS_KEY.to_owned(),
                secret_key: SECRET_KEY.into(),
                session_token: None,
            }),
            ca_pem: None,
            downloads: Downloads::Presigned {
                endpoint: None,
                life: Duration::from_secs(60),
            },
            uploads: Uploads::Gateway,
        }
    }

    /// The folder in which the bucket's objects lie as files.
    pub fn objects(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// The folder of the whole server: uploads in parts lie beside the bucket.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for TestS3 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
