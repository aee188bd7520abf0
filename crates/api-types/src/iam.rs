//! Tokens, projects and domains in the shape of Keystone, temporary keys, and STS.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::amend::{amended, constant, one_of_members};
use crate::secret::SecretText;
use crate::time::IamTime;

/// The one method of a password login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PasswordMethodName {
    /// Password.
    Password,
}

/// Account a user belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserDomain {
    /// Account name of the user.
    pub name: String,
}

amended! {
    /// User by id, or by name and domain, with the password.
    pub struct PasswordUser {
        /// User ID, instead of name and domain.
        pub id: Option<String>,
        /// IAM user name.
        pub name: Option<String>,
        /// Password.
        #[schema(value_type = String)]
        pub password: SecretText,
        /// The domain.
        pub domain: Option<UserDomain>,
    }
    with [
        one_of_members(&[&[("name", "string"), ("domain", "object")], &[("id", "string")]]),
    ]
}

/// Carries the user of a password login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PasswordMethod {
    /// The user.
    pub user: PasswordUser,
}

/// The way to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PasswordIdentity {
    /// Methods used.
    #[schema(min_items = 1)]
    pub methods: Vec<PasswordMethodName>,
    /// The password login.
    pub password: PasswordMethod,
}

/// Body of changing one's own password. Source: OpenStack Identity API v3, "Change password for user".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneChangePasswordReq {
    /// The passwords.
    pub user: KeystoneChangePassword,
}

/// The new password and the old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneChangePassword {
    /// The new password; every token and session so far ends.
    #[schema(value_type = String, min_length = 12, max_length = 128)]
    pub password: SecretText,
    /// The password so far.
    #[schema(value_type = String, max_length = 1024)]
    pub original_password: SecretText,
}

/// Domain by id or name.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScopeDomain {
    /// ID.
    pub id: Option<String>,
    /// Name.
    pub name: Option<String>,
}

/// Project by id or name.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScopeProject {
    /// ID.
    pub id: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// The domain.
    pub domain: Option<ScopeDomain>,
}

/// What a token is for: a project or a domain; absent means the account of the user.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthScope {
    /// The project.
    pub project: Option<ScopeProject>,
    /// The domain.
    pub domain: Option<ScopeDomain>,
}

/// Who logs in, and for what.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PasswordAuth {
    /// The way to log in.
    pub identity: PasswordIdentity,
    /// project (id or name) or domain (id or name). Absent: account scope of the user.
    pub scope: Option<AuthScope>,
}

/// Body of `KeystoneCreateUserTokenByPassword`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PwdAuthReq {
    /// The request.
    pub auth: PasswordAuth,
}

/// Domain by id and name.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenDomain {
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Name.
    #[schema(nullable = false)]
    pub name: Option<String>,
}

/// Owner of a token.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenUser {
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Name.
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// When the password expires, empty for never.
    #[schema(nullable = false)]
    pub password_expires_at: Option<String>,
    /// The domain.
    #[schema(nullable = false)]
    pub domain: Option<TokenDomain>,
}

/// Project a token is scoped to.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenProject {
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Name.
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// The domain.
    #[schema(nullable = false)]
    pub domain: Option<TokenDomain>,
}

/// Role the owner has in the scope.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenRole {
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Name.
    #[schema(nullable = false)]
    pub name: Option<String>,
}

/// Address of a service.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogEndpoint {
    /// Address.
    #[schema(nullable = false)]
    pub url: Option<String>,
    /// Region name.
    #[schema(nullable = false)]
    pub region: Option<String>,
    /// Region ID.
    #[schema(nullable = false)]
    pub region_id: Option<String>,
    /// Audience, such as `public`.
    #[schema(nullable = false)]
    pub interface: Option<String>,
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
}

/// Service of the catalogue.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogService {
    /// Kind.
    #[serde(rename = "type")]
    #[schema(nullable = false)]
    pub service_type: Option<String>,
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Name.
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// Addresses of the service.
    #[schema(nullable = false)]
    pub endpoints: Option<Vec<CatalogEndpoint>>,
}

/// What a token stands for; the token itself is the `X-Subject-Token` header.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Methods used.
    #[schema(nullable = false)]
    pub methods: Option<Vec<String>>,
    /// Expiry, 24 hours after issue, microsecond precision (yyyy-MM-ddTHH:mm:ss.ssssssZ).
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub expires_at: Option<IamTime>,
    /// When it was issued.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub issued_at: Option<IamTime>,
    /// The user.
    #[schema(nullable = false)]
    pub user: Option<TokenUser>,
    /// Only for project scope.
    #[schema(nullable = false)]
    pub project: Option<TokenProject>,
    /// Only for domain scope.
    #[schema(nullable = false)]
    pub domain: Option<TokenDomain>,
    /// Roles in the scope.
    #[schema(nullable = false)]
    pub roles: Option<Vec<TokenRole>>,
    /// Left out with nocatalog.
    #[schema(nullable = false)]
    pub catalog: Option<Vec<CatalogService>>,
}

/// Answer of `KeystoneCreateUserTokenByPassword`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenResponse {
    /// The token.
    pub token: Token,
}

/// Links of a Keystone list.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneLinks {
    /// This page.
    #[serde(rename = "self")]
    #[schema(nullable = false)]
    pub this: Option<String>,
    /// Previous page, null on the first.
    pub previous: Option<String>,
    /// Next page, null on the last.
    pub next: Option<String>,
}

amended! {
    /// Project the caller may enter.
    pub struct KeystoneProject {
        /// ID.
        #[schema(nullable = false)]
        pub id: Option<String>,
        /// Name.
        #[schema(nullable = false)]
        pub name: Option<String>,
        /// Domain ID.
        #[schema(nullable = false)]
        pub domain_id: Option<String>,
        /// Parent ID.
        #[schema(nullable = false)]
        pub parent_id: Option<String>,
        /// Free text.
        #[schema(nullable = false)]
        pub description: Option<String>,
        /// Whether it may be used.
        #[schema(nullable = false)]
        pub enabled: Option<bool>,
        /// Always false: no project is a domain.
        #[schema(nullable = false)]
        pub is_domain: Option<bool>,
        /// Links.
        #[schema(nullable = false)]
        pub links: Option<KeystoneLinks>,
    }
    with [
        constant("is_domain", false),
    ]
}

/// Answer of `KeystoneShowProject`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneProjectResponse {
    /// The project.
    pub project: KeystoneProject,
}

/// Answer of `KeystoneListProjects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneProjects {
    /// The projects.
    pub projects: Vec<KeystoneProject>,
    /// Links.
    pub links: KeystoneLinks,
}

/// Link of an entry to itself.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneSelfLink {
    /// This page.
    #[serde(rename = "self")]
    #[schema(nullable = false)]
    pub this: Option<String>,
}

/// Domain (account) of the caller.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneDomain {
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Name.
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// Whether it may be used.
    #[schema(nullable = false)]
    pub enabled: Option<bool>,
    /// Free text.
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// Links.
    #[schema(nullable = false)]
    pub links: Option<KeystoneSelfLink>,
}

/// Answer of `KeystoneListAuthDomains`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneDomains {
    /// The domains.
    pub domains: Vec<KeystoneDomain>,
    /// Links.
    pub links: KeystoneLinks,
}

/// The one method of a temporary key request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenMethodName {
    /// Token.
    Token,
}

/// Token that vouches for the caller, and the wanted lifetime.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemporaryKeyToken {
    /// Token; X-Auth-Token may be used instead.
    #[schema(value_type = Option<String>)]
    pub id: Option<SecretText>,
    /// Lifetime in seconds.
    #[schema(default = 900, minimum = 900, maximum = 86400)]
    pub duration_seconds: Option<i64>,
}

/// Statement of a narrowing policy.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemporaryKeyStatement {
    /// Actions.
    #[serde(rename = "Action")]
    pub action: Option<Vec<String>>,
    /// `Allow` or `Deny`.
    #[serde(rename = "Effect")]
    pub effect: Option<String>,
    /// Operator, then key, then values.
    #[serde(rename = "Condition")]
    pub condition: Option<BTreeMap<String, BTreeMap<String, Vec<String>>>>,
    /// Resources.
    #[serde(rename = "Resource")]
    pub resource: Option<Vec<String>>,
}

/// Policy that narrows a temporary key.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemporaryKeyPolicy {
    /// 1.1.
    #[serde(rename = "Version")]
    pub version: Option<String>,
    /// Statements.
    #[serde(rename = "Statement")]
    pub statement: Option<Vec<TemporaryKeyStatement>>,
}

/// The way to ask for a temporary key.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemporaryKeyIdentity {
    /// Methods used.
    pub methods: Vec<TokenMethodName>,
    /// The token.
    pub token: Option<TemporaryKeyToken>,
    /// Optional narrowing policy.
    pub policy: Option<TemporaryKeyPolicy>,
}

/// Who asks for a temporary key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemporaryKeyAuth {
    /// The way to log in.
    pub identity: TemporaryKeyIdentity,
}

/// Body of `CreateTemporaryAccessKeyByToken`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateTemporaryKeyReq {
    /// The request.
    pub auth: TemporaryKeyAuth,
}

/// Temporary key pair with its security token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemporaryCredential {
    /// Access key ID.
    pub access: String,
    /// Secret access key.
    #[schema(value_type = String)]
    pub secret: SecretText,
    /// One word here, unlike security_token elsewhere.
    #[schema(value_type = String)]
    pub securitytoken: SecretText,
    /// Microsecond precision, Z suffix.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: IamTime,
}

/// Answer of `CreateTemporaryAccessKeyByToken`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemporaryKeyResponse {
    /// The credential.
    pub credential: TemporaryCredential,
}

/// Body of `DecodeAuthorizationMessage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecodeAuthorizationMessageReq {
    /// Value of encoded_authorization_message.
    #[schema(min_length = 1, max_length = 10240)]
    pub encoded_message: String,
}

/// Answer of `DecodeAuthorizationMessage`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecodeAuthorizationMessageResponse {
    /// Plain refusal reason.
    #[schema(nullable = false)]
    pub decoded_message: Option<String>,
}

/// Answer of `GetCallerIdentity`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallerIdentity {
    /// ID of the account.
    #[schema(nullable = false)]
    pub account_id: Option<String>,
    /// URN of the caller.
    #[schema(nullable = false)]
    pub principal_urn: Option<String>,
    /// ID of the caller.
    #[schema(nullable = false)]
    pub principal_id: Option<String>,
}

/// Media type of an API version.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneMediaType {
    /// General media type.
    #[schema(nullable = false)]
    pub base: Option<String>,
    /// Kind.
    #[serde(rename = "type")]
    #[schema(nullable = false)]
    pub media_type: Option<String>,
}

/// Link of an API version.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneVersionLink {
    /// Relation.
    #[schema(nullable = false)]
    pub rel: Option<String>,
    /// Address.
    #[schema(nullable = false)]
    pub href: Option<String>,
}

/// Answer of `KeystoneListVersions`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneVersion {
    /// v3.6.
    pub id: String,
    /// stable.
    pub status: String,
    /// When the version was last changed.
    #[schema(nullable = false)]
    pub updated: Option<String>,
    /// Media types.
    #[serde(rename = "media-types")]
    #[schema(nullable = false)]
    pub media_types: Option<Vec<KeystoneMediaType>>,
    /// Links.
    pub links: Vec<KeystoneVersionLink>,
}

/// Query parameters of `KeystoneCreateUserTokenByPassword`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneCreateUserTokenByPasswordQuery {
    /// Any non-empty value leaves the catalog out of the body.
    #[schema(nullable = false)]
    pub nocatalog: Option<String>,
}

/// Query parameters of `KeystoneListProjects`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneListProjectsQuery {
    /// Account ID.
    #[schema(nullable = false)]
    pub domain_id: Option<String>,
    /// Project name (exact).
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// Parent project or account ID.
    #[schema(nullable = false)]
    pub parent_id: Option<String>,
    /// Enabled filter.
    #[schema(nullable = false)]
    pub enabled: Option<bool>,
    /// Not used.
    #[schema(nullable = false)]
    pub is_domain: Option<bool>,
    /// Page number; only with per_page.
    #[schema(minimum = 1, nullable = false)]
    pub page: Option<i64>,
    /// Page size; only with page.
    #[schema(minimum = 1, maximum = 5000, nullable = false)]
    pub per_page: Option<i64>,
}

/// Answer of `KeystoneListVersions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneVersionsResponse {
    /// The versions.
    #[schema(required = false)]
    pub versions: KeystoneVersions,
}

/// List of API versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneVersions {
    /// One entry per version.
    #[schema(required = false)]
    pub values: Vec<KeystoneVersion>,
}

/// Answer of `KeystoneShowVersion`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneVersionResponse {
    /// The version.
    #[schema(required = false)]
    pub version: KeystoneVersion,
}

/// Answer of `KeystoneShowCatalog`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeystoneCatalogResponse {
    /// Services and their addresses.
    #[schema(required = false)]
    pub catalog: Vec<CatalogService>,
    /// Link to this answer.
    #[schema(required = false)]
    pub links: KeystoneSelfLink,
}
