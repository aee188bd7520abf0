-- What becomes of copies of enrolled machines (docs/adr/0029-identity.md).

-- The token that lets them enroll anew. NULL: they are refused.
ALTER TABLE project ADD COLUMN copies_token_id BIGINT REFERENCES enrollment_token (id);

-- The agent that who waits for approval is a copy of. NULL: of none.
ALTER TABLE enrollment_request ADD COLUMN copy_of BIGINT REFERENCES agent (id);
-- What the copy told of itself: agent_protocol::MachineIdentity, JSON.
ALTER TABLE enrollment_request ADD COLUMN copy_identity TEXT;
