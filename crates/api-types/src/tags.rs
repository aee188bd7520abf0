//! Tags of desktops, and searching desktops by them.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

/// Body of `BatchAddDesktopsTags`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchAddDesktopsTagsReq {
    /// Desktops and the tags to set on each. Unknown desktop IDs are skipped silently.
    #[schema(min_items = 1, max_items = 100)]
    pub desktops: Vec<DesktopTagsInfo>,
}

/// Tags of one desktop in a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesktopTagsInfo {
    /// Desktop ID.
    #[schema(min_length = 1, max_length = 128)]
    pub desktop_id: String,
    /// Tags.
    #[schema(min_items = 1, max_items = 20)]
    pub tags: Vec<Tag>,
}

/// Tag to set or remove.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tag {
    /// Tag key: letters of any language, digits, spaces and _ . : = + - @ ; no leading or
    /// trailing space, must not start with _sys_.
    #[schema(max_length = 128)]
    pub key: String,
    /// Tag value: letters of any language, digits, spaces and _ . : = + - @ ; no leading or
    /// trailing space.
    #[schema(default = "", max_length = 43)]
    pub value: Option<String>,
}

/// Body of `BatchDeleteDesktopsTags`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchDeleteDesktopsTagsReq {
    /// Desktops and the tags to remove from each. Unknown desktop IDs are skipped silently.
    #[schema(min_items = 1, max_items = 100)]
    pub desktops: Vec<DesktopTagsInfo>,
}

/// Whether tags are added or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TagAction {
    /// Add or overwrite.
    Create,
    /// Remove.
    Delete,
}

/// Body of `BatchChangeTags`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TagsReq {
    /// create adds or overwrites the listed tags, delete removes them.
    pub action: Option<TagAction>,
    /// Tags.
    #[schema(max_items = 20)]
    pub tags: Option<Vec<Tag>>,
    /// Deprecated tag list; ignored.
    #[schema(max_items = 20)]
    pub sys_tags: Option<Vec<Tag>>,
}

/// Body of `CreateTag`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateTagReq {
    /// Tag.
    pub tag: Tag,
}

/// Whether a tag search answers the desktops or only their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TagQueryAction {
    /// Answer the desktops.
    Filter,
    /// Answer their number.
    Count,
}

/// Body of `ListDesktopsByTags`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueryDesktopByTagReq {
    /// Index of the first record, from 0.
    #[schema(default = "0", max_length = 100)]
    pub offset: Option<String>,
    /// Page size.
    #[schema(default = "1000", max_length = 100)]
    pub limit: Option<String>,
    /// filter returns one page of desktops, count returns only the total.
    pub action: Option<TagQueryAction>,
    /// True selects only desktops without any tag.
    pub without_any_tag: Option<bool>,
    /// Field matches; all must hold.
    #[schema(max_items = 50)]
    pub matches: Option<Vec<Match>>,
    /// Keep desktops having every one of these tags.
    #[schema(max_items = 100)]
    pub tags: Option<Vec<Tags>>,
    /// Keep desktops having at least one of these tags.
    #[schema(max_items = 100)]
    pub tags_any: Option<Vec<Tags>>,
    /// Keep desktops lacking at least one of these tags.
    #[schema(max_items = 100)]
    pub not_tags: Option<Vec<Tags>>,
    /// Keep desktops having none of these tags.
    #[schema(max_items = 100)]
    pub not_tags_any: Option<Vec<Tags>>,
}

/// Field of a desktop and the text it must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Match {
    /// Field to match, for example resource_name.
    #[schema(max_length = 128)]
    pub key: String,
    /// Value to match; fuzzy when key is resource_name.
    #[schema(max_length = 255)]
    pub value: String,
}

/// Tag key with the values searched for.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tags {
    /// Tag key.
    #[schema(max_length = 128)]
    pub key: Option<String>,
    /// Values.
    #[schema(max_items = 43, max_length = 255)]
    pub values: Option<Vec<String>>,
}

/// Tag of a desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TagOut {
    /// Tag key: letters of any language, digits, spaces and _ . : = + - @ ; no leading or
    /// trailing space, must not start with _sys_.
    #[schema(nullable = false)]
    pub key: Option<String>,
    /// Tag value: letters of any language, digits, spaces and _ . : = + - @ ; no leading or
    /// trailing space.
    #[schema(nullable = false)]
    pub value: Option<String>,
}

/// Answer of `ListProjectTags`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListProjectTagsResponse {
    /// Tags.
    #[schema(nullable = false)]
    pub tags: Option<Vec<TagsOut>>,
    /// Number of desktops (alternative spelling seen in the SDK).
    #[serde(rename = "totalCount")]
    #[schema(nullable = false)]
    pub total_count: Option<i64>,
}

/// Tag key with every value in use.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TagsOut {
    /// Tag key.
    #[schema(nullable = false)]
    pub key: Option<String>,
    /// Values.
    #[schema(nullable = false)]
    pub values: Option<Vec<String>>,
}

/// Answer of `ShowTagByDesktopId`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShowTagByDesktopIdResponse {
    /// Tags.
    #[schema(nullable = false)]
    pub tags: Option<Vec<TagOut>>,
}

/// Answer of `ListDesktopByTags`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDesktopByTagsResponse {
    /// Index of the first record, from 0.
    #[schema(nullable = false)]
    pub offset: Option<i64>,
    /// Matching desktops.
    #[schema(nullable = false)]
    pub resources: Option<Vec<TagResource>>,
    /// Number of matching records.
    #[schema(nullable = false)]
    pub total_count: Option<i64>,
}

/// Desktop found by its tags.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TagResource {
    /// Desktop detail.
    #[schema(nullable = false)]
    pub resource_detail: Option<String>,
    /// Desktop ID.
    #[schema(nullable = false)]
    pub resource_id: Option<String>,
    /// Desktop name.
    #[schema(nullable = false)]
    pub resource_name: Option<String>,
    /// Tags.
    #[schema(nullable = false)]
    pub tags: Option<Vec<TagOut>>,
}

/// Answer of `ListDesktopsByTags`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDesktopsByTagsResponse {
    /// Index of the first record, from 0.
    #[schema(nullable = false)]
    pub offset: Option<i64>,
    /// Matching desktops.
    #[schema(nullable = false)]
    pub resources: Option<Vec<TagResource>>,
    /// Number of matching records.
    #[schema(nullable = false)]
    pub total_count: Option<i64>,
}

/// Query parameters of `ListProjectTags`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListProjectTagsQuery {
    /// Index of the first record, from 0.
    #[schema(nullable = false)]
    pub offset: Option<i64>,
    /// Page size.
    #[schema(nullable = false)]
    pub limit: Option<i64>,
    /// Tag key.
    #[schema(nullable = false)]
    pub key: Option<String>,
    /// Value.
    #[schema(nullable = false)]
    pub value: Option<String>,
}
