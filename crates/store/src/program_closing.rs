//! What a project has done about running programs of an app.

use outfitter_domain::install::{ClosingMode, ProgramClosing};
use sea_orm::FromQueryResult;

use crate::{Db, ProjectKey, StoreError, Tx};

/// Reads the two columns of the project of `row`, in a query of `table`.
pub(crate) fn program_closing(
    table: &'static str,
    row: i64,
    running_programs: &str,
    close_wait_secs: i64,
) -> Result<ProgramClosing, StoreError> {
    let inconsistent = |column, value: &str| StoreError::Inconsistent {
        table,
        column,
        row,
        value: value.to_owned(),
    };
    Ok(ProgramClosing {
        mode: ClosingMode::parse(running_programs)
            .ok_or_else(|| inconsistent("running_programs", running_programs))?,
        wait_secs: u32::try_from(close_wait_secs)
            .map_err(|_| inconsistent("close_wait_secs", &close_wait_secs.to_string()))?,
    })
}

impl Db<'_> {
    /// What a project has done about running programs; `None` where there is no such project.
    ///
    /// # Errors
    /// When the database cannot answer, or what is stored does not parse.
    pub async fn program_closing(
        &self,
        project: ProjectKey,
    ) -> Result<Option<ProgramClosing>, StoreError> {
        #[derive(FromQueryResult)]
        struct ClosingRow {
            running_programs: String,
            close_wait_secs: i64,
        }
        let row: Option<ClosingRow> = self
            .one(
                "read what a project has done about running programs",
                "SELECT running_programs, close_wait_secs FROM project WHERE id = $1",
                [project.into()],
            )
            .await?;
        row.map(|row| {
            program_closing(
                "project",
                project.get(),
                &row.running_programs,
                row.close_wait_secs,
            )
        })
        .transpose()
    }
}

impl Tx {
    /// Sets what a project has done about running programs, in tasks that are handed out from now on.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn program_closing_set(
        &self,
        project: ProjectKey,
        closing: ProgramClosing,
    ) -> Result<(), StoreError> {
        self.run(
            "set what a project has done about running programs",
            "UPDATE project SET running_programs = $2, close_wait_secs = $3 WHERE id = $1",
            [
                project.into(),
                closing.mode.as_str().into(),
                i64::from(closing.wait_secs).into(),
            ],
        )
        .await
        .map(drop)
    }
}
