//! Feature switches of a project.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Feature names and whether each is on; the same bare map in both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct TenantProfiles(pub BTreeMap<String, bool>);
