-- An object that uploaders may put into the object store past the server (docs/adr/0022): from the credential on until the
-- upload is removed again.
CREATE TABLE bucket_direct_upload (
  id {{pk}},
  project_id BIGINT NOT NULL REFERENCES project (id),
  object_key TEXT NOT NULL,
  -- When the last credential for it lapses.
  expires_at BIGINT NOT NULL,
  -- What lay there when it was last looked at (the store's tag of it, and when it came); NULL: nothing did.
  seen_tag TEXT,
  -- What of that was last taken in or refused. Where it is not seen_tag, the object is pending.
  taken_tag TEXT,
  -- Until when a server works on it.
  lease_until BIGINT NOT NULL DEFAULT 0,
  UNIQUE (project_id, object_key)
);
