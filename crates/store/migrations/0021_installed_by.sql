-- The directory user who put the app there for themselves; NULL: an administrator did. An update does not change it, an
-- administrator's install does: what an administrator put on a desktop its users do not take off (docs/adr/0025-end-users.md).
ALTER TABLE desktop_app ADD COLUMN requested_by BIGINT;

-- What is older than a week goes by time alone, whatever project it is of.
CREATE INDEX agents_online_at ON agents_online (at);
