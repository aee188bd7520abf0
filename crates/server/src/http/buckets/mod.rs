//! The package bucket of a project: opening it, and credentials to upload into it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use outfitter_api_types::buckets::{
    CreateAndAuthorizeBucketResponse, CreateBucketCredentialReq, CreateBucketCredentialResponse,
    ObsCredential, ObsEffect, ObsPolicy, ObsPolicyStatement,
};
use outfitter_api_types::secret::SecretText;
use outfitter_artifacts::DirectUploads;
use outfitter_bucket::{Grant, Uploader};
use outfitter_domain::app::{app_file_key, bucket_name, file_name_problem};
use outfitter_ids::ProjectId;
use secrecy::ExposeSecret as _;

use super::{ApiError, Call, Family, Operation, Reply, Routes};
use crate::Services;
use crate::app::direct_uploads;
use crate::auth::Caller;

/// How long an upload credential is good. Source: contract, section 6.
const CREDENTIAL_LIFE: Duration = Duration::from_secs(15 * 60);

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/buckets",
                "CreateAndAuthorizeBucket",
            )
            .action("workspace:appcenter:createAndAuthorizeBucket")
            .family(Family::AppCenter)
            .summary("Create and authorize the project bucket"),
            create_and_authorize_bucket,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/buckets/actions/create-credential",
                "CreateBucketCredential",
            )
            .action("workspace:appcenter:createBucketCredential")
            .family(Family::AppCenter)
            .codes(&[409])
            .summary("Get an upload credential"),
            create_bucket_credential,
        );
}

async fn create_and_authorize_bucket(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<CreateAndAuthorizeBucketResponse>, ApiError> {
    let project = call.project();
    if let Some(direct) = services.packages.direct_uploads() {
        direct
            .make_bucket(&bucket_name(project.id))
            .await
            .map_err(store_unavailable("make the bucket for uploads"))?;
    }
    let tx = services.store.write().await?;
    tx.bucket_authorize(project.project).await?;
    tx.commit().await?;
    Ok(Reply::new(CreateAndAuthorizeBucketResponse {
        bucket_name: bucket_name(project.id),
    }))
}

async fn create_bucket_credential(
    services: Arc<Services>,
    call: Call<CreateBucketCredentialReq>,
) -> Result<Reply<CreateBucketCredentialResponse>, ApiError> {
    let project = call.project();
    let file_name = &call.body.file_name;
    if let Some(problem) = file_name_problem(file_name) {
        return Err(ApiError::invalid(problem.field, problem.reason));
    }
    let Some(authorized) = services
        .store
        .db()
        .bucket_find(project.id)
        .await?
        .filter(|bucket| bucket.authorized)
    else {
        return Err(ApiError::conflict(
            "WKS.00211108",
            "Bucket is not authorized",
        ));
    };
    let object_key = app_file_key(file_name);
    let bucket = bucket_name(project.id);
    let (endpoint, credential) = match direct_uploads::place_for(&services, &object_key) {
        Some(direct) => {
            let owner = (authorized.project, project.id);
            let issued =
                direct_uploads::issue(&services, direct, owner, &object_key, CREDENTIAL_LIFE)
                    .await
                    .map_err(store_unavailable("get an upload credential"))?;
            let credential = ObsCredential {
                access: issued.access,
                secret: SecretText::new(issued.secret.expose_secret()),
                security_token: SecretText::new(issued.security_token.expose_secret()),
            };
            (direct.endpoint(), credential)
        }
        None => (
            services.endpoints.bucket_endpoint.as_str(),
            of_our_listener(&services, call.caller(), project.id, &object_key),
        ),
    };
    Ok(Reply::new(CreateBucketCredentialResponse {
        server_end_point: Some(server_end_point(endpoint)),
        policy: Some(ObsPolicy {
            version: Some("1.1".to_owned()),
            statement: Some(ObsPolicyStatement {
                effect: Some(ObsEffect::Allow),
                action: Some(vec!["obs:object:PutObject".to_owned()]),
                resource: Some(vec![format!("obs:*:*:object:{bucket}/{object_key}")]),
            }),
        }),
        bucket_name: Some(bucket),
        object_path: Some(object_key),
        credential: Some(credential),
    }))
}

/// A credential for our own listener.
fn of_our_listener(
    services: &Services,
    caller: &Caller,
    project: ProjectId,
    object_key: &str,
) -> ObsCredential {
    let mut seed = [0; 16];
    services.auth.randomness().fill(&mut seed);
    let issued = services.bucket_keys.issue(
        &Grant {
            project,
            object_key: object_key.to_owned(),
            expires_at: services.clock.now().plus(CREDENTIAL_LIFE),
            uploader: Some(Uploader {
                id: caller.user_id.to_string(),
                name: caller.user_name.clone(),
            }),
        },
        seed,
    );
    ObsCredential {
        access: issued.access,
        secret: SecretText::new(issued.secret.expose_secret()),
        security_token: SecretText::new(issued.security_token.expose_secret()),
    }
}

/// The object store beside us does not do its part.
fn store_unavailable<E>(doing: &'static str) -> impl FnOnce(E) -> ApiError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |source| ApiError::Unavailable {
        doing,
        source: source.into(),
    }
}

/// Where uploads go that the console makes: what its pages must be allowed to connect to.
pub(super) fn upload_origins(services: &Services) -> Vec<String> {
    let store = services.packages.direct_uploads();
    let mut origins: Vec<String> = [services.endpoints.bucket_endpoint.as_str()]
        .into_iter()
        .chain(store.map(DirectUploads::endpoint))
        .filter_map(origin)
        .collect();
    origins.dedup();
    origins
}

/// The origin of a web address, as browsers write it.
pub(crate) fn origin(address: &str) -> Option<String> {
    let origin = url::Url::parse(address).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// What object clients are told: they pick path style or virtual hosts from it (contract, `clients.md`, section 6).
fn server_end_point(endpoint: &str) -> String {
    match endpoint.strip_prefix("https://") {
        Some(host) if host_name(endpoint).is_some() => host.to_owned(),
        _ => endpoint.to_owned(),
    }
}

/// The name in an endpoint `scheme://host[:port]` that has a name and no address.
pub(crate) fn host_name(endpoint: &str) -> Option<&str> {
    let authority = endpoint.split_once("://")?.1;
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    (!is_address && !host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for (address, expected) in [
            ("https://App.example.com/", Some("https://app.example.com")),
            ("https://a.example.com:443/x", Some("https://a.example.com")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("app.example.com:8080", None),
            ("", None),
        ] {
            assert_eq!(origin(address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn the_scheme_is_left_out_where_clients_would_guess_it() {
        for (endpoint, expected) in [
            ("https://obs.example.com", "obs.example.com"),
            ("https://obs.example.com:8081", "obs.example.com:8081"),
            ("https://127.0.0.1:8081", "https://127.0.0.1:8081"),
            ("https://[::1]:8081", "https://[::1]:8081"),
            ("http://obs.example.com:8081", "http://obs.example.com:8081"),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
        ] {
            assert_eq!(server_end_point(endpoint), expected);
        }
    }
}
