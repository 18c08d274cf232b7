//! A client against a server of this test.
