-- Machines that take their desktops back, by their hardware (docs/adr/0029-identity.md).

-- What who waits for approval told of its machine: marks by name, JSON. NULL: nothing.
ALTER TABLE enrollment_request ADD COLUMN marks TEXT;
-- The live agent in whose place it would come. NULL: of none, or the token may re-enroll.
ALTER TABLE enrollment_request ADD COLUMN takes_back BIGINT REFERENCES agent (id);
