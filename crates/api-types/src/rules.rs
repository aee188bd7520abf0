//! Application control: rules, the control list, and the restriction settings.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use crate::amend::{amended, unique_items};
use crate::time::WireTime;

/// What a rule matches by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RuleScope {
    /// Match by signature fields.
    Product,
    /// Match by file path and everything below it.
    Path,
}

/// All given fields must match; an empty value or * matches anything.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductRule {
    /// Which field the rule mainly identifies by. Seen: publisher, product, process
    /// (Terraform provider), productName (official example).
    #[schema(max_length = 128)]
    pub identify_condition: Option<String>,
    /// Signing publisher.
    #[schema(max_length = 1024, pattern = r"^(?! +$)[\S ]{0,1024}$")]
    pub publisher: Option<String>,
    /// Product name.
    #[schema(max_length = 128, pattern = r"^(?! +$)[\S ]{0,128}$")]
    pub product_name: Option<String>,
    /// Process name.
    #[schema(max_length = 128, pattern = r"^(?! +$)[\S ]{0,128}$")]
    pub process_name: Option<String>,
    /// Operating system; only built-in rules carry it.
    #[schema(max_length = 128, pattern = r"^(?! +$)[\S ]{0,128}$")]
    pub support_os: Option<String>,
    /// Version.
    #[schema(max_length = 128, pattern = r"^(?! +$)[\S ]{0,128}$")]
    pub version: Option<String>,
    /// Product version. Pattern copied from the official definition, A-z typo and missing
    /// anchor included; see semantics.md.
    #[schema(max_length = 128, pattern = "^[A-Za-z0-9._-]{0,128}$")]
    pub product_version: Option<String>,
}

/// Matches the path and everything below it.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PathRule {
    /// Full path, no wildcard.
    #[schema(max_length = 512, pattern = r"^(?!.*\*)(?! +$)[\S ]{0,512}$")]
    pub path: Option<String>,
}

/// scope picks the member that counts.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// Which of the two members counts.
    pub scope: RuleScope,
    /// Match by signature fields.
    pub product_rule: Option<ProductRule>,
    /// Match by path.
    pub path_rule: Option<PathRule>,
}

/// Body of `CreateAppRule`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateAppRuleReq {
    /// Rule name: visible characters and spaces, not blank.
    #[schema(min_length = 1, max_length = 64, pattern = r"^(?! +$)[\S ]{1,64}$")]
    pub name: String,
    /// Free text.
    #[schema(max_length = 128, pattern = r"^(?! +$)[\S ]{0,128}$")]
    pub description: Option<String>,
    /// What the rule matches.
    pub rule: Rule,
}

/// Partial update.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateAppRuleReq {
    /// Rule name: visible characters and spaces, not blank.
    #[schema(min_length = 1, max_length = 64, pattern = r"^(?! +$)[\S ]{1,64}$")]
    pub name: Option<String>,
    /// Free text.
    #[schema(max_length = 128, pattern = r"^(?! +$)[\S ]{0,128}$")]
    pub description: Option<String>,
    /// What the rule matches.
    pub rule: Option<Rule>,
}

/// Answer of `CreateAppRule`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppRule {
    /// Rule ID.
    pub id: String,
    /// Rule name.
    pub name: String,
    /// Free text.
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// What the rule matches.
    pub rule: Rule,
    /// Where the rule came from; we use CUSTOM and SYSTEM.
    pub rule_source: String,
    /// UTC, for example 2024-12-25T06:58:19.765Z.
    #[schema(value_type = String, format = DateTime)]
    pub create_time: WireTime,
    /// UTC, for example 2024-12-25T06:58:19.765Z.
    #[schema(value_type = String, format = DateTime)]
    pub update_time: WireTime,
}

/// Answer of `ListAppRule`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAppRuleResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// Rules on this page.
    pub items: Vec<AppRule>,
}

/// Answer of `ListRestrictedRule`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListRestrictedRuleResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// Rules on this page.
    pub items: Vec<AppRule>,
}

amended! {
    /// Body of `AddRestrictedRule`.
    pub struct BatchOperateAppRulesReq {
        /// Rule IDs.
        #[schema(min_items = 1, max_items = 50, min_length = 1, max_length = 128)]
        pub items: Vec<String>,
    }
    with [
        unique_items("items"),
    ]
}

/// Body of `SetRuleRestriction`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetRuleRestrictionReq {
    /// Master switch of application control.
    pub app_restrict_rule_switch: bool,
    /// 0: applications on the list may not run.
    #[schema(schema_with = optional_control_mode, required = false)]
    pub app_control_mode: Option<i64>,
    /// Periodic check switch.
    pub app_periodic_switch: Option<bool>,
    /// Minutes between periodic checks, at least 5.
    #[schema(minimum = 5)]
    pub app_periodic_interval: Option<i64>,
    /// Kill matching processes that already run.
    pub app_force_kill_proc_switch: Option<bool>,
}

/// Answer of `ShowRuleRestriction`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShowRuleRestrictionResponse {
    /// Master switch of application control.
    #[schema(nullable = false)]
    pub app_restrict_rule_switch: Option<bool>,
    /// 0: applications on the list may not run.
    #[schema(schema_with = control_mode, required = false)]
    pub app_control_mode: Option<i64>,
    /// Periodic check switch.
    #[schema(nullable = false)]
    pub app_periodic_switch: Option<bool>,
    /// Minutes between periodic checks, at least 5.
    #[schema(minimum = 5, nullable = false)]
    pub app_periodic_interval: Option<i64>,
    /// Kill matching processes that already run.
    #[schema(nullable = false)]
    pub app_force_kill_proc_switch: Option<bool>,
}

/// Query parameters of `ListAppRule`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAppRuleQuery {
    /// Index of the first record.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Page size.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
    /// Rule name (contains).
    #[schema(max_length = 64, nullable = false)]
    pub name: Option<String>,
}

/// Query parameters of `ListRestrictedRule`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListRestrictedRuleQuery {
    /// Index of the first record.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Page size.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
    /// Rule name (contains).
    #[schema(max_length = 64, nullable = false)]
    pub name: Option<String>,
}

fn control_mode() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .enum_values(Some([0]))
        .description(Some("Control mode. 0: listed applications may not run."))
        .build()
}

fn optional_control_mode() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .enum_values(Some([Some(0), None]))
        .description(Some("Control mode. 0: listed applications may not run."))
        .build()
}
