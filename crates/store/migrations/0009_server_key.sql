-- Which server key seals secrets, which is to be the next, and which servers have which: so that a rotation knows when
-- every server can open what is sealed anew.
CREATE TABLE server_key (
  -- sealing, next.
  role TEXT PRIMARY KEY,
  -- The first byte of everything that is sealed under it.
  key_id BIGINT NOT NULL,
  -- A known text sealed under it: who opens it has the very key.
  proof_sealed {{bytes}} NOT NULL,
  since BIGINT NOT NULL
);

CREATE TABLE server_key_holder (
  -- One for each start of a server process.
  process {{uuid}} PRIMARY KEY,
  -- Host and process id, for people.
  name TEXT NOT NULL,
  -- Ids of the keys it has, JSON.
  key_ids TEXT NOT NULL,
  -- Id of the key it seals under.
  sealing BIGINT NOT NULL,
  seen_at BIGINT NOT NULL
);
