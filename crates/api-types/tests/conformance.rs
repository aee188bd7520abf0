//! Holds every type of the contract against `api/contract/openapi.json`.
//!
//! Both sides are brought to one spelling first: references resolved, nullability as a flag,
//! descriptions and examples dropped, bounds that an enum already implies dropped. What then differs
//! must stand in `api/deviations.toml`, each with its reason, and every entry there must be needed.

#[allow(dead_code, reason = "the server's tests use the rest")]
mod facts;

use std::collections::{BTreeMap, BTreeSet};

use facts::{Comparison, Facts, contract, follow, objects, operations};
use outfitter_api_types::{
    agents, app_install, apps, authorizations, buckets, desktops, errors, groups, iam, jobs,
    profiles, rules, tags, users, workspace_jobs,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// Schema of one type with everything it refers to, and a way to read JSON as that type.
struct Generated {
    schema: Value,
    components: Map<String, Value>,
    reads: fn(Value) -> Result<(), serde_json::Error>,
}

impl Generated {
    fn of<T: ToSchema + DeserializeOwned>() -> Self {
        let mut schemas = Vec::new();
        T::schemas(&mut schemas);
        schemas.push((T::name().into_owned(), T::schema()));
        let components = schemas
            .into_iter()
            .map(|(name, schema)| (name, to_json(&schema)))
            .collect();
        Self {
            schema: to_json(&T::schema()),
            components,
            reads: |value| serde_json::from_value::<T>(value).map(drop),
        }
    }

    /// The document the server compiles: the schema with its components beside it.
    fn document(&self) -> Value {
        let mut document = self.schema.clone();
        document["components"] = json!({"schemas": self.components});
        document
    }

    fn validator(&self) -> jsonschema::Validator {
        jsonschema::draft202012::new(&self.document()).expect("the generated schema compiles")
    }
}

fn to_json(schema: &impl serde::Serialize) -> Value {
    serde_json::to_value(schema).expect("a schema is always JSON")
}

macro_rules! generated {
    ($($module:ident: $($name:ident),+;)+) => {
        BTreeMap::from([$($((stringify!($name), Generated::of::<$module::$name>())),+),+])
    };
}

fn components() -> BTreeMap<&'static str, Generated> {
    generated! {
        agents: BatchInstallAgentReq, BatchInstallAgentResponse,
            ListAgentsInstallConditionResponse, AgentsCondition, AgentInfo;
        app_install: BatchAutoInstallAppsReq, AutoInstallAppReq;
        apps: InstallType, OsTypeEnum, AppStatusEnum, AppSourceType, FileStoreTypeEnum,
            BucketStore, FileStoreLink, UploadAppReq, UpdateAppReq, Application,
            ListAppsResponse, Catalog, ListAppCatalogsResponse, BatchOperateAppsReq,
            BatchDeleteAppsReq;
        authorizations: AssignType, AccountTypeEnum, PlatformTypeEnum, AccountInfo,
            AssignAppAuthorizationsReq, BatchAssignAppAuthorizationsReq,
            ListAppAuthorizationsResponse;
        buckets: CreateAndAuthorizeBucketResponse, CreateBucketCredentialReq,
            ObsPolicyStatement, ObsPolicy, ObsCredential, CreateBucketCredentialResponse;
        desktops: AttachInstancesReq, AttachInstancesDesktopInfo, AttachInstancesUserInfo,
            EncryptType, BatchAttachInstancesReq, AssignModelInfo, DetachInstancesReq,
            BatchDetachInstancesReq, DetachInstancesDesktopInfo, DetachInstancesUserInfo,
            DeleteDesktopsReq, ListDesktopsResponse, SimpleDesktopInfo,
            AttachInstancesUserInfoOut, ListDesktopsDetailResponse, DesktopDetailInfo,
            AddressInfo, FlavorInfo, FlavorLinkInfo, SecurityGroupInfo, VolumeDetail,
            ProductInfo, HourPackageInfo, ShowDesktopDetailResponse,
            AttachInstancesResponse, BatchAttachInstancesResponse,
            DetachInstancesResponse, VmOperateResult, BatchDetachInstancesResponse,
            BatchDeleteDesktopsResponse;
        errors: AppCenterError, WorkspaceError, GatewayError, IamError, StsError;
        groups: CreateUserGroupReq, EditUserGroupRequest, BatchDeleteUserGroupsReq,
            ActionsOfUsersInGroupRequest, ListUserGroupsResponse, UserGroupInfo,
            ListUsersOfGroupResponse, UserInGroup;
        iam: PwdAuthReq, TokenResponse, KeystoneProjects, KeystoneDomains,
            CreateTemporaryKeyReq, TemporaryKeyResponse, DecodeAuthorizationMessageReq,
            DecodeAuthorizationMessageResponse, CallerIdentity, KeystoneVersion;
        jobs: JobStatus, AppInstallJob, ListJobsResponse, BatchOperateJobsReq;
        profiles: TenantProfiles;
        rules: RuleScope, ProductRule, PathRule, Rule, CreateAppRuleReq, UpdateAppRuleReq,
            AppRule, ListAppRuleResponse, ListRestrictedRuleResponse,
            BatchOperateAppRulesReq, SetRuleRestrictionReq, ShowRuleRestrictionResponse;
        tags: BatchAddDesktopsTagsReq, DesktopTagsInfo, Tag, BatchDeleteDesktopsTagsReq,
            TagsReq, CreateTagReq, QueryDesktopByTagReq, Match, Tags, TagOut,
            ListProjectTagsResponse, TagsOut, ShowTagByDesktopIdResponse,
            ListDesktopByTagsResponse, TagResource, ListDesktopsByTagsResponse;
        users: CreateUserRequest, BatchCreateUsersReq, EditUserReq, BatchDeleteUserReq,
            ListUsersResponse, User, CreateDesktopUserResponse, ListUserDetailResponse,
            UserDetail, UpdateUserInfoResponse;
        workspace_jobs: JobActionsReq, DeleteSubJobsReq, ShowJobResponse, JobDetailInfo,
            JobEntities, RunActionsOnWorkspaceJobResponse, ListItaSubJobsResponse;
    }
}

fn queries() -> BTreeMap<&'static str, Generated> {
    generated! {
        agents: ListAgentsInstallConditionQuery;
        apps: ListAppsQuery, DeleteAppQuery;
        authorizations: ListAppAuthorizationsQuery;
        desktops: ListDesktopsQuery, ListDesktopsDetailQuery, DeleteDesktopQuery;
        groups: ListUserGroupsQuery, ListUsersOfGroupQuery;
        iam: KeystoneCreateUserTokenByPasswordQuery, KeystoneListProjectsQuery;
        jobs: ListJobsQuery;
        rules: ListAppRuleQuery, ListRestrictedRuleQuery;
        tags: ListProjectTagsQuery;
        users: ListUsersQuery;
        workspace_jobs: ListItaSubJobsQuery;
    }
}

/// Answers that the contract describes at the operation, without a name.
fn inline_answers() -> BTreeMap<&'static str, Generated> {
    BTreeMap::from([
        (
            "KeystoneListVersions",
            Generated::of::<iam::KeystoneVersionsResponse>(),
        ),
        (
            "KeystoneShowVersion",
            Generated::of::<iam::KeystoneVersionResponse>(),
        ),
        (
            "KeystoneShowCatalog",
            Generated::of::<iam::KeystoneCatalogResponse>(),
        ),
    ])
}

fn query_parameters<'a>(contract: &'a Value, operation: &'a Value) -> Vec<&'a Value> {
    let parameters = operation["parameters"].as_array();
    parameters
        .into_iter()
        .flatten()
        .map(|parameter| follow(contract, parameter))
        .filter(|parameter| parameter["in"] == "query")
        .collect()
}

#[test]
fn every_schema_and_query_parameter_is_the_contracts() {
    let contract = contract();
    let mut comparison = Comparison::new();

    let schemas = contract["components"]["schemas"]
        .as_object()
        .expect("schemas");
    let objects = objects(&contract);
    let ours = components();
    let (theirs, mine): (BTreeSet<&str>, BTreeSet<&str>) = (
        schemas.keys().map(String::as_str).collect(),
        ours.keys().copied().collect(),
    );
    assert_eq!(theirs, mine, "the same schemas");
    for (name, schema) in schemas {
        let generated = &ours[name.as_str()];
        let root = generated.document();
        comparison.schema(
            name,
            &Facts::of(&contract, &objects, schema),
            &Facts::of(&root, &objects, &generated.schema),
        );
    }
    let schema_members = comparison.members;

    let queries = queries();
    let mut operations_with_query = BTreeSet::new();
    let mut parameter_count = 0;
    for (operation_id, operation) in operations(&contract) {
        let parameters = query_parameters(&contract, operation);
        if parameters.is_empty() {
            continue;
        }
        parameter_count += parameters.len();
        let name = format!("{operation_id}Query");
        let required: Vec<_> = parameters
            .iter()
            .filter(|parameter| parameter["required"] == true)
            .map(|parameter| parameter["name"].clone())
            .collect();
        let properties: Map<_, _> = parameters
            .iter()
            .map(|parameter| {
                let name = parameter["name"].as_str().expect("a parameter has a name");
                (name.to_owned(), parameter["schema"].clone())
            })
            .collect();
        let object = json!({"type": "object", "properties": properties, "required": required});
        let generated = queries
            .get(name.as_str())
            .unwrap_or_else(|| panic!("there is no type {name}"));
        comparison.schema(
            &name,
            &Facts::of(&contract, &objects, &object),
            &Facts::of(&generated.document(), &objects, &generated.schema),
        );
        operations_with_query.insert(name);
    }
    let mine: BTreeSet<_> = queries.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(operations_with_query, mine, "the same query types");

    for (operation_id, generated) in inline_answers() {
        let (_, operation) = operations(&contract)
            .find(|(id, _)| *id == operation_id)
            .expect("the operation is in the contract");
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        comparison.schema(
            operation_id,
            &Facts::of(&contract, &objects, schema),
            &Facts::of(&generated.document(), &objects, &generated.schema),
        );
    }

    println!(
        "compared {} schemas with {schema_members} members, and {} queries with {parameter_count} parameters",
        schemas.len(),
        queries.len()
    );
    comparison.assert_equal();
    comparison.assert_schemas_needed();
}

#[test]
fn every_schema_compiles_with_what_it_refers_to() {
    for (name, generated) in components().into_iter().chain(queries()) {
        let is_null_refused = !generated.validator().is_valid(&Value::Null);
        assert!(is_null_refused, "{name} refuses null");
    }
}

/// The examples of the contract, each with the name of its schema.
fn examples(contract: &Value) -> Vec<(String, Value)> {
    fn collect(media: &Value, found: &mut Vec<(String, Value)>) {
        let Some(example) = media.get("example") else {
            return;
        };
        let schema = &media["schema"];
        let alternatives = schema["anyOf"].as_array().cloned();
        for schema in alternatives
            .unwrap_or_else(|| vec![schema.clone()])
            .iter()
            .take(1)
        {
            let reference = schema["$ref"]
                .as_str()
                .expect("an example has a named schema");
            let name = reference.rsplit('/').next().expect("a last part");
            found.push((name.to_owned(), example.clone()));
        }
    }
    let mut found = Vec::new();
    for (_, operation) in operations(contract) {
        let responses = operation["responses"].as_object().expect("responses");
        for content in responses.values().chain([&operation["requestBody"]]) {
            collect(&content["content"]["application/json"], &mut found);
        }
    }
    let shared = contract["components"]["responses"].as_object();
    for response in shared.expect("shared responses").values() {
        collect(&response["content"]["application/json"], &mut found);
    }
    found
}

#[test]
fn every_example_of_the_contract_validates_and_parses() {
    let contract = contract();
    let ours = components();
    let examples = examples(&contract);
    assert!(examples.len() >= 17, "only {} examples", examples.len());
    for (name, example) in examples {
        let generated = &ours[name.as_str()];
        let errors: Vec<_> = generated
            .validator()
            .iter_errors(&example)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name} {example}: {errors:?}");
        (generated.reads)(example).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn every_example_of_a_member_validates() {
    let contract = contract();
    let mut checked = 0;
    for (name, generated) in components() {
        let schema = &contract["components"]["schemas"][name];
        for (member, theirs) in schema["properties"].as_object().into_iter().flatten() {
            for example in theirs["examples"].as_array().into_iter().flatten() {
                let ours = &generated.schema["properties"][member];
                let validator = jsonschema::draft202012::new(ours).expect("the schema compiles");
                assert!(validator.is_valid(example), "{name}.{member}: {example}");
                checked += 1;
            }
        }
    }
    assert!(checked >= 12, "only {checked} examples");
}

/// Every place of a schema where a keyword that binds stands, as JSON pointers.
fn binding_keywords(value: &Value, at: String, found: &mut Vec<String>) {
    const BINDING: &[&str] = &[
        "type",
        "required",
        "enum",
        "const",
        "pattern",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "uniqueItems",
        "default",
        "format",
        "items",
        "if",
        "then",
        "anyOf",
        "$ref",
        "additionalProperties",
    ];
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                if key == "properties" {
                    let members = inner.as_object().expect("properties");
                    for (name, member) in members {
                        let name = name.replace('~', "~0").replace('/', "~1");
                        binding_keywords(member, format!("{place}/{name}"), found);
                    }
                    continue;
                }
                if BINDING.contains(&key.as_str()) {
                    found.push(place.clone());
                }
                if !matches!(key.as_str(), "default" | "example" | "examples" | "enum")
                    && !key.starts_with("x-")
                {
                    binding_keywords(inner, place, found);
                }
            }
        }
        Value::Array(values) => {
            for (index, inner) in values.iter().enumerate() {
                binding_keywords(inner, format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_comparison_notices_a_keyword_taken_away_anywhere() {
    let contract = contract();
    let schemas = contract["components"]["schemas"].as_object().unwrap();
    let objects = objects(&contract);
    let (mut taken, mut implied) = (0, Vec::new());
    for (name, schema) in schemas {
        let facts = Facts::of(&contract, &objects, schema).facts;
        let mut places = Vec::new();
        binding_keywords(schema, String::new(), &mut places);
        for place in places {
            let mut changed = schema.clone();
            let (parent, keyword) = place.rsplit_once('/').unwrap();
            let parent = changed
                .pointer_mut(parent)
                .unwrap()
                .as_object_mut()
                .unwrap();
            let value = parent.remove(keyword).unwrap();
            taken += 1;
            if Facts::of(&contract, &objects, &changed).facts == facts {
                implied.push((name, place, value));
            }
        }
    }
    // What may go unnoticed: a bound of zero, and bounds of text that an enum implies.
    for (name, place, value) in &implied {
        let keyword = place.rsplit('/').next().unwrap();
        let beside_enum = {
            let parent = schemas[name.as_str()]
                .pointer(place.rsplit_once('/').unwrap().0)
                .unwrap();
            parent.get("enum").is_some() || parent.get("anyOf").is_some()
        };
        assert!(
            *value == json!(0) || (beside_enum && matches!(keyword, "minLength" | "maxLength")),
            "{name}{place} {value} can be taken away unnoticed"
        );
    }
    assert!(taken > 1000, "only {taken} keywords");
}

#[test]
fn conditions_between_members_are_in_the_schema() {
    let accepts = |name: &str, value: Value| components()[name].validator().is_valid(&value);
    let ids = json!(["a", "b"]);
    for (name, value, expected) in [
        ("FileStoreLink", json!({"store_type": "OBS"}), false),
        (
            "FileStoreLink",
            json!({"store_type": "OBS", "bucket_store": null, "file_link": "http://x"}),
            false,
        ),
        (
            "FileStoreLink",
            json!({"store_type": "LINK", "bucket_store": null, "file_link": "http://x"}),
            true,
        ),
        (
            "BatchAutoInstallAppsReq",
            json!({"app_ids": ids, "assign_scope": "ASSIGN_USER", "users": null}),
            false,
        ),
        (
            "BatchAutoInstallAppsReq",
            json!({"app_ids": ids, "assign_scope": "ALL_USER", "users": null}),
            true,
        ),
        (
            "BatchAutoInstallAppsReq",
            json!({"app_ids": ["a", "a"], "assign_scope": "ALL_USER"}),
            false,
        ),
        ("DeleteSubJobsReq", json!({}), false),
        (
            "DeleteSubJobsReq",
            json!({"job_ids": null, "delete_by_status": "FAILED"}),
            true,
        ),
        (
            "SetRuleRestrictionReq",
            json!({"app_restrict_rule_switch": true, "app_control_mode": 1}),
            false,
        ),
        (
            "SetRuleRestrictionReq",
            json!({"app_restrict_rule_switch": true, "app_control_mode": null}),
            true,
        ),
        ("CreateUserRequest", json!({"user_name": "ada!"}), false),
        ("CreateUserRequest", json!({"user_name": "ada.l"}), true),
        ("ProductRule", json!({"product_version": ""}), true),
        ("ProductRule", json!({"product_version": "1 0"}), false),
    ] {
        assert_eq!(accepts(name, value.clone()), expected, "{name} {value}");
    }
}

#[test]
fn a_category_given_as_a_number_becomes_text() {
    let request: apps::UpdateAppReq = serde_json::from_value(json!({"catalog_id": 7})).unwrap();
    assert_eq!(request.catalog_id.as_deref(), Some("7"));
    let request: apps::UpdateAppReq = serde_json::from_value(json!({"catalog_id": null})).unwrap();
    assert_eq!(request.catalog_id, None);
    let validator = components()["UpdateAppReq"].validator();
    assert!(validator.is_valid(&json!({"catalog_id": 7})));
    assert!(!validator.is_valid(&json!({"catalog_id": true})));
    assert_eq!(
        serde_json::to_value(apps::UpdateAppReq { ..request }).unwrap(),
        json!({}),
        "members without a value are left out"
    );
}

#[test]
fn a_desktop_without_a_task_shows_a_null_process() {
    let desktop = serde_json::to_value(agents::AgentsCondition::default()).unwrap();
    assert_eq!(desktop, json!({"process": null}));
    let desktop = serde_json::to_value(desktops::DesktopDetailInfo::default()).unwrap();
    assert_eq!(desktop, json!({"process": null}));
}
