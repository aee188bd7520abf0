-- The audit log: rows are written with the change they tell of, unchained; one sealer at a time orders and chains them.
-- See docs/adr/0013-audit.md.

CREATE TABLE audit_entry (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  -- No reference: entries outlive what they tell of. NULL: nobody knows whose call it was.
  domain_id BIGINT,
  project_id BIGINT,
  occurred_at BIGINT NOT NULL,
  -- change, refusal, widening, enrollment or retention.
  kind TEXT NOT NULL,
  -- done or refused.
  outcome TEXT NOT NULL,
  -- HTTP status of a refusal.
  status BIGINT,
  action TEXT NOT NULL,
  operation TEXT NOT NULL,
  -- iamUser, agent, server or nobody; and its id and name.
  actor_kind TEXT NOT NULL,
  actor_id TEXT,
  actor_name TEXT,
  -- What was shown: token, session, access_key ID, certificate SHA-256 of it, none.
  credential TEXT NOT NULL,
  on_behalf_of TEXT,
  address TEXT,
  request_id TEXT,
  -- kind:id of what it is about first, and its name.
  resource TEXT NOT NULL,
  resource_name TEXT,
  -- Every kind:id, each between two line feeds.
  resources TEXT NOT NULL,
  -- How many alike are told of in this one entry.
  times BIGINT NOT NULL DEFAULT 1,
  -- The request without its secrets, what was before and after; JSON.
  detail TEXT NOT NULL,
  -- HMAC-SHA256 over all of the above, lower-case hex: written with the row.
  mac TEXT NOT NULL,
  -- Place in the chain, from 1 without gaps, and the chain's hash there: written by the sealer.
  sequence BIGINT UNIQUE,
  hash TEXT
);
-- What the sealer looks for.
CREATE INDEX audit_entry_unsealed ON audit_entry (id) WHERE sequence IS NULL;
-- The list of a project.
CREATE INDEX audit_entry_project ON audit_entry (project_id, id);
-- Entries of a time, and retention.
CREATE INDEX audit_entry_time ON audit_entry (occurred_at);
-- What one call did.
CREATE INDEX audit_entry_request ON audit_entry (request_id);

CREATE TABLE audit_chain (
  -- One row, 1.
  id BIGINT PRIMARY KEY,
  -- The newest sealed entry and the hash there; HMAC-SHA256 over both.
  sequence BIGINT NOT NULL,
  hash TEXT NOT NULL,
  mac TEXT NOT NULL,
  sealed_at BIGINT NOT NULL,
  -- The checkpoint of retention: entries up to this one are gone; the hash there; HMAC-SHA256 over both.
  cut_sequence BIGINT NOT NULL,
  cut_hash TEXT NOT NULL,
  cut_mac TEXT NOT NULL,
  cut_at BIGINT
);
