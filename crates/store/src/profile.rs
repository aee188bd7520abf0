//! Feature switches of a project.

use std::collections::BTreeMap;

use outfitter_domain::fleet::Feature;
use sea_orm::FromQueryResult;

use crate::{Db, ProjectKey, StoreError, Tx};

#[derive(FromQueryResult)]
struct FeatureRow {
    name: String,
    enabled: i64,
}

impl Db<'_> {
    /// The switches of a project: those that were set, and those we act on, which are on until they are set.
    ///
    /// # Errors
    /// The database's.
    pub async fn features(
        &self,
        project: ProjectKey,
    ) -> Result<BTreeMap<String, bool>, StoreError> {
        let rows: Vec<FeatureRow> = self
            .all(
                "read the features of a project",
                "SELECT name, enabled FROM project_feature WHERE project_id = $1",
                [project.into()],
            )
            .await?;
        let mut features: BTreeMap<String, bool> = Feature::ALL
            .iter()
            .map(|feature| (feature.as_str().to_owned(), true))
            .collect();
        features.extend(rows.into_iter().map(|row| (row.name, row.enabled != 0)));
        Ok(features)
    }

    /// Whether a feature is on in a project.
    ///
    /// # Errors
    /// The database's.
    pub async fn feature_enabled(
        &self,
        project: ProjectKey,
        feature: Feature,
    ) -> Result<bool, StoreError> {
        let enabled: Option<i64> = self
            .scalar(
                "read a feature of a project",
                "SELECT enabled FROM project_feature WHERE project_id = $1 AND name = $2",
                [project.into(), feature.as_str().into()],
            )
            .await?;
        Ok(enabled != Some(0))
    }
}

impl Tx {
    /// Sets switches; others stay.
    ///
    /// # Errors
    /// The database's.
    pub async fn features_set(
        &self,
        project: ProjectKey,
        features: &BTreeMap<String, bool>,
    ) -> Result<(), StoreError> {
        for (name, enabled) in features {
            self.run(
                "set a feature of a project",
                "INSERT INTO project_feature (project_id, name, enabled) VALUES ($1, $2, $3) \
                 ON CONFLICT (project_id, name) DO UPDATE SET enabled = excluded.enabled",
                [
                    project.into(),
                    name.as_str().into(),
                    i64::from(*enabled).into(),
                ],
            )
            .await?;
        }
        Ok(())
    }
}
