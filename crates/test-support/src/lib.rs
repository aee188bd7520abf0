//! Test stores on both databases, test servers, filters
