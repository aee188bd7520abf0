-- Which machine an agent is, as it was let in last, and the copy of it that was seen last (docs/adr/0029-identity.md).

-- domain::fleet::NotedIdentity, JSON. NULL: it told nothing yet.
ALTER TABLE agent ADD COLUMN noted_identity TEXT;
-- domain::fleet::SeenCopy, JSON. NULL: none.
ALTER TABLE agent ADD COLUMN seen_copy TEXT;
