//! Package files on the server: content-addressed local folder behind one interface
