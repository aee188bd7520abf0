-- What was found when the bytes of a package were last looked at, apart from whether it may be handed out (state).

-- intact, missing or altered.
ALTER TABLE package ADD COLUMN condition TEXT NOT NULL DEFAULT 'intact';
-- When the bytes were last looked at by size, and last read and digested; NULL: since they came never.
ALTER TABLE package ADD COLUMN looked_at BIGINT;
ALTER TABLE package ADD COLUMN digested_at BIGINT;
-- When somebody asked for digesting that has not ended yet.
ALTER TABLE package ADD COLUMN digest_wanted_at BIGINT;

-- Serves the task that looks at packages, longest ago first.
CREATE INDEX package_looked ON package (looked_at);
-- Serves the list of damaged packages, which are few.
CREATE INDEX package_damaged ON package (condition) WHERE condition <> 'intact';
CREATE INDEX package_digest_wanted ON package (digest_wanted_at) WHERE digest_wanted_at IS NOT NULL;
