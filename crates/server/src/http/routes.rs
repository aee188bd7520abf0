//! The one mechanism every operation goes through, in the contract's order (`semantics.md`, section 1): limits
//! that need no credential, route, credential, project, action, content type and syntax, field rules, then the
//! handler: permission on each resource, existence, state.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use outfitter_api_types::secret;
use outfitter_domain::iam::{Doubt, Pending};
use outfitter_ids::ProjectId;
use outfitter_store::strip_link_secrets;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower_http::timeout::TimeoutBody;
use utoipa::ToSchema;

use super::body;
use super::call::{Call, CallContext, Reply};
use super::error::{ApiError, GatewayError, method_not_allowed};
use super::limits;
use super::operation::{Access, Audited, Authorizes, BodyRule, Family, Operation};
use super::request_id::RequestId;
use super::resources;
use super::schema::{self, RequestSchema};
use super::trail::Trail;
use crate::auth::{self, AuthBody, AuthRequest, Question, Rights, portal};
use crate::edge::RetryAfter;
use crate::services::Services;

/// Longest pause in a body that is taken as it arrives.
const BODY_PAUSE_LIMIT: Duration = Duration::from_secs(60);

/// A request type: what its schema and its reader need.
pub trait RequestType: DeserializeOwned + ToSchema + Send + 'static {}
impl<T: DeserializeOwned + ToSchema + Send + 'static> RequestType for T {}

/// An answer type.
pub trait AnswerType: Serialize + ToSchema + Send + 'static {}
impl<T: Serialize + ToSchema + Send + 'static> AnswerType for T {}

/// An operation with its types: one row of the table.
pub struct RouteEntry {
    /// The operation.
    pub operation: Operation,
    /// Schema of the JSON body.
    pub body: Option<Arc<RequestSchema>>,
    /// Schema of the query.
    pub query: Option<Arc<RequestSchema>>,
    /// Schema of the answer, `None` for an empty or raw one.
    pub answer: Option<AnswerSchema>,
    /// Reads a body that the schema accepted into its type, and drops it: for tests.
    pub reads_body: fn(Value) -> Result<(), ApiError>,
    /// The same for the query.
    pub reads_query: fn(Value) -> Result<(), ApiError>,
    /// A body as the audit log shows it: without what its type declares as secret.
    pub redact: fn(&Value) -> Value,
}

/// Name and parts of an answer's schema.
pub struct AnswerSchema {
    /// Its name.
    pub name: String,
    /// Every named schema it needs, its own included.
    pub components: Vec<(
        String,
        utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>,
    )>,
}

impl AnswerSchema {
    /// The schema of a type.
    pub fn of<T: AnswerType>() -> Self {
        let mut components = Vec::new();
        T::schemas(&mut components);
        components.push((T::name().into_owned(), T::schema()));
        Self {
            name: T::name().into_owned(),
            components,
        }
    }
}

/// The route table: read by the router, the document and the tests.
#[derive(Default)]
pub struct Routes {
    entries: Vec<RouteEntry>,
    methods: BTreeMap<&'static str, MethodRouter<Arc<Services>>>,
}

impl Routes {
    /// Adds an operation with a JSON (or no) body and a JSON (or empty) answer.
    pub fn add<B, Q, T, F, Fut>(&mut self, operation: Operation, handler: F) -> &mut Self
    where
        B: RequestType,
        Q: RequestType,
        T: AnswerType,
        F: Fn(Arc<Services>, Call<B, Q>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply<T>, ApiError>> + Send + 'static,
    {
        let status = operation.status;
        self.register::<B, Q, T, _, _>(operation, move |services, call, _body| {
            let answer = handler(services, call);
            async move { answer.await?.into_response(status) }
        })
    }

    /// Adds an operation that answers something else than JSON.
    pub fn add_raw<B, Q, F, Fut>(&mut self, mut operation: Operation, handler: F) -> &mut Self
    where
        B: RequestType,
        Q: RequestType,
        F: Fn(Arc<Services>, Call<B, Q>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Response, ApiError>> + Send + 'static,
    {
        operation.media.get_or_insert("application/octet-stream");
        self.register::<B, Q, (), _, _>(operation, move |services, call, _body| {
            handler(services, call)
        })
    }

    /// Says that the raw operation added last answers JSON of this type when it succeeds.
    ///
    /// # Panics
    /// When there is none.
    pub fn answering<T: AnswerType>(&mut self) -> &mut Self {
        let last = self.entries.last_mut().expect("an operation was added");
        last.answer = Some(AnswerSchema::of::<T>());
        last.operation.media = None;
        self
    }

    /// Adds an operation that takes bytes as they arrive. Its size limit is the handler's.
    pub fn add_streaming<Q, T, F, Fut>(&mut self, mut operation: Operation, handler: F) -> &mut Self
    where
        Q: RequestType,
        T: AnswerType,
        F: Fn(Arc<Services>, Call<(), Q>, Body) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply<T>, ApiError>> + Send + 'static,
    {
        operation.body = BodyRule::Stream;
        let status = operation.status;
        self.register::<(), Q, T, _, _>(operation, move |services, call, body| {
            let answer = handler(services, call, body);
            async move { answer.await?.into_response(status) }
        })
    }

    fn register<B, Q, T, F, Fut>(&mut self, mut operation: Operation, handler: F) -> &mut Self
    where
        B: RequestType,
        Q: RequestType,
        T: AnswerType,
        F: Fn(Arc<Services>, Call<B, Q>, Body) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Response, ApiError>> + Send + 'static,
    {
        let body = is_something::<B>().then(|| Arc::new(RequestSchema::of::<B>()));
        if body.is_none() && operation.body != BodyRule::Stream {
            operation.body = BodyRule::None;
        }
        let query = is_something::<Q>().then(|| Arc::new(RequestSchema::of::<Q>()));
        let answer = is_something::<T>().then(AnswerSchema::of::<T>);
        let row = Arc::new(Row {
            operation: operation.clone(),
            body: body.clone(),
            query: query.clone(),
            redact: redacted::<B>,
        });
        let endpoint = endpoint(
            row,
            Arc::new(
                move |services, admitted: Admitted| match admitted.into_call::<B, Q>() {
                    Ok((call, stream)) => Box::pin(handler(services, call, stream)),
                    Err(error) => Box::pin(std::future::ready(Err(error))),
                },
            ),
        );
        let methods = self.methods.remove(operation.path).unwrap_or_default();
        self.methods.insert(operation.path, methods.merge(endpoint));
        self.entries.push(RouteEntry {
            operation,
            body,
            query,
            answer,
            reads_body: |value| schema::read::<B>(value).map(drop),
            reads_query: |value| schema::read::<Q>(value).map(drop),
            redact: redacted::<B>,
        });
        self
    }

    /// The table.
    pub fn entries(&self) -> &[RouteEntry] {
        &self.entries
    }

    /// The router of the table.
    pub fn into_router(self, services: Arc<Services>) -> Router {
        let mut allowed: BTreeMap<&'static str, Vec<&'static str>> = BTreeMap::new();
        for entry in &self.entries {
            let methods = allowed.entry(entry.operation.path).or_default();
            methods.push(method_name(&entry.operation.method));
            if entry.operation.method == Method::GET {
                methods.push("HEAD");
            }
        }
        let mut router = Router::new();
        for (path, methods) in self.methods {
            let allow = allowed.remove(path).unwrap_or_default().join(", ");
            let methods = methods.fallback(move |request: Request| async move {
                method_not_allowed(
                    Family::of_path(request.uri().path()),
                    &allow,
                    &RequestId::of(&request),
                )
            });
            router = router.route(path, methods);
        }
        router.fallback(no_such_route).with_state(services)
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "HEAD",
    }
}

/// A body as the audit log shows it.
fn redacted<B: RequestType>(body: &Value) -> Value {
    let mut body = body.clone();
    schema::whole_numbers(&mut body);
    let mut shown = secret::redacted::<B>(&body);
    strip_link_secrets(&mut shown);
    shown
}

/// Whether a request or answer type is more than the unit type, which says "nothing".
fn is_something<T: 'static>() -> bool {
    std::any::TypeId::of::<T>() != std::any::TypeId::of::<()>()
}

async fn no_such_route(request: Request) -> Response {
    let path = request.uri().path();
    ApiError::Gateway(GatewayError::new(
        StatusCode::NOT_FOUND,
        "APIGW.0101",
        "The API does not exist or has not been published in the environment.",
    ))
    .into_response(Family::of_path(path), &RequestId::of(&request))
    .into_response()
}

/// A request that passed every check, its members still untyped.
struct Admitted {
    body: Value,
    query: Value,
    context: CallContext,
    stream: Body,
    /// Held until the body has its type.
    _room: Option<body::Room>,
}

impl Admitted {
    fn into_call<B: RequestType, Q: RequestType>(self) -> Result<(Call<B, Q>, Body), ApiError> {
        let call = Call {
            body: schema::read(self.body)?,
            query: schema::read(self.query)?,
            context: self.context,
        };
        Ok((call, self.stream))
    }
}

/// A handler without its types: the checks and the router are compiled once, not once per operation.
type ErasedHandler = Arc<
    dyn Fn(Arc<Services>, Admitted) -> BoxFuture<'static, Result<Response, ApiError>> + Send + Sync,
>;

fn endpoint(row: Arc<Row>, handler: ErasedHandler) -> MethodRouter<Arc<Services>> {
    let filter = MethodFilter::try_from(row.operation.method.clone())
        .expect("operations use the ordinary methods");
    on(
        filter,
        move |axum::extract::State(services): axum::extract::State<Arc<Services>>,
              request: Request| {
            let row = Arc::clone(&row);
            let handler = Arc::clone(&handler);
            async move {
                let Operation { id, family, .. } = row.operation;
                let request_id = RequestId::of(&request);
                let sealer = services.auth.sealer();
                let mut trail = Trail::begin(&services, &row.operation, &request);
                let answer = match row.admit(&services, request, &mut trail).await {
                    Ok(admitted) => row.handle(&services, admitted, &mut trail, &handler).await,
                    Err(error) => Err(error),
                };
                let response = answer.unwrap_or_else(|error| {
                    trail.refused(&services, &error);
                    error
                        .seal_refusal(family, sealer, &request_id)
                        .into_response(family, &request_id)
                });
                services.answers.count(id, response.status());
                response
            }
        },
    )
}

struct Row {
    operation: Operation,
    body: Option<Arc<RequestSchema>>,
    query: Option<Arc<RequestSchema>>,
    redact: fn(&Value) -> Value,
}

impl Row {
    /// Runs the handler of an admitted call. Where the operation is audited, every transaction that it commits leaves
    /// an entry; a call that succeeds without one leaves it before it is answered.
    async fn handle(
        &self,
        services: &Arc<Services>,
        admitted: Admitted,
        trail: &mut Trail,
        handler: &ErasedHandler,
    ) -> Result<Response, ApiError> {
        if self.operation.audited == Audited::Never {
            return handler(Arc::clone(services), admitted).await;
        }
        let scope = trail.scope(services, (self.redact)(&admitted.body));
        let response = scope.run(handler(Arc::clone(services), admitted)).await?;
        if scope.entries() == 0 && response.status().is_success() {
            services.store.audit_call(&scope).await?;
        }
        Ok(response)
    }

    /// Every check up to the field rules.
    async fn admit(
        &self,
        services: &Services,
        request: Request,
        trail: &mut Trail,
    ) -> Result<Admitted, ApiError> {
        let request_id = RequestId::of(&request);
        let source = limits::source(&request);
        let (mut parts, stream) = request.into_parts();
        // HTTP/2 names the host as `:authority`; clients sign it as `host`.
        if !parts.headers.contains_key(HOST)
            && let Some(authority) = parts.uri.authority()
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            parts.headers.insert(HOST, host);
        }
        let (bytes, room, stream) = if self.operation.body == BodyRule::Stream {
            let stream = Body::new(TimeoutBody::new(BODY_PAUSE_LIMIT, stream));
            (None, None, stream)
        } else {
            let (bytes, room) = body::read(&parts.headers, stream).await?;
            (Some(bytes), room, Body::empty())
        };
        let path_and_query = parts
            .uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str)
            .to_owned();
        let path = RawPathParams::from_request_parts(&mut parts, &())
            .await
            .map(|values| {
                values
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect::<BTreeMap<_, _>>()
            })
            .map_err(|_| {
                GatewayError::new(StatusCode::BAD_REQUEST, "APIGW.0201", "API request error.")
            })?;
        let decoded = path
            .into_iter()
            .map(|(name, value)| {
                let text = percent_encoding::percent_decode_str(&value)
                    .decode_utf8()
                    .map(std::borrow::Cow::into_owned)
                    .map_err(|_| ApiError::invalid(name.clone(), "must be UTF-8"))?;
                if text.contains('\0') {
                    return Err(ApiError::invalid(name, schema::NO_NUL));
                }
                Ok((name, text))
            })
            .collect::<Result<BTreeMap<_, _>, ApiError>>();

        let caller = match self.operation.access {
            Access::Open | Access::TokenInBody | Access::EndUser => None,
            Access::Credential | Access::Action(_) | Access::ActionSomewhere(_) => {
                let caller = auth::authenticate(
                    services,
                    &AuthRequest {
                        method: &parts.method,
                        path_and_query: &path_and_query,
                        headers: &parts.headers,
                        body: bytes
                            .as_ref()
                            .map_or(AuthBody::Streamed, AuthBody::Buffered),
                        source,
                    },
                )
                .await
                .inspect_err(|refusal| {
                    if refusal.is_wrong_credential() {
                        services.edge.wrong_credential_from(source);
                    }
                })?;
                services
                    .edge
                    .request_with(&caller.counted_as())
                    .map_err(|RetryAfter(seconds)| GatewayError::throttled(seconds))?;
                Some(caller)
            }
        };
        trail.called_by(caller.as_ref());
        let visitor = match self.operation.access {
            Access::EndUser => {
                let visitor =
                    portal::authenticate(services, &parts.method, &parts.headers, source).await?;
                trail.called_by_end_user(&visitor);
                services
                    .edge
                    .request_with(&visitor.user.user_id.to_string())
                    .map_err(|RetryAfter(seconds)| GatewayError::throttled(seconds))?;
                Some(visitor)
            }
            Access::Open
            | Access::TokenInBody
            | Access::Credential
            | Access::Action(_)
            | Access::ActionSomewhere(_) => None,
        };
        let path = decoded?;
        let project = match (&caller, path.get("project_id")) {
            (Some(caller), Some(project_id)) => {
                let header = parts.headers.get("x-project-id");
                if header.is_some_and(|value| value.as_bytes() != project_id.as_bytes()) {
                    return Err(ApiError::Forbidden {
                        reason: "X-Project-Id names another project than the path".to_owned(),
                    });
                }
                Some(auth::authorize_project(services, caller, project_id).await?)
            }
            _ => None,
        };
        if let (Some(visitor), Some(project_id)) = (&visitor, path.get("project_id"))
            && ProjectId::lookup(project_id) != Some(visitor.user.project_id)
        {
            return Err(ApiError::Forbidden {
                reason: "the project is not the end user's".to_owned(),
            });
        }
        trail.in_project(project.as_ref(), visitor.as_ref(), &path);
        let rights: Option<(&'static str, Rights)> = match (self.operation.access, &caller) {
            (Access::Action(action), Some(caller)) => {
                let rights = match &project {
                    Some(project) => project.rights.clone(),
                    None => auth::rights_in_domain(services, caller).await?,
                };
                Some((action, rights))
            }
            (Access::ActionSomewhere(action), Some(caller)) => {
                Some((action, auth::rights_somewhere(services, caller).await?))
            }
            _ => None,
        };
        if let Some((action, rights)) = &rights {
            // Whether it is worth reading on: what body and resources say is judged below.
            rights.check(&Question {
                action,
                resource: None,
                facts: &BTreeMap::new(),
                pending: Pending::Call,
                doubt: Doubt::Passes,
            })?;
        }
        for (name, value) in &path {
            let most = self.operation.path_parameter_max(name);
            if value.chars().count() > most {
                return Err(ApiError::invalid(
                    name,
                    format!("must have at most {most} characters"),
                ));
            }
        }
        let body = self.read_json(&parts.headers, bytes.unwrap_or_default())?;
        trail.about(resources::named(&self.operation, &path, &body));
        let query = match &self.query {
            None => Value::Null,
            Some(schema) => schema.query(&query_pairs(parts.uri.query().unwrap_or_default())?)?,
        };
        let widening = match rights {
            None => None,
            Some((action, rights)) => {
                let check = resources::check(
                    services,
                    &self.operation,
                    action,
                    rights,
                    project.as_ref().map(|project| project.project),
                    &path,
                    &body,
                )
                .await?;
                (self.operation.authorizes == Authorizes::MayWiden).then_some(check)
            }
        };
        Ok(Admitted {
            body,
            query,
            context: CallContext {
                request_id,
                source,
                headers: parts.headers,
                caller,
                visitor,
                project,
                widening,
                path,
            },
            stream,
            _room: room,
        })
    }

    fn read_json(&self, headers: &HeaderMap, bytes: Bytes) -> Result<Value, ApiError> {
        let Some(schema) = &self.body else {
            return Ok(Value::Null);
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return match self.operation.body {
                BodyRule::Optional => {
                    let value = Value::Object(serde_json::Map::new());
                    schema.check(&value)?;
                    Ok(value)
                }
                _ => Err(ApiError::EmptyBody),
            };
        }
        if let Some(kind) = headers.get(CONTENT_TYPE)
            && !is_json(kind.as_bytes())
        {
            return Err(ApiError::invalid(
                "Content-Type",
                "must be application/json",
            ));
        }
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::invalid("body", format!("is no JSON: {error}")))?;
        schema::refuse_nul(&value)?;
        schema.check(&value)?;
        Ok(value)
    }
}

fn is_json(content_type: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content_type);
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    kind.eq_ignore_ascii_case("application/json")
        && parts.all(|part| match part.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}

/// Query text as pairs; a `+` is a plus sign, as the contract's signature has it.
///
/// # Errors
/// What is not UTF-8, by the parameter's name.
pub fn query_pairs(query: &str) -> Result<Vec<(String, String)>, ApiError> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| {
                percent_encoding::percent_decode_str(text)
                    .decode_utf8()
                    .map(std::borrow::Cow::into_owned)
                    .map_err(|_| ApiError::invalid(name, "must be UTF-8"))
            };
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}
