-- What the audit log vouches for of results, and accounts that expire. See docs/adr/0021-results-in-the-audit-log.md.

-- Place in the chain of results, from 1, and SHA-256 over the result, lower-case hex: written by the sealer.
ALTER TABLE receipt ADD COLUMN sequence BIGINT;
ALTER TABLE receipt ADD COLUMN digest TEXT;
-- What the check reads; each place once.
CREATE UNIQUE INDEX receipt_sequence ON receipt (sequence);
-- What the sealer looks for.
CREATE INDEX receipt_unsealed ON receipt (attempt_id) WHERE sequence IS NULL;

-- Places of results that were deleted with their jobs: the chain stays provable. HMAC-SHA256 over both, lower-case hex.
CREATE TABLE receipt_gone (
  sequence BIGINT PRIMARY KEY,
  digest TEXT NOT NULL,
  mac TEXT NOT NULL
);

-- The newest sealed result and the hash there; HMAC-SHA256 over both. NULL: none was sealed yet.
ALTER TABLE audit_chain ADD COLUMN result_sequence BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audit_chain ADD COLUMN result_hash TEXT;
ALTER TABLE audit_chain ADD COLUMN result_mac TEXT;

-- From then on the directory's account has expired; NULL: it does not expire. external_disabled says so once it has.
ALTER TABLE directory_user ADD COLUMN external_expires_at BIGINT;
-- What the server looks for to lock accounts out whose time came.
CREATE INDEX directory_user_expires ON directory_user (external_expires_at)
  WHERE external_disabled = 0 AND external_expires_at IS NOT NULL;
-- What was read before did not say when accounts expire.
UPDATE directory_connection SET wants_full = 1;
