//! One request from first byte to last.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use outfitter_ids::IdSource;
use outfitter_store::AuditKey;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};

use crate::access::{Domain, Gate};
use crate::adapt::{Refused, adapt, asks_for_dialect};
use crate::backend::Backend;
use crate::credential::Keys;
use crate::objects::Objects;

/// Largest XML body, in bytes: a list of 10,000 parts with their checksums.
const MAX_XML_BYTES: usize = 4 * 1024 * 1024;

/// What the bucket works with.
pub struct BucketParts {
    /// Where objects go.
    pub objects: Arc<Objects>,
    /// What credentials follow from.
    pub keys: Arc<Keys>,
    /// Names of uploads and parts. A seam.
    pub ids: Arc<dyn IdSource>,
    /// Makes the entries of uploads in the audit log.
    pub audit: Arc<AuditKey>,
    /// Host name whose subdomains are buckets; `None` where only path style is spoken.
    pub domain: Option<String>,
}

/// Whose address a request counts for: an extension of it.
#[derive(Debug, Clone, Copy)]
pub struct Source(pub IpAddr);

/// `x-amz-request-id` of the answer: an extension of the request.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// The bucket's service. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    service: S3Service,
    keys: Arc<Keys>,
    domain: Domain,
    objects: Arc<Objects>,
    ids: Arc<dyn IdSource>,
}

impl Bucket {
    /// A bucket service over its parts.
    pub fn new(parts: BucketParts) -> Self {
        let BucketParts {
            objects,
            keys,
            ids,
            audit,
            domain,
        } = parts;
        let domain = Domain(domain);
        let gate = || Gate {
            keys: Arc::clone(&keys),
            clock: Arc::clone(&objects.clock),
        };
        let mut builder = S3ServiceBuilder::new(Backend {
            objects: Arc::clone(&objects),
            ids: Arc::clone(&ids),
            audit,
        });
        builder.set_auth(gate());
        builder.set_access(gate());
        builder.set_host(domain.clone());
        let mut config = S3Config::default();
        config.xml_max_body_size = MAX_XML_BYTES;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self {
            service: builder.build(),
            keys,
            domain,
            objects,
            ids,
        }
    }

    /// Answers a request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<s3s::Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        s3s::StdError: From<B::Error>,
    {
        let now = self.objects.clock.now();
        let request_id = self.ids.uuid(now.get()).simple().to_string();
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(RequestId(request_id.clone()));
        let mut response = if asks_for_dialect(&parts) {
            let mut response = Response::new(s3s::Body::empty());
            response
                .headers_mut()
                .insert("x-obs-api", HeaderValue::from_static("3.0"));
            response
        } else {
            match adapt(&mut parts, &self.keys, &self.domain, now) {
                Err(refused) => refusal(refused, &request_id),
                Ok(()) => {
                    let request = Request::from_parts(parts, s3s::Body::http_body_unsync(body));
                    let answer = self.service.call(request).await;
                    answer.unwrap_or_else(|error| {
                        tracing::error!(?error, "a request to the bucket failed");
                        let mut response = refusal(INTERNAL, &request_id);
                        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                        response
                    })
                }
            }
        };
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert("x-amz-request-id", value);
        }
        response
    }
}

const INTERNAL: Refused = Refused {
    code: "InternalError",
    message: "We encountered an internal error. Please try again.",
};

/// A refusal in the protocol's form; every code of ours is a 403.
fn refusal(refused: Refused, request_id: &str) -> Response<s3s::Body> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>\
         <RequestId>{request_id}</RequestId></Error>",
        refused.code, refused.message
    );
    let mut response = Response::new(s3s::Body::from(text));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}
