//! The OpenAPI 3.1 document of the route table.
//!
//! Nothing in it is written twice: paths, bodies, bounds and permissions come from the rows that the router
//! enforces. What every operation can answer before its handler is reached stands in one rule per family
//! ([`error_schemas`]); a row names only what it answers beyond that.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use outfitter_api_types::errors;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, ParameterStyle,
    PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Header, OpenApi, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder,
    SchemaFormat, ServerBuilder, Tag,
};

use crate::auth::PORTAL_COOKIE;

use super::operation::{Access, BodyRule, Family, Operation};
use super::routes::{RouteEntry, Routes};

/// What every operation can answer, whatever it does. Source: contract, `errors.md`, section 4, and decision 24.
pub const COMMON_CODES: [u16; 9] = [400, 401, 403, 404, 405, 413, 429, 500, 503];

/// Builds the document.
pub fn document(routes: &Routes) -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut schemas: BTreeMap<String, RefOr<Schema>> = error_components().into();
    let mut responses = BTreeSet::new();
    let mut tags = BTreeSet::new();
    for entry in routes.entries() {
        for (name, schema) in components(entry) {
            schemas.insert(name.clone(), schema.clone());
        }
        let operation = &entry.operation;
        responses.extend(error_codes(operation).map(|code| (operation.family, code)));
        tags.insert(tag(operation));
        paths = paths.path(
            operation.path,
            PathItem::new(method(&operation.method), describe(entry)),
        );
    }
    let components = responses.into_iter().fold(
        ComponentsBuilder::new()
            .schemas_from_iter(schemas)
            .security_scheme(
                "token",
                SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                    "X-Auth-Token",
                    "IAM token.",
                ))),
            )
            .security_scheme(
                "aksk",
                SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                    "Authorization",
                    "SDK-HMAC-SHA256 signature of the request, made with an access key.",
                ))),
            )
            .security_scheme(
                "portal",
                SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
                    PORTAL_COOKIE,
                    "Session of an end user.",
                ))),
            ),
        |components, (family, code)| {
            components.response(response_name(family, code), error_response(family, code))
        },
    );
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Outfitter")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "The App Center API and Outfitter's own below /api. Optional request members may be null, \
                     which equals absent; unknown members are ignored. Text cannot hold the character U+0000.",
                ))
                .license(Some(
                    LicenseBuilder::new()
                        .name("Apache-2.0")
                        .identifier(Some("Apache-2.0"))
                        .build(),
                ))
                .build(),
        )
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .tags(Some(tags.into_iter().map(Tag::new)))
        .paths(paths.build())
        .components(Some(components.build()))
        .build()
}

/// The document as it is committed: indented, members in alphabetical order, a line end at the end.
pub fn document_text(routes: &Routes) -> String {
    // By way of a `Value`, whose maps are sorted: extensions are kept in a hash map.
    let value = serde_json::to_value(document(routes)).expect("a document is JSON");
    format!("{value:#}\n")
}

/// `GET /openapi.json`, rendered once.
pub(super) fn router(routes: &Routes) -> Router {
    let value = serde_json::to_value(document(routes)).expect("a document is JSON");
    let bytes = Bytes::from(value.to_string());
    Router::new().route(
        "/openapi.json",
        get(move || async move { json_response(bytes) }),
    )
}

fn json_response(bytes: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], bytes).into_response()
}

/// The named schemas an operation refers to; a query is taken apart into parameters, so its own is none of them.
fn components(entry: &RouteEntry) -> impl Iterator<Item = &(String, RefOr<Schema>)> {
    let body = entry.body.iter().flat_map(|body| &body.components);
    let query = entry.query.iter().flat_map(|query| {
        query
            .components
            .iter()
            .filter(|(name, _)| *name != query.name)
    });
    let answer = entry.answer.iter().flat_map(|answer| &answer.components);
    body.chain(query).chain(answer)
}

fn describe(entry: &RouteEntry) -> utoipa::openapi::path::Operation {
    let operation = &entry.operation;
    let mut built = OperationBuilder::new()
        .operation_id(Some(operation.id))
        .tag(tag(operation))
        .summary(Some(if operation.summary.is_empty() {
            operation.id
        } else {
            operation.summary
        }))
        .request_body(request_body(entry));
    for parameter in path_parameters(operation).chain(query_parameters(entry)) {
        built = built.parameter(parameter);
    }
    for code in success_codes(operation) {
        built = built.response(code.to_string(), success_response(entry, code));
    }
    for code in error_codes(operation) {
        built = built.response(
            code.to_string(),
            Ref::from_response_name(response_name(operation.family, code)),
        );
    }
    built = match operation.access {
        Access::Open => built.security(SecurityRequirement::default()),
        Access::TokenInBody => built
            .security(SecurityRequirement::new("token", [] as [&str; 0]))
            .security(SecurityRequirement::default()),
        Access::EndUser => built.security(SecurityRequirement::new("portal", [] as [&str; 0])),
        Access::Credential | Access::Action(_) | Access::ActionSomewhere(_) => built
            .security(SecurityRequirement::new("token", [] as [&str; 0]))
            .security(SecurityRequirement::new("aksk", [] as [&str; 0])),
    };
    if let Some(action) = operation.access.action() {
        let extensions = ExtensionsBuilder::new().add("x-iam-action", action).build();
        built = built.extensions(Some(extensions));
    }
    built.build()
}

fn path_parameters(operation: &Operation) -> impl Iterator<Item = Parameter> {
    operation.path_parameters().map(|name| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .min_length(Some(1))
                    .max_length(Some(operation.path_parameter_max(name))),
            ))
            .build()
    })
}

/// Every property of the query's schema. A list is documented as comma separated, as the contract has it; repeating
/// the parameter works too.
fn query_parameters(entry: &RouteEntry) -> impl Iterator<Item = Parameter> {
    entry.query.iter().flat_map(|query| {
        let own = query
            .components
            .iter()
            .find(|(name, _)| *name == query.name);
        let Some((_, RefOr::T(Schema::Object(object)))) = own else {
            panic!("the query {} is no plain object", query.name);
        };
        object.properties.iter().map(|(name, schema)| {
            let is_list = matches!(schema, RefOr::T(Schema::Array(_)));
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .required(if object.required.contains(name) {
                    Required::True
                } else {
                    Required::False
                })
                .description(description(schema))
                .style(is_list.then_some(ParameterStyle::Form))
                .explode(is_list.then_some(false))
                .schema(Some(schema.clone()))
                .build()
        })
    })
}

fn description(schema: &RefOr<Schema>) -> Option<String> {
    serde_json::to_value(schema)
        .expect("a schema is JSON")
        .get("description")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

fn request_body(entry: &RouteEntry) -> Option<RequestBody> {
    let required = match entry.operation.body {
        BodyRule::None => return None,
        BodyRule::Optional => Required::False,
        BodyRule::Required | BodyRule::Stream => Required::True,
    };
    let body = RequestBodyBuilder::new().required(Some(required));
    Some(
        match &entry.body {
            Some(schema) => body.content(
                "application/json",
                ContentBuilder::new()
                    .schema(Some(Ref::from_schema_name(&schema.name)))
                    .build(),
            ),
            None => body.content(
                "application/octet-stream",
                ContentBuilder::new().schema(Some(binary())).build(),
            ),
        }
        .build(),
    )
}

fn binary() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
        .build()
}

/// Codes below 400: the row's status and those it adds.
fn success_codes(operation: &Operation) -> impl Iterator<Item = u16> {
    let further = operation.codes.iter().copied();
    std::iter::once(operation.status.as_u16()).chain(further.filter(|code| *code < 400))
}

/// Codes from 400: what every operation can answer and what the row adds.
fn error_codes(operation: &Operation) -> impl Iterator<Item = u16> {
    let further = operation.codes.iter().copied();
    COMMON_CODES
        .into_iter()
        .chain(further.filter(|code| *code >= 400 && !COMMON_CODES.contains(code)))
}

fn success_response(entry: &RouteEntry, code: u16) -> utoipa::openapi::Response {
    let operation = &entry.operation;
    let mut response = with_headers(ResponseBuilder::new(), operation.family).description("Done.");
    for name in operation.headers {
        response = response.header(*name, Header::default());
    }
    if code == 304 {
        return response.description("Not changed.").build();
    }
    if (301..400).contains(&code) {
        return response
            .description("Elsewhere.")
            .header("Location", Header::default())
            .build();
    }
    if code == 204 {
        return response.build();
    }
    if let Some(answer) = &entry.answer {
        response = response.description("Result.").content(
            "application/json",
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(&answer.name)))
                .build(),
        );
    } else if let Some(media) = operation.media {
        response = response
            .description("Result.")
            .content(media, ContentBuilder::new().schema(Some(binary())).build());
    }
    response.build()
}

/// The headers of every answer.
fn with_headers(response: ResponseBuilder, family: Family) -> ResponseBuilder {
    let text = |description: &str| HeaderBuilder::new().description(Some(description)).build();
    let response = response.header("X-Request-Id", text("Id of the request, 32 hex digits."));
    match family {
        Family::Iam => response.header("X-IAM-Trace-Id", text("The same id.")),
        _ => response,
    }
}

fn response_name(family: Family, code: u16) -> String {
    format!("{family:?}{code}")
}

/// The schemas of an error answer: any of them. Source: contract, `errors.md`, section 1.
fn error_schemas(family: Family, code: u16) -> &'static [&'static str] {
    match (family, code) {
        (_, 413 | 429) => &["GatewayError"],
        (Family::AppCenter | Family::Native, 400 | 401 | 403 | 404 | 500) => {
            &["AppCenterError", "GatewayError"]
        }
        (Family::AppCenter | Family::Native, _) => &["AppCenterError"],
        (Family::Workspace, 400 | 401 | 403 | 404 | 500) => &["WorkspaceError", "GatewayError"],
        (Family::Workspace, _) => &["WorkspaceError"],
        (Family::Iam | Family::Discovery, _) => &["IamError"],
        (Family::Sts, _) => &["StsError"],
    }
}

fn error_components() -> [(String, RefOr<Schema>); 6] {
    fn named<T: ToSchema>() -> (String, RefOr<Schema>) {
        (T::name().into_owned(), T::schema())
    }
    [
        named::<errors::AppCenterError>(),
        named::<errors::WorkspaceError>(),
        named::<errors::GatewayError>(),
        named::<errors::IamError>(),
        named::<errors::IamErrorDetail>(),
        named::<errors::StsError>(),
    ]
}

fn error_response(family: Family, code: u16) -> utoipa::openapi::Response {
    let integer = |description: &str| {
        HeaderBuilder::new()
            .description(Some(description))
            .schema(Some(
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .minimum(Some(0)),
            ))
            .build()
    };
    let mut response =
        with_headers(ResponseBuilder::new(), family).description(error_description(code));
    if code == 405 {
        response = response.header(
            "Allow",
            HeaderBuilder::new()
                .description(Some("Methods of the path."))
                .build(),
        );
    }
    if code == 429 {
        response = response.header("Retry-After", integer("Seconds to wait."));
    }
    let schema: RefOr<Schema> = match error_schemas(family, code) {
        [only] => Ref::from_schema_name(*only).into(),
        several => several
            .iter()
            .fold(AnyOfBuilder::new(), |any, name| {
                any.item(Ref::from_schema_name(*name))
            })
            .into(),
    };
    response
        .content(
            "application/json",
            ContentBuilder::new().schema(Some(schema)).build(),
        )
        .build()
}

fn error_description(code: u16) -> &'static str {
    match code {
        400 => "A field breaks a rule, or the request cannot be read.",
        401 => "No credential, or one that does not hold.",
        403 => "Not permitted.",
        404 => "Not found.",
        405 => "The path has other methods.",
        409 => "In conflict with the current state.",
        412 => "A condition of the request does not hold.",
        413 => "The body is over the limit.",
        416 => "The range lies outside.",
        422 => "Understood, but it cannot be done.",
        429 => "Too many requests.",
        500 => "Our fault.",
        503 => "Cannot be served now; worth repeating.",
        _ => "Refused.",
    }
}

fn method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

/// The part of the reference an operation stands in: the contract's tags, and the noun for our own.
pub fn tag(operation: &Operation) -> &'static str {
    let path = operation.path;
    let has = |part: &str| path.contains(part);
    match operation.family {
        Family::AppCenter if has("/app-rules") || has("/app-restricted-rules") => "AppRestriction",
        Family::AppCenter if has("/profiles") => "Profile",
        Family::AppCenter => "AppCenter",
        Family::Workspace if has("tags") || has("/resource_instances") => "Tag",
        Family::Workspace if has("/resource-instances") => "Tag",
        Family::Workspace if has("/desktops/agents") => "Agent",
        Family::Workspace if has("/desktops") => "Desktop",
        Family::Workspace if has("/groups") => "UserGroup",
        Family::Workspace if has("/users") => "User",
        Family::Workspace => "Job",
        Family::Iam | Family::Discovery => "IAM",
        Family::Sts => "STS",
        Family::Native => path
            .trim_start_matches("/api/v1")
            .trim_start_matches("/{project_id}")
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or("api"),
    }
}
