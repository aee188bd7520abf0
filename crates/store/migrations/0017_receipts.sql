-- Signed receipts: what agents signed, as it came, and what verifying it said. See docs/adr/0024-receipts.md.

-- The certificate (DER) and the SHA-256 of the one that issued it, so that a receipt can be verified when both have long
-- been replaced. NULL: given out before this migration.
ALTER TABLE agent_certificate ADD COLUMN certificate {{bytes}};
ALTER TABLE agent_certificate ADD COLUMN issuer {{bytes}};

-- What leads from agents' certificates to a root (DER), by SHA-256.
CREATE TABLE issuing_certificate (
  fingerprint {{bytes}} PRIMARY KEY,
  certificate {{bytes}} NOT NULL
);

-- The statement's text, exactly as it was signed (agent_protocol::Statement); receipt.evidence is empty then, as it stands
-- in the statement.
ALTER TABLE receipt ADD COLUMN statement TEXT;
-- The signature in base64, and the SHA-256 of the signer's certificate.
ALTER TABLE receipt ADD COLUMN signature TEXT;
ALTER TABLE receipt ADD COLUMN signer {{bytes}};
-- domain::job::Verification by number: 0 not signed, 1 to be verified, 2 valid, 3 invalid.
ALTER TABLE receipt ADD COLUMN verification BIGINT NOT NULL DEFAULT 0;
ALTER TABLE receipt ADD COLUMN verified_at BIGINT;
-- Why it is invalid, in words.
ALTER TABLE receipt ADD COLUMN problem TEXT;
-- What the verifying task looks for.
CREATE INDEX receipt_pending ON receipt (attempt_id) WHERE verification = 1;
