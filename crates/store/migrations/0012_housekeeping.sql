-- Housekeeping of packages: which bytes may go, deleted apps that can come back, quotas, links.

-- Until when an upload that puts these bytes in place keeps them from being collected.
ALTER TABLE package ADD COLUMN claimed_until BIGINT NOT NULL DEFAULT 0;
-- Since when nothing needs the bytes, as far as a collection has seen; NULL: something does.
ALTER TABLE package ADD COLUMN unreferenced_at BIGINT;
-- What a killed collection left half done (Db::package_collecting).
CREATE INDEX package_collecting ON package (id) WHERE state = 'collecting';

-- When a deleted app ceased to be restorable and lost its authorizations and its icon.
ALTER TABLE app ADD COLUMN purged_at BIGINT;
-- Lists what can be restored (Db::app_list_deleted) and finds what no longer can (Tx::app_purge).
CREATE INDEX app_deleted ON app (project_id, id) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

-- Most bytes that the packages of a project may take; NULL: no limit.
ALTER TABLE project ADD COLUMN quota_bytes BIGINT;
-- 1: links without a digest are refused.
ALTER TABLE project ADD COLUMN require_link_digest BIGINT NOT NULL DEFAULT 0;
