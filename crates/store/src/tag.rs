//! Tags of desktops.

use std::collections::HashMap;

use outfitter_domain::text::contains_pattern;
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};

use crate::query::{Conditions, in_keys, key_array, text_array};
use crate::{Db, DesktopKey, Listed, Page, ProjectKey, StoreError, Tx};

/// A tag of a desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesktopTag {
    /// Key.
    pub key: String,
    /// Value; may be empty.
    pub value: String,
}

/// A tag key with every value in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectTag {
    /// Key.
    pub key: String,
    /// Values, in alphabetical order.
    pub values: Vec<String>,
}

/// A tag key and the values searched for; no value: any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagMatch {
    /// Key.
    pub key: String,
    /// Values, one of which must be the desktop's.
    pub values: Vec<String>,
}

/// Which desktops to find by their tags; the members given must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagSearch {
    /// Has every one of these.
    pub all: Vec<TagMatch>,
    /// Has at least one of these.
    pub any: Vec<TagMatch>,
    /// Lacks at least one of these.
    pub not_all: Vec<TagMatch>,
    /// Has none of these.
    pub none: Vec<TagMatch>,
}

#[derive(FromQueryResult)]
struct TagRow {
    desktop_id: i64,
    tag_key: String,
    tag_value: String,
}

#[derive(FromQueryResult)]
struct KeyValueRow {
    tag_key: String,
    tag_value: String,
}

impl TagSearch {
    /// Adds the search to conditions on the desktop table named `d`.
    pub(crate) fn conditions(&self, conditions: &mut Conditions) {
        for wanted in &self.all {
            let has = has_tag(conditions, wanted);
            conditions.and(&has);
        }
        for (wanted, negation) in [(&self.any, ""), (&self.none, "NOT ")] {
            if !wanted.is_empty() {
                let any = each_joined(conditions, wanted, " OR ");
                conditions.and(&format!("{negation}({any})"));
            }
        }
        if !self.not_all.is_empty() {
            let all = each_joined(conditions, &self.not_all, " AND ");
            conditions.and(&format!("NOT ({all})"));
        }
    }
}

fn each_joined(conditions: &mut Conditions, wanted: &[TagMatch], operator: &str) -> String {
    wanted
        .iter()
        .map(|tag| has_tag(conditions, tag))
        .collect::<Vec<_>>()
        .join(operator)
}

fn has_tag(conditions: &mut Conditions, wanted: &TagMatch) -> String {
    let key = conditions.bind(wanted.key.as_str());
    let values = if wanted.values.is_empty() {
        String::new()
    } else {
        let one_of = conditions.one_of_condition("t.tag_value", &wanted.values);
        format!(" AND {one_of}")
    };
    format!(
        "EXISTS (SELECT 1 FROM desktop_tag t WHERE t.desktop_id = d.id AND t.tag_key = {key}{values})"
    )
}

impl Db<'_> {
    /// The tags of desktops, by desktop, in alphabetical order of their keys.
    ///
    /// # Errors
    /// The database's.
    pub async fn tags_of(
        &self,
        desktops: &[DesktopKey],
    ) -> Result<HashMap<DesktopKey, Vec<DesktopTag>>, StoreError> {
        let rows: Vec<TagRow> = self
            .all(
                "read the tags of desktops",
                &format!(
                    "SELECT desktop_id, tag_key, tag_value FROM desktop_tag WHERE {} ORDER BY desktop_id, tag_key",
                    in_keys(self.dialect(), "desktop_id", "$1")
                ),
                [key_array(desktops.iter().map(|key| key.get())).into()],
            )
            .await?;
        let mut tags: HashMap<DesktopKey, Vec<DesktopTag>> = HashMap::new();
        for row in rows {
            tags.entry(DesktopKey::new(row.desktop_id))
                .or_default()
                .push(DesktopTag {
                    key: row.tag_key,
                    value: row.tag_value,
                });
        }
        Ok(tags)
    }

    /// The tag keys in use in a project whose key (and one of whose values) contain the given parts; in
    /// alphabetical order.
    ///
    /// # Errors
    /// The database's.
    pub async fn project_tags(
        &self,
        project: ProjectKey,
        key_part: Option<&str>,
        value_part: Option<&str>,
        page: Page,
    ) -> Result<Listed<ProjectTag>, StoreError> {
        let rows: Vec<KeyValueRow> = self
            .all(
                "list the tags of a project",
                "SELECT DISTINCT t.tag_key, t.tag_value FROM desktop_tag t JOIN desktop d ON d.id = t.desktop_id \
                 WHERE d.project_id = $1 AND d.deleted_at IS NULL \
                 AND lower(t.tag_key) LIKE $2 ESCAPE '\\' AND lower(t.tag_value) LIKE $3 ESCAPE '\\' \
                 ORDER BY t.tag_key, t.tag_value",
                [
                    project.into(),
                    contains_pattern(key_part.unwrap_or_default()).into(),
                    contains_pattern(value_part.unwrap_or_default()).into(),
                ],
            )
            .await?;
        let mut tags: Vec<ProjectTag> = Vec::new();
        for row in rows {
            match tags.last_mut() {
                Some(last) if last.key == row.tag_key => last.values.push(row.tag_value),
                _ => tags.push(ProjectTag {
                    key: row.tag_key,
                    values: vec![row.tag_value],
                }),
            }
        }
        let size = |number: i64| usize::try_from(number).unwrap_or(0);
        Ok(Listed {
            total: i64::try_from(tags.len()).expect("a list in memory is shorter than i64::MAX"),
            items: tags
                .into_iter()
                .skip(size(page.offset))
                .take(size(page.limit))
                .collect(),
        })
    }
}

impl Tx {
    /// Sets tags of a desktop; the value of a key that is there is replaced. Answers how many tags the
    /// desktop has then, so that the caller can refuse too many by dropping the transaction.
    ///
    /// # Errors
    /// The database's.
    pub async fn tags_set(
        &self,
        desktop: DesktopKey,
        tags: &[DesktopTag],
    ) -> Result<usize, StoreError> {
        for tag in tags {
            self.run(
                "tag a desktop",
                "INSERT INTO desktop_tag (desktop_id, tag_key, tag_value) VALUES ($1, $2, $3) \
                 ON CONFLICT (desktop_id, tag_key) DO UPDATE SET tag_value = excluded.tag_value",
                [
                    desktop.into(),
                    tag.key.as_str().into(),
                    tag.value.as_str().into(),
                ],
            )
            .await?;
        }
        let count: i64 = self
            .db()
            .scalar(
                "count the tags of a desktop",
                "SELECT count(*) FROM desktop_tag WHERE desktop_id = $1",
                [desktop.into()],
            )
            .await?
            .unwrap_or(0);
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Takes tags from a desktop: by key alone where the value is empty, else only where it is that value.
    /// A tag that is not there is passed over.
    ///
    /// # Errors
    /// The database's.
    pub async fn tags_remove(
        &self,
        desktop: DesktopKey,
        tags: &[DesktopTag],
    ) -> Result<(), StoreError> {
        let (by_key, by_value): (Vec<_>, Vec<_>) =
            tags.iter().partition(|tag| tag.value.is_empty());
        if !by_key.is_empty() {
            let keys: Vec<&str> = by_key.iter().map(|tag| tag.key.as_str()).collect();
            self.run(
                "untag a desktop",
                &format!(
                    "DELETE FROM desktop_tag WHERE desktop_id = $1 AND tag_key IN (SELECT {} FROM {})",
                    self.dialect().element_text(),
                    self.dialect().each("$2")
                ),
                [desktop.into(), text_array(&keys).into()],
            )
            .await?;
        }
        for tag in by_value {
            self.run(
                "untag a desktop",
                "DELETE FROM desktop_tag WHERE desktop_id = $1 AND tag_key = $2 AND tag_value = $3",
                [
                    desktop.into(),
                    tag.key.as_str().into(),
                    tag.value.as_str().into(),
                ],
            )
            .await?;
        }
        Ok(())
    }
}
