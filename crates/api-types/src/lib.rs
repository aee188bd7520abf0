//! HTTP request and response shapes of the contract and of the native routes; no logic
