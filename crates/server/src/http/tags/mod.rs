//! `/v2/{project_id}/desktops/...tags...`: tags of desktops, and searching by them.

mod change;
mod list;
mod search;

use outfitter_api_types::tags::Tag;
use outfitter_domain::fleet::{TAGS_PER_DESKTOP_MAX, check_tag_key, check_tag_value};
use outfitter_store::DesktopTag;

use super::operation::Named;
use super::{ApiError, Operation, Routes};

/// What setting tags of a desktop is called among permissions.
pub(super) const TAG_DESKTOPS: &str = "workspace:desktops:tag";

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get("/v2/{project_id}/desktops/tags", "ListProjectTags")
                .action("workspace:desktops:listProjectTags")
                .summary("List the tags in use, with their values."),
            list::list_of_project,
        )
        .add(
            Operation::get(
                "/v2/{project_id}/desktops/{desktop_id}/tags",
                "ShowTagByDesktopId",
            )
            .action("workspace:desktops:listTags")
            .codes(&[404])
            .summary("List the tags of a desktop."),
            list::list_of_desktop,
        )
        .add(
            Operation::post("/v2/{project_id}/desktops/{desktop_id}/tags", "CreateTag")
                .action(TAG_DESKTOPS)
                .status(204)
                .codes(&[404])
                .summary("Tag a desktop; the same key is overwritten."),
            change::create,
        )
        .add(
            Operation::delete(
                "/v2/{project_id}/desktops/{desktop_id}/tags/{key}",
                "DeleteTag",
            )
            .action("workspace:desktops:untag")
            .status(204)
            .codes(&[404])
            .summary("Untag a desktop; a missing tag counts as deleted."),
            change::delete,
        )
        .add(
            Operation::post(
                "/v2/{project_id}/desktops/{desktop_id}/tags/action",
                "BatchChangeTags",
            )
            .action("workspace:desktops:operateTags")
            .status(204)
            .codes(&[404])
            .summary("Add or remove tags of a desktop."),
            change::change,
        )
        .add(
            Operation::post(
                "/v2/{project_id}/desktops/batch-tags",
                "BatchAddDesktopsTags",
            )
            .action(TAG_DESKTOPS)
            .names(&[Named::Ids("desktop", "desktops[].desktop_id")])
            .status(204)
            .summary("Tag up to 100 desktops; unknown ones are skipped."),
            change::batch_add,
        )
        .add(
            Operation::delete(
                "/v2/{project_id}/desktops/batch-tags",
                "BatchDeleteDesktopsTags",
            )
            .action("workspace:desktops:untag")
            .names(&[Named::Ids("desktop", "desktops[].desktop_id")])
            .status(204)
            .with_body()
            .summary("Untag up to 100 desktops; unknown ones are skipped."),
            change::batch_delete,
        )
        .add(
            Operation::post(
                "/v2/{project_id}/desktops/resource_instances/action",
                "ListDesktopByTags",
            )
            .action("workspace:desktops:listByTags")
            .reads()
            .summary("Find or count desktops by their tags (older path)."),
            search::search,
        )
        .add(
            Operation::post(
                "/v2/{project_id}/desktops/resource-instances/action",
                "ListDesktopsByTags",
            )
            .action("workspace:desktops:listByTags")
            .reads()
            .summary("Find or count desktops by their tags."),
            search::search_newer,
        );
}

/// A tag of a request; `field` leads to it.
fn checked(field: &str, tag: Tag) -> Result<DesktopTag, ApiError> {
    check_tag_key(&tag.key)
        .map_err(|error| ApiError::invalid(format!("{field}.key"), error.to_string()))?;
    let value = tag.value.unwrap_or_default();
    check_tag_value(&value)
        .map_err(|error| ApiError::invalid(format!("{field}.value"), error.to_string()))?;
    Ok(DesktopTag {
        key: tag.key,
        value,
    })
}

fn all_checked(field: &str, tags: Vec<Tag>) -> Result<Vec<DesktopTag>, ApiError> {
    tags.into_iter()
        .enumerate()
        .map(|(index, tag)| checked(&format!("{field}[{index}]"), tag))
        .collect()
}

/// Tags that one desktop is to get, member `tags` of a request: each key once, and no more than it may have.
pub(super) fn all_of_one(tags: Vec<Tag>) -> Result<Vec<DesktopTag>, ApiError> {
    let tags = all_checked("tags", tags)?;
    check_count("tags", tags.len())?;
    for (index, tag) in tags.iter().enumerate() {
        if tags[..index].iter().any(|before| before.key == tag.key) {
            return Err(ApiError::invalid(
                format!("tags[{index}].key"),
                "stands there twice",
            ));
        }
    }
    Ok(tags)
}

/// Refuses a desktop that would have too many tags; the caller drops its transaction.
fn check_count(field: &str, count: usize) -> Result<(), ApiError> {
    if count > TAGS_PER_DESKTOP_MAX {
        return Err(ApiError::invalid(
            field,
            format!("a desktop has at most {TAGS_PER_DESKTOP_MAX} tags"),
        ));
    }
    Ok(())
}
