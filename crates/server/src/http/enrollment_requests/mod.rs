//! `/api/v1/{project_id}/enrollment-requests`: enrollments that wait for an administrator.

mod decide;
mod list;

use super::operation::Named;
use super::{Operation, Routes};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get(
                "/api/v1/{project_id}/enrollment-requests",
                "ListEnrollmentRequests",
            )
            .action("outfitter:enrollmentRequests:list")
            .summary("List enrollments that wait for approval, and those decided within a week."),
            list::list,
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/enrollment-requests/actions/approve",
                "ApproveEnrollmentRequests",
            )
            .action("outfitter:enrollmentRequests:approve")
            .names(&[Named::Ids("enrollmentRequest", "items[]")])
            .status(204)
            .codes(&[404, 409])
            .summary("Approve enrollments, all or none: each machine becomes a desktop when its agent asks next."),
            decide::approve,
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/enrollment-requests/actions/refuse",
                "RefuseEnrollmentRequests",
            )
            .action("outfitter:enrollmentRequests:refuse")
            .names(&[Named::Ids("enrollmentRequest", "items[]")])
            .status(204)
            .codes(&[404, 409])
            .summary("Refuse enrollments, all or none: each agent is told so when it asks next, and ends."),
            decide::refuse,
        );
}
