"""The vendor's own Python SDK, unmodified, and the few shapes that tests give it again and again."""

from __future__ import annotations

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkworkspace import v2 as ws

from outfitter import Server, wait_for

# A whole PNG of one pixel, as a data URI.
PNG = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
INSTALL_LIMIT_SECS = 120.0


def client(server: Server) -> ws.WorkspaceClient:
    """A client that knows the region and its endpoint, and finds the project through IAM."""
    credentials = BasicCredentials(server.bootstrap["access_key"], server.bootstrap["secret_key"])
    credentials.with_iam_endpoint(server.endpoints["iam_endpoint"])
    return build(server, credentials)


def build(server: Server, credentials: BasicCredentials) -> ws.WorkspaceClient:
    region = Region(server.bootstrap["region"], server.endpoints["endpoint"])
    return ws.WorkspaceClient.new_builder().with_credentials(credentials).with_region(region).build()


def user(account: str) -> ws.AccountInfo:
    return ws.AccountInfo(account=account, account_type="SIMPLE", platform_type="LOCAL")


def group(account: str) -> ws.AccountInfo:
    return ws.AccountInfo(account=account, domain="local.com", account_type="USER_GROUP", platform_type="LOCAL")


def app_body(name: str, **members) -> ws.UploadAppReq:
    """An application behind a link, for nobody yet; members given replace these."""
    body = {
        "name": name,
        "version": "1.0",
        "description": f"{name}, made by a test",
        "authorization_type": "ASSIGN_USER",
        "app_file_store": ws.FileStoreLink(store_type="LINK", file_link="http://127.0.0.1:9/never-fetched.zip"),
        "install_type": "UNZIP_INSTALL",
        "install_command": "unzip ${FILE_PATH}",
        "support_os": "Linux",
        "catalog_id": "1",
    }
    return ws.UploadAppReq(**{**body, **members})


def upload(workspace: ws.WorkspaceClient, name: str, **members) -> ws.UploadAppResponse:
    return workspace.upload_app(ws.UploadAppRequest(body=app_body(name, **members)))


def bucket(server: Server, file) -> ws.FileStoreLink:
    """The package, streamed into the bucket, as UploadApp wants it."""
    stored = server.upload_package(file)["bucket_store"]
    return ws.FileStoreLink(
        store_type="OBS",
        bucket_store=ws.BucketStore(
            bucket_name=stored["bucket_name"], bucket_file_path=stored["bucket_file_path"]
        ),
    )


def create_user(workspace: ws.WorkspaceClient, name: str) -> str:
    """A LOCAL user; answers with its id."""
    body = ws.CreateUserRequest(user_name=name, user_email=f"{name}@example.test")
    return workspace.create_desktop_user(ws.CreateDesktopUserRequest(body=body)).id


def create_group(workspace: ws.WorkspaceClient, name: str, member_ids: list[str]) -> None:
    """A LOCAL group; its creation answers no id, so it is found by listing, as clients do."""
    body = ws.CreateUserGroupReq(group_name=name, platform_type="LOCAL")
    workspace.create_user_group(ws.CreateUserGroupRequest(body=body))
    groups = workspace.list_user_groups(ws.ListUserGroupsRequest()).user_groups
    (group_id,) = [found.id for found in groups if found.name == name]
    body = ws.ActionsOfUsersInGroupRequest(user_ids=member_ids, op_type="ADD")
    workspace.run_actions_on_group(ws.RunActionsOnGroupRequest(group_id=group_id, body=body))


def jobs(workspace: ws.WorkspaceClient, **filters) -> list[ws.AppInstallJob]:
    """Every job that matches, page by page, until a page is short."""
    found: list[ws.AppInstallJob] = []
    while True:
        page = workspace.list_jobs(ws.ListJobsRequest(offset=len(found), limit=100, **filters))
        found += page.items
        if len(page.items) < 100:
            assert page.count == len(found)
            return found


def ended_jobs(workspace: ws.WorkspaceClient, expected: int, **filters) -> list[ws.AppInstallJob]:
    """Waits until there are so many jobs and all have ended."""

    def look() -> list[ws.AppInstallJob] | None:
        found = jobs(workspace, **filters)
        assert len(found) <= expected, found
        done = len(found) == expected and all(job.job_status in ("SUCCESS", "FAIL") for job in found)
        return found if done else None

    return wait_for(look, f"{expected} jobs to end ({filters})", INSTALL_LIMIT_SECS)


def install(workspace: ws.WorkspaceClient, app_ids: list[str], accounts: list[ws.AccountInfo]) -> None:
    body = ws.BatchAutoInstallAppsReq(app_ids=app_ids, assign_scope="ASSIGN_USER", users=accounts)
    workspace.batch_install_apps(ws.BatchInstallAppsRequest(body=body))
