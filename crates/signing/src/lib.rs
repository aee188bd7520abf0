//! SDK-HMAC-SHA256 request signing: canonical form, signing, verification
